"""The two witnesses that cost nothing: which group each class's hypernyms, and its nearest neighbours, speak for.

Both are asked about every class, also one that is unsettled, and neither sees what the other or a model said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierarchy.cluster.embeddings import embedder
from hierarchy.proposal import Proposal, Vote
from hierarchy.sources import ClassList
from hierarchy.wordnet.database import WordNet, open_wordnet
from hierarchy.wordnet.disambiguate import Meaning, choose_senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hierarchy.llm import ReplyCache

    Vectors = NDArray[np.float64]

SPECIFIC = 0.3  # hypernyms less specific are shared by half of all things and say nothing; "animal" has 0.27
NEIGHBOURS = 5  # nearest classes that are looked at; fewer for a group that has no so many others
MANY = 5000  # classes; of more, only hypernyms below SPECIFIC_OF_MANY are looked at, to stay within minutes
SPECIFIC_OF_MANY = 0.5
SHOWN = 3  # classes named in a reason


@dataclass(frozen=True)
class Witnesses:
    """What is known of some classes before anybody proposes anything.

    Args:
        wordnet: WordNet, where it is on this machine.
        meanings: what each class means in it, in label order; empty without it.
        vectors: (K, D), unit rows in label order; None where there are no classes.
    """

    wordnet: WordNet | None
    meanings: tuple[Meaning, ...]
    vectors: Vectors | None


def call_witnesses(
    classes: ClassList,
    embed: str = "tfidf",
    *,
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda stage: None,
) -> Witnesses:
    """Calls the witnesses for some classes: looks them up in WordNet, and embeds them.

    Args:
        embed: the name of an embedder, as `hierarchy.cluster.embeddings.embedder` takes it.
        base_url, cache, seed: of the embedder.
        tell: is called with the name of each stage.

    Raises:
        EmbedError: the embedder is unknown, or cannot be used.
    """
    if not classes.ids:
        return Witnesses(None, (), None)
    tell(f"looking up {len(classes):,} classes in WordNet")
    wordnet = open_wordnet()
    meanings = choose_senses(classes, wordnet) if wordnet else ()
    tell(f"embedding with {embed}")
    vectors = embedder(embed, wordnet=wordnet, meanings=meanings, base_url=base_url, cache=cache, seed=seed)(classes)
    return Witnesses(wordnet, meanings, vectors)


@dataclass(frozen=True)
class Kinship:
    """What hypernyms say of a class.

    Args:
        best: the index of the group, other than its own, that it shares most information with on average.
        there, here: that information (Resnik 1995), with the best group and with its own; 0 of a class alone there.
        alone: whether nobody else is in its own group.
    """

    best: int | None
    there: float
    here: float
    alone: bool


@dataclass(frozen=True)
class Neighbourhood:
    """What the nearest classes say of a class: the group most of them are in, how many are, and who they are."""

    group: int
    votes: int
    nearest: tuple[int, ...]  # labels, nearest first


class Seating:
    """The groups of a proposal: their paths, the group of each class (None while unsettled) and the classes of each."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.paths = proposal.settled.nodes(2) if any(proposal.places) else ()
        index = {path: i for i, path in enumerate(self.paths)}
        self.group_of = [index["/".join(place)] if place else None for place in proposal.places]
        self.size = Counter(group for group in self.group_of if group is not None)
        self.members: defaultdict[int, list[int]] = defaultdict(list)  # labels of each group
        for label, group in enumerate(self.group_of):
            if group is not None:
                self.members[group].append(label)


@dataclass(frozen=True)
class Hearing:
    """What both witnesses say of a proposal. They are heard once: checks and votes are read from the same hearing.

    Args:
        witnesses: who is heard.
        seating: where the classes of the proposal sit.
        kin: of each class, what its hypernyms say; empty without WordNet.
        near: of each class, what its nearest say; empty without vectors.
    """

    witnesses: Witnesses
    seating: Seating
    kin: Sequence[Kinship | None]
    near: Sequence[Neighbourhood | None]


def hear(proposal: Proposal, witnesses: Witnesses) -> Hearing:
    """Hears WordNet and the embedding, as far as they are at hand, about each class of a proposal."""
    wordnet, meanings, vectors = witnesses.wordnet, witnesses.meanings, witnesses.vectors
    seating = Seating(proposal)
    kin = kinships(seating, wordnet, meanings) if wordnet is not None and any(meanings) and seating.paths else []
    near = neighbourhoods(seating, vectors) if vectors is not None and seating.paths else []
    return Hearing(witnesses, seating, kin, near)


