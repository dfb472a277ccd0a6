"""What a class may mean, for a person to choose from, and what the witnesses say once that is chosen."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from hierarchy.checks import Evidence, ask_witnesses, find_mixed, gather
from hierarchy.errors import EmbedError, ReviewError, WordNetMissing
from hierarchy.proposal import Define, Finding, Proposal, Vote
from hierarchy.wordnet import WordNet

UNDERSTOOD = "tfidf"  # an embedder that always works
MOST_CHARACTERS = 500  # of a definition
DRAWN = 1.0  # seconds in which a screen or a page is drawn


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


def read_meaning(id: str, text: str) -> Define:
    """The edit that says what a class means: a synset of WordNet by its WNID, or a description.

    Raises:
        ReviewError: WordNet has no such synset, or the description is empty, too long or no plain line.

    >>> read_meaning("n1", "a  fish")
    Define(id='n1', definition='a fish', wnid='')
    """
    text = " ".join(text.split())
    if re.fullmatch(r"n\d{8}", text):
        try:
            return Define(id, WordNet().synset(text).gloss, text)
        except KeyError:
            raise ReviewError(f"WordNet has no synset {text!r}; give another one, or a description") from None
        except WordNetMissing:
            raise ReviewError(f"cannot look up {text!r} without WordNet; run `hierarchy wordnet install`") from None
    if not text.isprintable() or not 0 < len(text) <= MOST_CHARACTERS:
        raise ReviewError(f"cannot define {id!r} by that; give a line of 1 to {MOST_CHARACTERS} characters")
    return Define(id, text)


class Witnesses:
    """WordNet and the embedding, asked again where decisions have changed what they spoke about.

    What they know of the classes is kept until a class means something else.

    Args:
        embed: the embedder; TF-IDF speaks where it cannot be used.
    """

    def __init__(self, embed: str = UNDERSTOOD) -> None:
        self._embed = embed
        self._known: tuple[object, Evidence] | None = None
        self._lock = threading.Lock()

    def prepare(self, proposal: Proposal, meanings: Mapping[str, str]) -> None:
        """Gathers what the witnesses know in the background, so that nobody waits for it after the first edit."""
        waiting = threading.Timer(DRAWN, self._gather, (proposal, meanings))
        waiting.daemon = True  # a person who quits at once does not wait either
        waiting.start()

    def vote(
        self, proposal: Proposal, meanings: Mapping[str, str], ids: Iterable[str]
    ) -> Mapping[str, tuple[Vote, ...]]:
        """The votes about some classes whose meanings a person has chosen.

        Args:
            proposal: with the definitions of the classes.
            meanings: class id -> the chosen synset; "" where the person described the meaning.
            ids: the classes to vote on.
        """
        evidence = self._gather(proposal, meanings)
        votes = dict(zip(proposal.classes.ids, ask_witnesses(proposal, evidence).votes(), strict=True))
        return {id: votes[id] for id in ids}

    def find_mixed(
        self, proposal: Proposal, meanings: Mapping[str, str], nodes: Collection[str]
    ) -> tuple[Finding, ...]:
        """Those of some nodes that hold two kinds of things; the other arguments are as of `vote`."""
        evidence = self._gather(proposal, meanings).pick(proposal.settled_labels)
        if evidence.vectors is None:
            return ()
        return tuple(find_mixed(proposal.settled, evidence.vectors, evidence.senses, nodes))

    def _gather(self, proposal: Proposal, meanings: Mapping[str, str]) -> Evidence:
        asked = (proposal.classes, dict(meanings))
        with self._lock:
            if self._known is None or self._known[0] != asked:
                try:
                    evidence = gather(proposal.classes, self._embed, meanings=meanings)
                except EmbedError:
                    evidence = gather(proposal.classes, UNDERSTOOD, meanings=meanings)
                self._known = asked, evidence
            return self._known[1]
