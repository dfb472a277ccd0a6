"""The two witnesses that cost nothing: what hypernyms say about each class's group, and what its vector says.

Both are asked about every class, settled or not, and neither knows the votes of the other or of a language model. A
witness that knows little abstains: about a group of fewer than `FEW` classes, a sense that is a guess, a resemblance
that is no closer than chance.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierarchy.checks.evidence import Evidence
from hierarchy.english import plural
from hierarchy.names import join_path
from hierarchy.proposal import Proposal, Vote
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

FEW = 3  # classes; of a smaller group, neither witness can say what its classes have in common
SPECIFIC = (
    0.4  # information of a hypernym that says something: "arthropod" has 0.44, "invertebrate" 0.41, "animal" 0.27
)
MOST, LEAST = 2 / 3, 1 / 3  # shares of a group that share a hypernym: they do, they do not
CLOSE = 0.02  # a difference in mean similarity that is too small to speak of
ALIKE = 0.5  # standard deviations above the average similarity; a less similar group is no closer than chance
SHOWN = 3  # classes named in a reason


@dataclass(frozen=True)
class Kinship:
    """A hypernym that a class shares with a group.

    Args:
        group: the index of the group.
        wnid: the hypernym.
        there, of: how many of the group's other classes have it, of how many that WordNet knows.
        here, of_here: the same for the class's own group.
    """

    group: int
    wnid: str
    there: int
    of: int
    here: int
    of_here: int

    @property
    def strength(self) -> float:
        """The share of the group that has the hypernym."""
        return self.there / self.of


@dataclass(frozen=True)
class Neighbourhood:
    """The group that a class is most similar to.

    Args:
        group: the index of the group.
        there: the mean similarity (cosine) to its other classes.
        here: that to the class's own group or, if they are the same, to the next best one; None if there is none.
        nearest: labels of the nearest classes of the group, nearest first.
    """

    group: int
    there: float
    here: float | None
    nearest: tuple[int, ...]

    @property
    def strength(self) -> float:
        """How much more similar the class is to this group than to the other, from 0 to 1."""
        return max(0.0, min(1.0, self.there - max(0.0, self.here or 0.0)))


class Grouping:
    """The groups of a proposal: their paths, the group of each class (None while unsettled) and the labels of each."""

    def __init__(self, proposal: Proposal) -> None:
        self.paths = proposal.settled.nodes(2) if any(proposal.places) else ()
        index = {path: i for i, path in enumerate(self.paths)}
        self.group_of = [index[join_path(*place)] if place else None for place in proposal.places]
        self.members: defaultdict[int, list[int]] = defaultdict(list)
        for label, group in enumerate(self.group_of):
            if group is not None:
                self.members[group].append(label)
        self.size = {group: len(labels) for group, labels in self.members.items()}

    def is_few(self, group: int | None) -> bool:
        """Whether a group has too few classes to compare another group with, but more than the one in question."""
        return group is not None and 1 < self.size[group] < FEW


@dataclass(frozen=True)
class Testimony:
    """What both witnesses say about a proposal; the checks and the votes read the same testimony.

    Args:
        proposal: what they were asked about.
        senses: what WordNet says about its classes.
        grouping: its groups.
        kin: the hypernym that speaks for a group, for each class; empty without WordNet.
        near: the group nearest to each class; empty without vectors.
    """

    proposal: Proposal
    senses: Senses | None
    grouping: Grouping
    kin: Sequence[Kinship | None]
    near: Sequence[Neighbourhood | None]

    def votes(self) -> tuple[tuple[Vote, ...], ...]:
        """The votes on each class, in label order; a witness that knows too little abstains."""
        return tuple(
            tuple(vote for vote in (self.wordnet_vote(label), self.embedding_vote(label)) if vote)
            for label in range(len(self.proposal.places))
        )

    def wordnet_vote(self, label: int) -> Vote | None:
        """WordNet's vote: the group whose classes have a hypernym of this class, which those of its own lack."""
        kin = self.kin[label] if self.kin else None
        if kin is None:
            return None
        assert self.senses is not None  # it was asked
        own = self.grouping.group_of[label]
        words = plural(self.senses.wordnet.synset(kin.wnid).words[0])
        there = f"{kin.there} of {kin.of} {'others' if kin.group == own else 'there'} are {words}"
        here = f", {kin.here} of {kin.of_here} here" if kin.group != own and kin.of_here else ""
        return Vote("wordnet", self.grouping.paths[kin.group], round(kin.strength, 3), there + here)

    def embedding_vote(self, label: int) -> Vote | None:
        """The embedding's vote: the group that a class is most similar to on average."""
        near = self.near[label] if self.near else None
        if near is None:
            return None
        names, own = self.proposal.classes.names, self.grouping.group_of[label]
        why = f"like {', '.join(names[other] for other in near.nearest)} {near.there:.2f}"
        compared = "the next best group" if near.group == own else "its own group"
        why += f", like {compared} {near.here:.2f}" if near.here is not None and own is not None else ""
        return Vote("embedding", self.grouping.paths[near.group], round(near.strength, 3), why)


def ask_witnesses(proposal: Proposal, evidence: Evidence) -> Testimony:
    """Asks WordNet and the embedding, as far as they are available, about each class of a proposal."""
    grouping = Grouping(proposal)
    kin = find_kin(grouping, evidence.senses) if evidence.senses and grouping.paths else []
    near = find_neighbours(grouping, evidence.vectors) if evidence.vectors is not None and grouping.paths else []
    return Testimony(proposal, evidence.senses, grouping, kin, near)