def votes(hearing: Hearing) -> tuple[tuple[Vote, ...], ...]:
    """Which group each witness that was heard speaks for, and why, for each class of the proposal in label order.

    A class that no group speaks for has no vote about it.
    """
    seating, wordnet, meanings = hearing.seating, hearing.witnesses.wordnet, hearing.witnesses.meanings
    found: list[list[Vote]] = [[] for _ in seating.proposal.places]
    names = seating.proposal.classes.names
    for label, kin in enumerate(hearing.kin):
        own = seating.group_of[label]
        if kin is None:
            continue
        stays = own is not None and not kin.alone and (kin.best is None or kin.here >= kin.there)
        group = own if stays else kin.best
        if group is not None:
            assert wordnet is not None  # it was heard
            fit = kin.here if stays else kin.there
            why = _shared(label, group, seating, wordnet, meanings)
            found[label].append(Vote("wordnet", seating.paths[group], round(min(1.0, fit), 3), why))
    for label, near in enumerate(hearing.near):
        if near is not None:
            alike = [names[other] for other in near.nearest if seating.group_of[other] == near.group][:SHOWN]
            why = f"{near.votes} of {len(near.nearest)} nearest: {', '.join(alike)}"
            strength = round(near.votes / len(near.nearest), 3)
            found[label].append(Vote("embedding", seating.paths[near.group], strength, why))
    return tuple(map(tuple, found))


def kinships(seating: Seating, wordnet: WordNet, meanings: Sequence[Meaning]) -> list[Kinship | None]:
    """Compares the information each class shares with its group with what it shares with others; None: no synset."""
    least = SPECIFIC if len(meanings) <= MANY else SPECIFIC_OF_MANY
    below: defaultdict[str, list[int]] = defaultdict(list)
    for label, meaning in enumerate(meanings):
        if meaning and seating.group_of[label] is not None:
            for wnid in wordnet.ancestors(meaning.wnid):
                below[wnid].append(label)
    return [
        _kinship(label, seating, wordnet, meaning, below, least) if meaning else None
        for label, meaning in enumerate(meanings)
    ]


def _kinship(
    label: int, seating: Seating, wordnet: WordNet, meaning: Meaning, below: Mapping[str, Sequence[int]], least: float
) -> Kinship:
    fits = _fits(label, seating, wordnet, meaning, below, least)
    own, size = seating.group_of[label], seating.size
    others = {group: fit / size[group] for group, fit in fits.items() if group != own}
    best = max(others, key=lambda group: (others[group], -group)) if others else None
    alone = own is None or size[own] == 1
    here = 0.0 if alone or own is None else fits.get(own, 0.0) / (size[own] - 1)
    return Kinship(best, others[best] if best is not None else 0.0, here, alone)


def _fits(
    label: int, seating: Seating, wordnet: WordNet, meaning: Meaning, below: Mapping[str, Sequence[int]], least: float
) -> dict[int, float]:
    """For each group, the information of the lowest common hypernyms of a class with the group's others, added up."""
    fits: defaultdict[int, float] = defaultdict(float)
    seen = {label}
    specific = [(wordnet.information(wnid), wnid) for wnid in wordnet.ancestors(meaning.wnid)]
    for information, wnid in sorted(specific, reverse=True):
        if information < least:
            break
        for other in below.get(wnid, ()):
            if other not in seen:
                seen.add(other)
                group = seating.group_of[other]
                assert group is not None  # only classes that have one are below
                fits[group] += information
    return dict(fits)


def shared_hypernym(
    label: int, group: int, seating: Seating, wordnet: WordNet, meanings: Sequence[Meaning]
) -> str | None:
    """The lowest synset above a class and all others of a group that mean anything; None where none does."""
    kin = [meanings[other].wnid for other in seating.members[group] if meanings[other]]
    return wordnet.lowest_common(meanings[label].wnid, *kin) if kin else None


def _shared(label: int, group: int, seating: Seating, wordnet: WordNet, meanings: Sequence[Meaning]) -> str:
    shared = shared_hypernym(label, group, seating, wordnet, meanings)
    return f"all are a kind of {wordnet.synset(shared).words[0]}" if shared else ""


def neighbourhoods(seating: Seating, vectors: Vectors) -> list[Neighbourhood | None]:
    """Of each class, its nearest settled classes, as many as its group has others, NEIGHBOURS at most; None: no others.

    An unsettled class is taken for one of the group of its nearest.
    """
    import numpy as np

    group_of = np.array([-1 if group is None else group for group in seating.group_of])
    settled = np.flatnonzero(group_of >= 0)
    found: list[Neighbourhood | None] = []
    for start in range(0, len(vectors), 512):
        near = (vectors[start : start + 512] @ vectors[settled].T).round(9)  # (512, settled)
        near[np.arange(start, start + len(near))[:, None] == settled[None, :]] = -np.inf
        ranked = settled[np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]]  # (512, 5), labels
        for label, row in enumerate(ranked, start):
            others = [int(other) for other in row if other != label]
            most = _others_of_its_group(label, others, seating)
            kept = tuple(others[:most])
            if not kept:
                found.append(None)
                continue
            group, votes = Counter(group_of[list(kept)].tolist()).most_common(1)[0]
            found.append(Neighbourhood(group, votes, kept))
    return found


def _others_of_its_group(label: int, nearest: Sequence[int], seating: Seating) -> int:
    own = seating.group_of[label]
    if own is not None:
        return max(1, seating.size[own] - 1)
    home = seating.group_of[nearest[0]] if nearest else None
    return 0 if home is None else seating.size[home]
