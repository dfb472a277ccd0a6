"""The two witnesses that cost nothing: the group that fits each class's hypernyms, and the one of its nearest classes.

Both are asked about every class, settled or not, and neither knows the votes of the other or of a language model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierarchy.checks.evidence import Evidence
from hierarchy.names import join_path
from hierarchy.proposal import Proposal, Vote
from hierarchy.wordnet import Meaning, Senses, Synset, WordNet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

SPECIFIC = 0.3  # less specific hypernyms are shared by half of all things and say nothing; "animal" has 0.27
NEIGHBOURS = 5  # nearest classes to consider; fewer for a class whose group has fewer others
MANY = 5000  # classes; with more, only hypernyms below SPECIFIC_OF_MANY count, to stay within minutes
SPECIFIC_OF_MANY = 0.5
SHOWN = 3  # classes named in a reason


@dataclass(frozen=True)
class Kinship:
    """What hypernyms say about a class.

    Args:
        best: the index of the group, other than its own, that it shares most information with on average.
        there, here: that information (Resnik 1995) with the best group and with its own; 0 for a class alone there.
        alone: whether its own group has no other class.
    """

    best: int | None
    there: float
    here: float
    alone: bool


@dataclass(frozen=True)
class Neighbourhood:
    """What the nearest classes say about a class: the group of most of them, how many are in it, and their labels."""

    group: int
    count: int
    nearest: tuple[int, ...]  # labels, nearest first


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


@dataclass(frozen=True)
class Testimony:
    """What both witnesses say about a proposal; the checks and the votes read the same testimony.

    Args:
        proposal: what they were asked about.
        senses: what WordNet says about its classes.
        grouping: its groups.
        kin: what the hypernyms of each class say; empty without WordNet.
        near: what the nearest classes of each say; empty without vectors.
    """

    proposal: Proposal
    senses: Senses | None
    grouping: Grouping
    kin: Sequence[Kinship | None]
    near: Sequence[Neighbourhood | None]

    def votes(self) -> tuple[tuple[Vote, ...], ...]:
        """The votes on each class, in label order; a witness abstains if no group fits."""
        return tuple(
            tuple(vote for vote in (self._wordnet_vote(label), self._embedding_vote(label)) if vote)
            for label in range(len(self.proposal.places))
        )

    def _wordnet_vote(self, label: int) -> Vote | None:
        kin, own = self.kin[label] if self.kin else None, self.grouping.group_of[label]
        if kin is None:
            return None
        stays = own is not None and not kin.alone and (kin.best is None or kin.here >= kin.there)
        group = own if stays else kin.best
        if group is None:
            return None
        fit = kin.here if stays else kin.there
        shared = self.shared_hypernym(label, group)
        why = f"all are a kind of {shared.words[0]}" if shared else ""
        return Vote("wordnet", self.grouping.paths[group], round(min(1.0, fit), 3), why)

    def _embedding_vote(self, label: int) -> Vote | None:
        near = self.near[label] if self.near else None
        if near is None:
            return None
        names, group_of = self.proposal.classes.names, self.grouping.group_of
        alike = [names[other] for other in near.nearest if group_of[other] == near.group][:SHOWN]
        why = f"{near.count} of {len(near.nearest)} nearest: {', '.join(alike)}"
        return Vote("embedding", self.grouping.paths[near.group], round(near.count / len(near.nearest), 3), why)

    def shared_hypernym(self, label: int, group: int) -> Synset | None:
        """The lowest synset above a class and all others of a group that WordNet knows; None if it knows none."""
        assert self.senses is not None  # it was asked
        meanings = self.senses.meanings
        others = [meanings[other].wnid for other in self.grouping.members[group] if meanings[other]]
        if not others:
            return None
        return self.senses.wordnet.synset(self.senses.wordnet.lowest_common(meanings[label].wnid, *others))


def ask_witnesses(proposal: Proposal, evidence: Evidence) -> Testimony:
    """Asks WordNet and the embedding, as far as they are available, about each class of a proposal."""
    grouping = Grouping(proposal)
    kin = find_kin(grouping, evidence.senses) if evidence.senses and grouping.paths else []
    near = find_neighbours(grouping, evidence.vectors) if evidence.vectors is not None and grouping.paths else []
    return Testimony(proposal, evidence.senses, grouping, kin, near)


def find_kin(grouping: Grouping, senses: Senses) -> list[Kinship | None]:
    """The information each class shares with its group and with the best other; None without a synset."""
    wordnet, meanings = senses.wordnet, senses.meanings
    least = SPECIFIC if len(meanings) <= MANY else SPECIFIC_OF_MANY
    below: defaultdict[str, list[int]] = defaultdict(list)
    for label, meaning in enumerate(meanings):
        if meaning and grouping.group_of[label] is not None:
            for wnid in wordnet.ancestors(meaning.wnid):
                below[wnid].append(label)
    return [
        _kinship(label, grouping, wordnet, meaning, below, least) if meaning else None
        for label, meaning in enumerate(meanings)
    ]


def _kinship(
    label: int, grouping: Grouping, wordnet: WordNet, meaning: Meaning, below: Mapping[str, Sequence[int]], least: float
) -> Kinship:
    fits = _fits(label, grouping, wordnet, meaning, below, least)
    own, size = grouping.group_of[label], grouping.size
    others = {group: fit / size[group] for group, fit in fits.items() if group != own}
    best = max(others, key=lambda group: (others[group], -group)) if others else None
    alone = own is None or size[own] == 1
    here = 0.0 if alone or own is None else fits.get(own, 0.0) / (size[own] - 1)
    return Kinship(best, others[best] if best is not None else 0.0, here, alone)


def _fits(
    label: int, grouping: Grouping, wordnet: WordNet, meaning: Meaning, below: Mapping[str, Sequence[int]], least: float
) -> dict[int, float]:
    """For each group, the summed information of a class's lowest common hypernyms with the group's other classes."""
    fits: defaultdict[int, float] = defaultdict(float)
    seen = {label}
    specific = [(wordnet.information(wnid), wnid) for wnid in wordnet.ancestors(meaning.wnid)]
    for information, wnid in sorted(specific, reverse=True):
        if information < least:
            break
        for other in below.get(wnid, ()):
            if other not in seen:
                seen.add(other)
                group = grouping.group_of[other]
                assert group is not None  # only classes that have one are below
                fits[group] += information
    return dict(fits)


def find_neighbours(grouping: Grouping, vectors: Vectors) -> list[Neighbourhood | None]:
    """The nearest settled classes of each class, as many as its group has others and at most NEIGHBOURS.

    An unsettled class counts as one of the group of its nearest. None if there are no others.
    """
    import numpy as np

    group_of = np.array([-1 if group is None else group for group in grouping.group_of])
    settled = np.flatnonzero(group_of >= 0)
    found: list[Neighbourhood | None] = []
    for start in range(0, len(vectors), 512):
        near = (vectors[start : start + 512] @ vectors[settled].T).round(9)  # (512, settled)
        near[np.arange(start, start + len(near))[:, None] == settled[None, :]] = -np.inf
        ranked = settled[np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]]  # (512, 5), labels
        for label, row in enumerate(ranked, start):
            others = [int(other) for other in row if other != label]
            most = _others_of_its_group(label, others, grouping)
            kept = tuple(others[:most])
            if not kept:
                found.append(None)
                continue
            group, count = Counter(group_of[list(kept)].tolist()).most_common(1)[0]
            found.append(Neighbourhood(group, count, kept))
    return found


def _others_of_its_group(label: int, nearest: Sequence[int], grouping: Grouping) -> int:
    own = grouping.group_of[label]
    if own is not None:
        return max(1, grouping.size[own] - 1)
    home = grouping.group_of[nearest[0]] if nearest else None
    return 0 if home is None else grouping.size[home]
