"""What may be wrong with a proposal: pure checks, each yields findings, none raises."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING

from hierarchy.checks.second_opinions import NEIGHBOURS, Hearing, Witnesses, hear, shared_hypernym
from hierarchy.english import plural
from hierarchy.proposal import Finding, Merge, Move, Proposal, find_unplaced, rank
from hierarchy.tree import Hierarchy
from hierarchy.wordnet.database import WordNet
from hierarchy.wordnet.disambiguate import Meaning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

KINDS = {
    "missing": "a class that is nowhere",
    "twice": "a class in two places",
    "unknown": "a class that was not asked for",
    "invalid": "a name that cannot be one, or another fault of the table",
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
ELSEWHERE = 0.8  # share of them that must live in one other group, or of that group's classes where it has fewer
DOUBT = 0.3  # share of a second sense from which a name is ambiguous


def check(
    proposal: Proposal,
    *,
    wordnet: WordNet | None = None,
    meanings: Sequence[Meaning] = (),
    vectors: Vectors | None = None,
    hearing: Hearing | None = None,
) -> tuple[Finding, ...]:
    """All findings about a proposal, worst first.

    Args:
        proposal: what to check; where classes are unsettled, nothing else is checked.
        wordnet, meanings: WordNet and what each class of `proposal.classes` means in it; without, a finding says that
            WordNet was not asked.
        vectors: (K, D), unit rows in the order of `proposal.classes`; likewise.
        hearing: what these witnesses say of the proposal, where they were heard already; half of the work.
    """
    if proposal.unsettled:
        return find_unplaced(proposal)
    hierarchy = proposal.hierarchy()
    found = [
        *_sizes(hierarchy),
        *_chains(hierarchy, vectors),
        *_near_duplicates(hierarchy),
        *_repeated_names(hierarchy),
    ]
    heard = hearing or hear(proposal, Witnesses(wordnet, tuple(meanings), vectors))
    if wordnet is not None and any(meanings):
        found += [*_ambiguous(hierarchy, wordnet, meanings), *_wordnet(hierarchy, heard, wordnet, meanings)]
    else:
        found.append(Finding("unchecked", "", "not checked against WordNet, which is not at hand", "note"))
    if vectors is not None:
        found += _embedding(hierarchy, heard)
    else:
        found.append(Finding("unchecked", "", "not checked against an embedding, none was given", "note"))
    return rank(found)


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


def _wordnet(
    hierarchy: Hierarchy, hearing: Hearing, wordnet: WordNet, meanings: Sequence[Meaning]
) -> Iterator[Finding]:
    seating, paths = hearing.seating, hearing.seating.paths
    for label, kin in enumerate(hearing.kin):
        own = seating.group_of[label]
        if kin is None or kin.best is None or kin.alone or own is None or kin.there - kin.here <= BETTER:
            continue
        shared = shared_hypernym(label, kin.best, seating, wordnet, meanings)
        word = wordnet.synset(shared).words[0] if shared else ""
        sentence = (
            f"{hierarchy.names[label]!r} is in {paths[own]!r}, its hypernyms fit {paths[kin.best]!r} ({word}) better"
        )
        evidence = {"here": round(kin.here, 3), "there": round(kin.there, 3), "shared": shared}
        edit = Move(hierarchy.classes[label], paths[kin.best])
        yield Finding("wordnet", hierarchy.classes[label], sentence, "warning", kin.there - kin.here, evidence, edit)


def _embedding(hierarchy: Hierarchy, hearing: Hearing) -> Iterator[Finding]:
    seating, paths = hearing.seating, hearing.seating.paths
    for label, near in enumerate(hearing.near):
        own = seating.group_of[label]
        if near is None or own is None or near.group == own:
            continue
        enough = max(ELSEWHERE * min(len(near.nearest), seating.size[near.group]), len(near.nearest) / 2)
        if near.votes >= enough:
            names = [hierarchy.names[other] for other in near.nearest]
            nearest_are = _are(len(near.nearest), near.votes)
            sentence = (
                f"{hierarchy.names[label]!r} is in {paths[own]!r}, its nearest {nearest_are} in {paths[near.group]!r}"
            )
            evidence = {"nearest": names, "votes": near.votes}
            edit = Move(hierarchy.classes[label], paths[near.group])
            weight = near.votes / NEIGHBOURS * 0.5
            yield Finding("embedding", hierarchy.classes[label], sentence, "warning", weight, evidence, edit)


def _are(many: int, votes: int) -> str:
    if votes == many:
        return "class is" if many == 1 else f"{many} classes are"
    return f"{many} classes are, but for {'one' if many - votes == 1 else many - votes},"
