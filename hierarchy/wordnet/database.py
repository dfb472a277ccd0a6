"""WordNet 3.0, read lazily from its index: synsets by WNID or by word, their hypernyms, how alike two of them are."""

from __future__ import annotations

import math
import re
import sqlite3
from dataclasses import dataclass
from functools import lru_cache

from hierarchy.wordnet.index import open_index

VAGUE = 0.25  # information of a synset that says nothing: "artifact" has 0.18, "whole" 0.1, "plant" 0.26, "animal" 0.27
PERSON = "n00007846"  # 0.18, because so many are below it, but people are alike

# Endings of plurals and of their singulars, in the order of WordNet's own morphy(7WN).
PLURALS = (
    ("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
    ("ies", "y"),
)  # fmt: skip


@dataclass(frozen=True)
class Synset:
    """One sense: its id ("n" and the offset in WordNet 3.0, as ImageNet writes it), words, gloss and hypernyms."""

    wnid: str
    words: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]  # wnids; of an individual ("n09275473", Everest) those of its kind
    field: str  # the lexicographer's file it comes from: "animal", "artifact", "food", ...
    uses: tuple[int, ...]  # how often each word has this sense in the tagged texts that come with WordNet


class WordNet:
    """The nouns of WordNet 3.0.

    Raises:
        WordNetMissing: the data files are not where NLTK looks.

    >>> wordnet = WordNet()
    >>> wordnet.synset("n02084071").words[:2]
    ('dog', 'domestic dog')
    >>> wordnet.synset(wordnet.lowest_common("n02084071", "n02121808")).words[0]
    'carnivore'
    """

    def __init__(self) -> None:
        self._index = _reader()
        (self._synset_count,) = self._index.execute("select synsets from about").fetchone()
        self._synsets: dict[str, Synset] = {}
        self._depths: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._ancestors: dict[str, dict[str, int]] = {}

    def has(self, wnid: str) -> bool:
        """Whether a string is the id of a noun's synset."""
        return wnid in self._synsets or bool(re.fullmatch(r"n\d{8}", wnid) and self._read(wnid))

    def synset(self, wnid: str) -> Synset:
        """The synset of an id; KeyError if there is none."""
        if not self.has(wnid):
            raise KeyError(wnid)
        return self._synsets[wnid]

    def senses(self, words: str) -> tuple[str, ...]:
        """Ids of the noun senses of a word or phrase, most frequent first; plurals are brought to singular."""
        form = "_".join(words.lower().split())
        found = self._index.execute("select words from exceptions where form = ?", (form,)).fetchone()
        singular = (
            found[0].split() if found else [form[: -len(old)] + new for old, new in PLURALS if form.endswith(old)]
        )
        wnids: dict[str, None] = {}
        for word in (form, *singular):
            row = self._index.execute("select offsets from words where word = ?", (word,)).fetchone()
            wnids |= dict.fromkeys(_wnids(row[0]) if row else ())
        return tuple(wnids)

    def ancestors(self, wnid: str) -> dict[str, int]:
        """Everything above a synset, itself included, with the fewest steps up to it."""
        if wnid not in self._ancestors:
            above = {wnid: 0}
            for parent in self.synset(wnid).hypernyms:
                for ancestor, steps in self.ancestors(parent).items():
                    above[ancestor] = min(steps + 1, above.get(ancestor, steps + 1))
            self._ancestors[wnid] = above
        return self._ancestors[wnid]

    def paths(self, wnid: str) -> tuple[tuple[str, ...], ...]:
        """All paths from the root down to a synset, both included."""
        parents = self.synset(wnid).hypernyms
        if not parents:
            return ((wnid,),)
        return tuple((*path, wnid) for parent in parents for path in self.paths(parent))

    def depth(self, wnid: str) -> int:
        """Synsets on the longest path from the root, both ends counted; 1 for the root ("entity")."""
        self.synset(wnid)
        return self._depths[wnid]

    def lowest_common(self, first: str, *others: str) -> str:
        """The deepest synset above all of those given (or one of them)."""
        common = set(self.ancestors(first))
        for other in others:
            common &= set(self.ancestors(other))
        return max(common, key=lambda wnid: (self.depth(wnid), wnid))

    def wu_palmer(self, first: str, second: str) -> float:
        """Similarity from 0 to 1: twice the depth of the lowest common hypernym over both depths (Wu & Palmer 1994)."""
        common = self.depth(self.lowest_common(first, second))
        return 2 * common / (self.depth(first) + self.depth(second))

    def information(self, wnid: str) -> float:
        """How specific a synset is, from 0 (all nouns are below it) to 1 (none is).

        The intrinsic information content: 1 - log(synsets below it, with it) / log(all synsets) (Seco, Veale & Hayes
        2004).
        """
        self.synset(wnid)
        return 1 - math.log(self._below[wnid]) / math.log(self._synset_count)

    def is_vague(self, wnid: str) -> bool:
        """Whether a synset is too general to be evidence of anything: "entity", "whole", "artifact", "act".

        >>> wordnet = WordNet()
        >>> [wordnet.is_vague(wordnet.senses(word)[0]) for word in ("artifact", "animal", "person", "dog")]
        [True, False, False, False]
        """
        return wnid != PERSON and self.information(wnid) < VAGUE

    def _read(self, wnid: str) -> bool:
        """Reads a synset from the index; whether it is there."""
        row = self._index.execute(
            "select words, gloss, hypernyms, field, uses, depth, below from synsets where offset = ?", (int(wnid[1:]),)
        ).fetchone()
        if row is None:
            return False
        words, gloss, hypernyms, field, uses, self._depths[wnid], self._below[wnid] = row
        self._synsets[wnid] = Synset(
            wnid=wnid,
            words=tuple(word.replace("_", " ") for word in words.split()),
            gloss=gloss,
            hypernyms=_wnids(hypernyms),
            field=field,
            uses=tuple(map(int, uses.split())),
        )
        return True


def _wnids(offsets: str) -> tuple[str, ...]:
    return tuple(f"n{offset:0>8}" for offset in offsets.split())


@lru_cache(maxsize=1)
def _reader() -> sqlite3.Connection:
    return open_index()
