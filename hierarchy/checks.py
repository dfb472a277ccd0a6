"""What may be wrong with a proposal: pure checks, each yields findings, none raises."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING

from hierarchy.edits import Merge, Move
from hierarchy.english import plural
from hierarchy.errors import HierarchyError
from hierarchy.proposal import Finding, Proposal, ranked
from hierarchy.senses import Meaning
from hierarchy.tree import Hierarchy
from hierarchy.wordnet import WordNet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

KINDS = {
    "missing": "a class that is nowhere",
    "twice": "a class in two places",
    "unknown": "a class that was not asked for",
    "invalid": "a name that cannot be one, or another fault of the table",
    "empty": "a node without classes",
    "oversized": "a node far larger than its siblings",
    "chain": "a node with a single child",
    "near-duplicate": "siblings whose names are almost the same",
    "wordnet": "a class whose hypernyms fit another group better",
    "embedding": "a class whose nearest neighbours live elsewhere",
    "ambiguous": "a name of several classes, or of several senses",
    "unchecked": "a check that could not be made",
}
CROWD = 4.0  # times the average: a larger node is oversized
FEW = 8  # no node this small is oversized
ALIKE = 0.9  # of 1: two names more alike than this are near-duplicates
BETTER = 0.2  # by how much another group must fit better in WordNet, in shared information (0 to 1)
SPECIFIC = 0.3  # hypernyms less specific are shared by half of all things and say nothing; "animal" has 0.27
NEIGHBOURS = 5  # nearest classes that are looked at; fewer for a group that has no so many others
ELSEWHERE = 0.8  # share of them that must live in one other group, or of that group's classes where it has fewer
DOUBT = 0.3  # share of a second sense from which a name is ambiguous
MANY = 5000  # classes; of more, only hypernyms below SPECIFIC_OF_MANY are looked at, to stay within minutes
SPECIFIC_OF_MANY = 0.5


def check(
    proposal: Proposal,
    *,
    wordnet: WordNet | None = None,
    meanings: Sequence[Meaning] = (),
    vectors: Vectors | None = None,
) -> tuple[Finding, ...]:
    """All findings about a proposal, worst first.

    Args:
        proposal: what to check; its coverage and names always are.
        wordnet, meanings: WordNet and what each class of `proposal.classes` means in it; without, a finding says that
            WordNet was not asked.
        vectors: (K, D), unit rows in the order of `proposal.classes`; likewise.
    """
    found = [*_coverage(proposal), *_empty(proposal)]
    try:
        hierarchy = proposal.settle()
    except HierarchyError as error:
        if not found:
            found.append(Finding("invalid", "", str(error), "error", 1.0))
        return tuple(ranked(found))
    found += [
        *_sizes(hierarchy),
        *_chains(hierarchy, vectors),
        *_near_duplicates(hierarchy),
        *_repeated_names(hierarchy),
    ]
    if wordnet is not None and any(meanings):
        found += [*_ambiguous(hierarchy, wordnet, meanings), *_wordnet(hierarchy, wordnet, meanings)]
    else:
        found.append(Finding("unchecked", "", "not checked against WordNet, which is not at hand", "note"))
    if vectors is not None:
        found += _embedding(hierarchy, vectors)
    else:
        found.append(Finding("unchecked", "", "not checked against an embedding, none was given", "note"))
    return tuple(ranked(found))


def _coverage(proposal: Proposal) -> Iterator[Finding]:
    name_of = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    places: defaultdict[str, list[str]] = defaultdict(list)
    for id, superclass, group in proposal.placements:
        places[id].append(f"{superclass}/{group}")
    for id in proposal.classes.ids:
        if id not in places:
            yield Finding("missing", id, f"{name_of[id]!r} ({id}) is placed nowhere", "error", 1.0)
    for id, found in places.items():
        if id not in name_of:
            sentence = f"{id!r}, placed in {found[0]!r}, is none of the {len(name_of)} classes"
            yield Finding("unknown", id, sentence, "error", 0.8, {"places": found})
        elif len(found) > 1:
            sentence = f"{name_of[id]!r} ({id}) is placed {len(found)} times: {', '.join(map(repr, found))}"
            yield Finding("twice", id, sentence, "error", 0.9, {"places": found})


def _empty(proposal: Proposal) -> Iterator[Finding]:
    used = {path for _, superclass, group in proposal.placements for path in (superclass, f"{superclass}/{group}")}
    for node in proposal.nodes:
        if node not in used:
            yield Finding("empty", node, f"{node!r} has no classes", "error", 0.5)


def _sizes(hierarchy: Hierarchy) -> Iterator[Finding]:
    for level, kind in ((1, "superclasses"), (2, "groups")):
        members = Counter(hierarchy.ancestors(level))  # type: ignore[arg-type]
        average = len(hierarchy) / len(members)
        for index, path in enumerate(hierarchy.nodes(level)):  # type: ignore[arg-type]
            if members[index] > max(FEW, CROWD * average):
                times = members[index] / average
                sentence = f"{path!r} holds {members[index]} classes, {times:.1f} times the average of the {kind}"
                evidence = {"classes": members[index], "average": round(average, 2)}
                yield Finding("oversized", path, sentence, "warning", min(1.0, times / 10), evidence)


def _chains(hierarchy: Hierarchy, vectors: Vectors | None) -> Iterator[Finding]:
    groups_of = Counter(hierarchy.parents(2))
    for index, path in enumerate(hierarchy.nodes(1)):
        if groups_of[index] == 1:
            yield Finding("chain", path, f"{path!r} has a single group; its branch leads to one branch", "note", 0.3)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for label, group in enumerate(hierarchy.ancestors(2)):
        members[group].append(label)
    for index, path in enumerate(hierarchy.nodes(2)):
        labels = members[index]
        if len(labels) == 1:
            id, name = hierarchy.classes[labels[0]], hierarchy.names[labels[0]]
            target = _nearest_sibling(hierarchy, labels[0], vectors)
            sentence = f"{path!r} has a single class, {name!r}" + (f"; {target!r} is nearest" if target else "")
            edit = Move(id, target) if target else None
            yield Finding("chain", path, sentence, "note", 0.2, {"class": id}, edit)


def _nearest_sibling(hierarchy: Hierarchy, label: int, vectors: Vectors | None) -> str | None:
    """The group of the nearest class of the same superclass, in another group."""
    superclass, group = hierarchy.groups[label]
    others = [i for i, (top, own) in enumerate(hierarchy.groups) if top == superclass and own != group]
    if vectors is None or not others:
        return None
    return "/".join(hierarchy.groups[others[int((vectors[others] @ vectors[label]).argmax())]])


def _near_duplicates(hierarchy: Hierarchy) -> Iterator[Finding]:
    size = Counter(superclass for superclass, _ in hierarchy.groups) + Counter("/".join(g) for g in hierarchy.groups)
    families = {"": hierarchy.nodes(1)}
    for path in hierarchy.nodes(2):
        families[path.split("/")[0]] = (*families.get(path.split("/")[0], ()), path)
    for siblings in families.values():
        for place, first in enumerate(siblings):
            for second in siblings[place + 1 :]:
                alike = _alike(first.split("/")[-1], second.split("/")[-1])
                if alike > ALIKE:
                    small, large = sorted((first, second), key=lambda path: (size[path], path))
                    sentence = f"{first!r} and {second!r} have almost the same name"
                    evidence = {"other": large, "alike": round(alike, 3)}
                    yield Finding("near-duplicate", small, sentence, "warning", alike, evidence, Merge(small, large))


@lru_cache(maxsize=1 << 16)  # a review checks again after every edit
def _alike(first: str, second: str) -> float:
    """How alike two names are, from 0 to 1: 1 where only case, number or the order of words differs."""
    words = [sorted(plural(word) for word in name.casefold().replace("-", " ").split()) for name in (first, second)]
    if words[0] == words[1]:
        return 1.0
    return SequenceMatcher(None, " ".join(words[0]), " ".join(words[1])).ratio()


def _repeated_names(hierarchy: Hierarchy) -> Iterator[Finding]:
    labels_of: defaultdict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(hierarchy.names):
        labels_of[name.casefold()].append(label)
    for labels in labels_of.values():
        if len(labels) > 1:
            ids = [hierarchy.classes[label] for label in labels]
            sentence = f"{len(ids)} classes are called {hierarchy.names[labels[0]]!r}: {', '.join(ids)}"
            yield Finding("ambiguous", ids[0], sentence, "note", 0.5, {"ids": ids})


def _ambiguous(hierarchy: Hierarchy, wordnet: WordNet, meanings: Sequence[Meaning]) -> Iterator[Finding]:
    for label, meaning in enumerate(meanings):
        if len(meaning.shares) > 1 and meaning.shares[1][1] >= DOUBT:
            (first, share), (second, other) = meaning.shares[:2]
            name = hierarchy.names[label]
            sentence = (
                f"{name!r} may mean {wordnet.synset(first).gloss.split(';')[0]!r} ({share:.0%})"
                f" or {wordnet.synset(second).gloss.split(';')[0]!r} ({other:.0%})"
            )
            evidence = {"senses": [{"wnid": wnid, "share": round(part, 3)} for wnid, part in meaning.shares]}
            yield Finding("ambiguous", hierarchy.classes[label], sentence, "note", other, evidence)


def _wordnet(hierarchy: Hierarchy, wordnet: WordNet, meanings: Sequence[Meaning]) -> Iterator[Finding]:
    """Compares the information (Resnik 1995) each class shares with its group with what it shares with others."""
    least = SPECIFIC if len(hierarchy) <= MANY else SPECIFIC_OF_MANY
    group_of, paths = hierarchy.ancestors(2), hierarchy.nodes(2)
    size = Counter(group_of)
    below: defaultdict[str, list[int]] = defaultdict(list)
    for label, meaning in enumerate(meanings):
        for wnid in wordnet.ancestors(meaning.wnid) if meaning else ():
            below[wnid].append(label)
    for label, meaning in enumerate(meanings):
        if not meaning:
            continue
        fits = _fits(label, wordnet, meaning, below, group_of, least)
        own = group_of[label]
        others = {group: fit / size[group] for group, fit in fits.items() if group != own}
        if not others or size[own] == 1:
            continue
        best = max(others, key=lambda group: (others[group], -group))
        here = fits.get(own, 0.0) / (size[own] - 1)
        if others[best] - here > BETTER:
            kin = [meanings[other].wnid for other, group in enumerate(group_of) if group == best and meanings[other]]
            shared = wordnet.lowest_common(meaning.wnid, *kin)
            word = wordnet.synset(shared).words[0]
            sentence = (
                f"{hierarchy.names[label]!r} is in {paths[own]!r}, its hypernyms fit {paths[best]!r} ({word}) better"
            )
            evidence = {"here": round(here, 3), "there": round(others[best], 3), "shared": shared}
            edit = Move(hierarchy.classes[label], paths[best])
            yield Finding("wordnet", hierarchy.classes[label], sentence, "warning", others[best] - here, evidence, edit)


def _fits(
    label: int,
    wordnet: WordNet,
    meaning: Meaning,
    below: Mapping[str, Sequence[int]],
    group_of: Sequence[int],
    least: float,
) -> dict[int, float]:
    """For each group, the information of the lowest common hypernyms of a class with the group's others, added up."""
    fits: defaultdict[int, float] = defaultdict(float)
    seen = {label}
    specific = [(wordnet.information(wnid), wnid) for wnid in wordnet.ancestors(meaning.wnid)]
    for information, wnid in sorted(specific, reverse=True):
        if information < least:
            break
        for other in below[wnid]:
            if other not in seen:
                seen.add(other)
                fits[group_of[other]] += information
    return dict(fits)


