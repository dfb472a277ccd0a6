"""What a class may mean, for a person to choose from, and what the witnesses say of it then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hierarchy.checks import ask_witnesses, gather
from hierarchy.errors import EmbedError, WordNetMissing
from hierarchy.proposal import Proposal, Vote
from hierarchy.wordnet import WordNet

UNDERSTOOD = "tfidf"  # an embedder that always works


@dataclass(frozen=True)
class Sense:
    """A sense of a name: its synset, the kind of thing it is, and its definition."""

    wnid: str
    kind: str
    definition: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.definition}" if self.kind else self.definition


def list_senses(name: str) -> tuple[Sense, ...]:
    """The senses of a name in WordNet, or of its longest known ending; none if WordNet is missing or knows neither.

    >>> list_senses("zzyzx qua")
    ()
    """
    try:
        wordnet = WordNet()
    except WordNetMissing:
        return ()
    words = name.split()
    ends = (wordnet.senses(" ".join(words[start:])) for start in range(len(words)))
    found = []
    for wnid in next((senses for senses in ends if senses), ()):
        path = wordnet.paths(wnid)[0]
        kind = wordnet.synset(path[-2]).words[0] if len(path) > 1 else ""
        found.append(Sense(wnid, kind, wordnet.synset(wnid).gloss))
    return tuple(found)


def renew_votes(
    proposal: Proposal, meanings: Mapping[str, str], ids: Iterable[str], *, embed: str = UNDERSTOOD
) -> dict[str, tuple[Vote, ...]]:
    """The votes of WordNet and the embedding about some classes, whose meanings a person has chosen.

    Args:
        proposal: with the definitions of the classes.
        meanings: class id -> the chosen synset; "" where the person described the meaning.
        ids: the classes to vote on.
        embed: the embedder; TF-IDF speaks where it cannot be used.
    """
    try:
        evidence = gather(proposal.classes, embed, meanings=meanings)
    except EmbedError:
        evidence = gather(proposal.classes, UNDERSTOOD, meanings=meanings)
    votes = dict(zip(proposal.classes.ids, ask_witnesses(proposal, evidence).votes(), strict=True))
    return {id: votes[id] for id in ids}