def find_kin(grouping: Grouping, senses: Senses) -> list[Kinship | None]:
    """The hypernym that speaks for the place of each class, or against it; None where WordNet abstains."""
    weigh = weigh_hypernyms(grouping, senses)
    return [weigh(label, meaning.wnid) if meaning.is_sure else None for label, meaning in enumerate(senses.meanings)]


def weigh_hypernyms(grouping: Grouping, senses: Senses) -> Callable[[int, str], Kinship | None]:
    """Returns a function: label of a class, synset it may mean -> the hypernym that then speaks for a group."""
    wordnet = senses.wordnet
    have: defaultdict[str, Counter[int]] = defaultdict(Counter)  # hypernym -> group -> how many of its classes have it
    known: Counter[int] = Counter()  # group -> how many of its classes WordNet knows
    for label, meaning in enumerate(senses.meanings):
        group = grouping.group_of[label]
        if meaning and group is not None:
            known[group] += 1
            for wnid in wordnet.ancestors(meaning.wnid):
                have[wnid][group] += 1

    def weigh(label: int, wnid: str) -> Kinship | None:
        own = grouping.group_of[label]
        if grouping.is_few(own):
            return None
        meaning = senses.meanings[label]
        counted = wordnet.ancestors(meaning.wnid) if meaning else {}  # itself is not one of the others
        specific = [(wordnet.information(above), above) for above in wordnet.ancestors(wnid)]
        here = {above: have[above][own] - (above in counted) for _, above in specific} if own is not None else {}
        of_here = known[own] - bool(meaning) if own is not None else 0
        return _choose_kin(own, here, of_here, [pair for pair in specific if pair[0] >= SPECIFIC], have, known)

    return weigh


def _choose_kin(
    own: int | None,
    of_its_own: Mapping[str, int],
    of_here: int,
    above: Sequence[tuple[float, str]],
    have: Mapping[str, Counter[int]],
    known: Mapping[int, int],
) -> Kinship | None:
    """The most telling of a class's hypernyms, given how many classes of each group have them.

    One that most of its own group have or, if a more specific one is shared by most of another group and few of its
    own, that.
    """
    best_here: tuple[float, str, Kinship] | None = None
    best_there: tuple[float, float, Kinship] | None = None
    for information, wnid in sorted(above):
        here = of_its_own.get(wnid, 0)
        if own is not None and of_here >= FEW - 1 and here >= MOST * of_here:
            best_here = information, wnid, Kinship(own, wnid, here, of_here, here, of_here)
        if of_here and here > LEAST * of_here:
            continue
        for group, there in sorted(have[wnid].items()):
            if group != own and known[group] >= FEW and there >= MOST * known[group]:
                margin = information * (there / known[group] - here / max(1, of_here))
                if best_there is None or margin > best_there[0]:
                    best_there = margin, information, Kinship(group, wnid, there, known[group], here, of_here)
    if best_there and (best_here is None or best_there[1] > best_here[0]):
        return best_there[2]
    return best_here[2] if best_here else None


def find_neighbours(grouping: Grouping, vectors: Vectors) -> list[Neighbourhood | None]:
    """The group of `FEW` classes or more that each class is most similar to; None where the embedding abstains.

    Similarity to a group is the mean over its other classes.
    """
    import numpy as np

    group_of = np.array([-1 if group is None else group for group in grouping.group_of])
    settled = np.flatnonzero(group_of >= 0)
    size = np.bincount(group_of[settled], minlength=len(grouping.paths))
    sums = np.zeros((len(grouping.paths), vectors.shape[1]))
    np.add.at(sums, group_of[settled], vectors[settled])
    sample = vectors[:: max(1, len(vectors) // 256)] @ vectors.T  # (about 256, K)
    others = sample[sample < 1 - 1e-9]
    least = others.mean() + ALIKE * others.std() if others.size else 1.0
    several = np.array([group for group in range(len(grouping.paths)) if grouping.size[group] >= FEW], np.intp)
    found: list[Neighbourhood | None] = []
    for start in range(0, len(vectors), 512):
        part = slice(start, start + 512)
        itself = np.einsum("kd,kd->k", vectors[part], vectors[part])
        to_groups = vectors[part] @ sums.T  # (512, groups), summed
        for label, row in enumerate(to_groups, start):
            own = grouping.group_of[label]
            if grouping.is_few(own):
                found.append(None)
                continue
            means = row / size
            if own is not None:
                means[own] = (row[own] - itself[label - start]) / max(1, size[own] - 1)
            found.append(_choose_neighbours(label, own, means.round(9), several, float(least), grouping, vectors))
    return found


def _choose_neighbours(
    label: int,
    own: int | None,
    means: Vectors,
    several: NDArray[np.intp],
    least: float,
    grouping: Grouping,
    vectors: Vectors,
) -> Neighbourhood | None:
    """The group, of those of several classes, that a class is most similar to, given its mean similarity to each."""
    import numpy as np

    if not len(several) or means[several].max() <= least:
        return None
    best = several[means[several] == means[several].max()]
    group, here = own if own is not None and own in best else int(best[0]), None
    others = several[several != group]
    if own is None or group == own:
        here = float(means[others].max()) if len(others) else None
    elif grouping.size[own] > 1:
        here = float(means[own])
    if group == own and here is None:  # there is nothing to compare it with
        return None
    if here is not None and means[group] - here < CLOSE:
        return None
    members = [other for other in grouping.members[group] if other != label]
    near = (vectors[members] @ vectors[label]).round(9)
    nearest = tuple(members[i] for i in np.argsort(-near, kind="stable")[:SHOWN])
    return Neighbourhood(group, round(float(means[group]), 3), here if here is None else round(here, 3), nearest)
