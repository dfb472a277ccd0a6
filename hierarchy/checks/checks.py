"""What may be wrong with a proposal: pure checks that yield findings and never raise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING

from hierarchy.checks.coverage import find_unknown
from hierarchy.checks.evidence import Evidence
from hierarchy.checks.mixed import find_mixed
from hierarchy.checks.witnesses import Grouping, Testimony, ask_witnesses, weigh_hypernyms
from hierarchy.english import plural
from hierarchy.names import join_path, split_path
from hierarchy.proposal import Finding, Merge, Move, Proposal, Vote, Witness, find_unplaced, rank
from hierarchy.tree import Hierarchy
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

CROWD = 4.0  # times the average; a larger node is oversized
FEW = 8  # classes; a node this small is never oversized
ALIKE = 0.9  # of 1: two names more alike than this are near-duplicates
DOUBT = 0.3  # least share of a second sense that makes a name ambiguous
SURE = {"wordnet": 0.0, "embedding": 0.2}  # least strength of a vote that is a finding; WordNet abstains below 2/3
SAYS = {"wordnet": "but has the hypernyms of", "embedding": "but is more like"}


def check(
    proposal: Proposal, evidence: Evidence | None = None, *, testimony: Testimony | None = None
) -> tuple[Finding, ...]:
    """All findings about a proposal, worst first.

    Args:
        proposal: what to check; of unsettled classes there is an error each, and the rest is checked without them.
        evidence: what is known about its classes; a finding names the checks that it does not allow.
        testimony: what the witnesses say about the proposal, if they were asked already; that is half of the work.
    """
    evidence = evidence or Evidence(proposal.classes)
    if proposal.unsettled:
        labels = proposal.settled_labels
        rest = check(proposal.drop_unsettled(), evidence.pick(labels)) if labels else ()
        return rank([*find_unplaced(proposal), *rest])
    hierarchy = proposal.hierarchy()
    testimony = testimony or ask_witnesses(proposal, evidence)
    found = [
        *_sizes(hierarchy),
        *_chains(hierarchy, evidence.vectors),
        *_near_duplicates(hierarchy),
        *_repeated_names(hierarchy),
        *find_unknown(evidence),
    ]
    if evidence.senses is not None:
        found += _ambiguous(hierarchy, evidence.senses, testimony.grouping)
        found += _witness("wordnet", hierarchy, map(testimony.wordnet_vote, range(len(hierarchy))))
    else:
        found.append(Finding("unchecked", "", "not checked against WordNet; run `hierarchy wordnet install`", "note"))
    if evidence.vectors is not None:
        found += find_mixed(hierarchy, evidence.vectors, evidence.senses)
        found += _witness("embedding", hierarchy, map(testimony.embedding_vote, range(len(hierarchy))))
    else:
        found.append(Finding("unchecked", "", "not checked against an embedding, because none was given", "note"))
    return rank(found)


def consult(proposal: Proposal, evidence: Evidence) -> tuple[Proposal, tuple[Finding, ...]]:
    """A proposal with the votes of WordNet and the embedding, and all findings about it; both are asked once."""
    testimony = ask_witnesses(proposal, evidence)
    cast = zip(proposal.classes.ids, testimony.votes(), strict=True)
    votes = {id: (*proposal.votes.get(id, ()), *others) for id, others in cast}
    voted = replace(proposal, votes={id: own for id, own in votes.items() if own})
    return voted, check(proposal, evidence, testimony=testimony)


def _sizes(hierarchy: Hierarchy) -> Iterator[Finding]:
    for level, kind in ((1, "superclasses"), (2, "groups")):
        members = Counter(hierarchy.ancestors(level))  # type: ignore[arg-type]
        average = len(hierarchy) / len(members)
        for index, path in enumerate(hierarchy.nodes(level)):  # type: ignore[arg-type]
            if members[index] > max(FEW, CROWD * average):
                times = members[index] / average
                message = f"{path!r} holds {members[index]} classes, {times:.1f} times the average of the {kind}"
                evidence = {"classes": members[index], "average": round(average, 2)}
                yield Finding("oversized", path, message, "warning", min(1.0, times / 10), evidence)


def _chains(hierarchy: Hierarchy, vectors: Vectors | None) -> Iterator[Finding]:
    groups_of = Counter(hierarchy.parents(2))
    for index, path in enumerate(hierarchy.nodes(1)):
        if groups_of[index] == 1:
            yield Finding("chain", path, f"{path!r} has a single group", "note", 0.3)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for label, group in enumerate(hierarchy.ancestors(2)):
        members[group].append(label)
    for index, path in enumerate(hierarchy.nodes(2)):
        labels = members[index]
        if len(labels) == 1:
            id, name = hierarchy.classes[labels[0]], hierarchy.names[labels[0]]
            target = _nearest_sibling(hierarchy, labels[0], vectors)
            message = f"{path!r} has a single class, {name!r}" + (
                f"; the nearest group is {target!r}" if target else ""
            )
            edit = Move(id, target) if target else None
            yield Finding("chain", path, message, "note", 0.2, {"class": id}, edit)


def _nearest_sibling(hierarchy: Hierarchy, label: int, vectors: Vectors | None) -> str | None:
    """The only other group of the same superclass; of several, that of the nearest class, if there are vectors."""
    superclass, group = hierarchy.groups[label]
    others = [i for i, (top, own) in enumerate(hierarchy.groups) if top == superclass and own != group]
    if len({hierarchy.groups[i] for i in others}) == 1:
        return join_path(*hierarchy.groups[others[0]])
    if vectors is None or not others:
        return None
    return join_path(*hierarchy.groups[others[int((vectors[others] @ vectors[label]).argmax())]])


def _near_duplicates(hierarchy: Hierarchy) -> Iterator[Finding]:
    size = Counter(join_path(*group[:level]) for group in hierarchy.groups for level in (1, 2))
    families: defaultdict[str, list[str]] = defaultdict(list)
    families[""] = list(hierarchy.nodes(1))
    for path in hierarchy.nodes(2):
        families[path.split("/")[0]].append(path)
    for siblings in families.values():
        for one, other, alike in _find_alike([split_path(path)[-1] for path in siblings]):
            first, second = siblings[one], siblings[other]
            small, large = sorted((first, second), key=lambda path: (size[path], path))
            message = f"{first!r} and {second!r} have almost the same name"
            evidence = {"other": large, "alike": round(alike, 3)}
            yield Finding("near-duplicate", small, message, "warning", alike, evidence, Merge(small, large))


def _find_alike(names: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """The positions of any two names that are more alike than ALIKE, and how alike they are.

    The letters that two names share bound how alike they can be, which spares nearly all pairs the slow comparison.
    """
    import numpy as np

    texts = [_plain(name) for name in names]
    lengths = np.array([len(text) for text in texts])
    letters = np.zeros((len(texts), 64), np.int16)
    for row, text in enumerate(texts):
        for letter, uses in Counter(ord(character) % 64 for character in text).items():
            letters[row, letter] = uses
    for one, text in enumerate(texts[:-1]):
        shared = np.minimum(letters[one], letters[one + 1 :]).sum(axis=1)
        for other in np.flatnonzero(2 * shared >= ALIKE * (lengths[one] + lengths[one + 1 :])) + one + 1:
            alike = _alike(text, texts[other])
            if alike > ALIKE:
                yield one, int(other), alike


@lru_cache(maxsize=1 << 16)  # a review checks again after every edit
def _plain(name: str) -> str:
    """A name without case, number and order of words."""
    return " ".join(sorted(plural(word) for word in name.casefold().replace("-", " ").split()))


@lru_cache(maxsize=1 << 16)
def _alike(first: str, second: str) -> float:
    """How alike two texts are, from 0 to 1."""
    return 1.0 if first == second else SequenceMatcher(None, first, second).ratio()


def _repeated_names(hierarchy: Hierarchy) -> Iterator[Finding]:
    labels_of: defaultdict[str, list[int]] = defaultdict(list)
    for label, name in enumerate(hierarchy.names):
        labels_of[name.casefold()].append(label)
    for labels in labels_of.values():
        if len(labels) > 1:
            ids = [hierarchy.classes[label] for label in labels]
            message = f"{len(ids)} classes are named {hierarchy.names[labels[0]]!r}: {', '.join(ids)}"
            yield Finding("ambiguous", ids[0], message, "note", 0.5, {"ids": ids})


def _ambiguous(hierarchy: Hierarchy, senses: Senses, grouping: Grouping) -> Iterator[Finding]:
    """Names of two likely senses; with an edit if the sense that was not chosen would put the class elsewhere."""
    wordnet, weigh = senses.wordnet, weigh_hypernyms(grouping, senses)
    for label, meaning in enumerate(senses.meanings):
        if len(meaning.shares) < 2 or meaning.shares[1][1] < DOUBT:
            continue
        (first, share), (second, other) = meaning.shares[:2]
        id, name = hierarchy.classes[label], hierarchy.names[label]
        message = (
            f"{name!r} may mean {wordnet.synset(first).gloss.split(';')[0]!r} ({share:.0%})"
            f" or {wordnet.synset(second).gloss.split(';')[0]!r} ({other:.0%})"
        )
        own, edit = grouping.group_of[label], None
        here, there = weigh(label, first), weigh(label, second)
        if there and there.group != own and not (here and here.group == own):
            edit = Move(id, grouping.paths[there.group])
            message += f", which would be in {edit.to!r}"
        evidence = {"senses": [{"wnid": wnid, "share": round(part, 3)} for wnid, part in meaning.shares]}
        yield Finding("ambiguous", id, message, "note", other, evidence, edit)


def _witness(kind: Witness, hierarchy: Hierarchy, votes: Iterable[Vote | None]) -> Iterator[Finding]:
    """The classes that a witness would put elsewhere, if it is sure enough."""
    for label, vote in enumerate(votes):
        own = join_path(*hierarchy.groups[label])
        if vote is None or vote.node == own or vote.strength < SURE[kind]:
            continue
        message = f"{hierarchy.names[label]!r} is in {own!r}, {SAYS[kind]} {vote.node!r} ({vote.why})"
        edit = Move(hierarchy.classes[label], vote.node)
        yield Finding(kind, hierarchy.classes[label], message, "warning", vote.strength, {"why": vote.why}, edit)