def _embedding(hierarchy: Hierarchy, vectors: Vectors) -> Iterator[Finding]:
    import numpy as np

    group_of, paths = np.array(hierarchy.ancestors(2)), hierarchy.nodes(2)
    size = Counter(group_of.tolist())
    for start in range(0, len(hierarchy), 512):
        near = (vectors[start : start + 512] @ vectors.T).round(9)  # (512, K)
        near[np.arange(len(near)), np.arange(start, start + len(near))] = -np.inf
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]  # (512, 5)
        for label, all_near in enumerate(nearest, start):
            row = all_near[: max(1, min(size[group_of[label]], len(hierarchy)) - 1)]
            group, votes = Counter(group_of[row].tolist()).most_common(1)[0]
            enough = max(ELSEWHERE * min(len(row), size[group]), len(row) / 2)
            if group != group_of[label] and votes >= enough:
                here = paths[group_of[label]]
                names = [hierarchy.names[other] for other in row]
                nearest_are = _are(len(row), votes)
                sentence = f"{hierarchy.names[label]!r} is in {here!r}, its nearest {nearest_are} in {paths[group]!r}"
                evidence = {"nearest": names, "votes": votes}
                edit = Move(hierarchy.classes[label], paths[group])
                weight = votes / NEIGHBOURS * 0.5
                yield Finding("embedding", hierarchy.classes[label], sentence, "warning", weight, evidence, edit)


def _are(many: int, votes: int) -> str:
    if votes == many:
        return "class is" if many == 1 else f"{many} classes are"
    return f"{many} classes are, but for {'one' if many - votes == 1 else many - votes},"
