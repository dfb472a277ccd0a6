"""WordNet 3.0 through NLTK, read lazily: synsets by WNID or by word, their hypernyms, and how alike two of them are."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hierarchy.errors import WordNetMissing


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
        self._reader = _reader()
        self._synsets: dict[str, Synset] = {}
        self._ancestors: dict[str, dict[str, int]] = {}
        self._depths: dict[str, int] = {}

    def has(self, wnid: str) -> bool:
        """Whether a string is the id of a noun's synset."""
        if wnid not in self._synsets and re.fullmatch(r"n\d{8}", wnid):
            # for an invalid offset NLTK warns and gives None, or fails in the middle of a line
            with warnings.catch_warnings(), contextlib.suppress(Exception):
                warnings.simplefilter("ignore")
                self._remember(self._reader.synset_from_pos_and_offset("n", int(wnid[1:])))
        return wnid in self._synsets

    def synset(self, wnid: str) -> Synset:
        """The synset of an id; KeyError if there is none."""
        if not self.has(wnid):
            raise KeyError(wnid)
        return self._synsets[wnid]

    def senses(self, words: str) -> tuple[str, ...]:
        """Ids of the noun senses of a word or phrase, most frequent first; plurals are brought to singular."""
        found = self._reader.synsets(words.strip().replace(" ", "_"), pos="n") if words.strip() else []
        return tuple(self._remember(synset) for synset in found)

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
        if wnid not in self._depths:
            self._depths[wnid] = 1 + max((self.depth(parent) for parent in self.synset(wnid).hypernyms), default=0)
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
        below = _count_below()
        return 1 - math.log(below[wnid]) / math.log(len(below))

    def _remember(self, found: Any) -> str:
        """Keeps NLTK's synset as ours; gives its id."""
        wnid = _wnid(found)
        if wnid not in self._synsets:
            self._synsets[wnid] = Synset(
                wnid=wnid,
                words=tuple(name.replace("_", " ") for name in found.lemma_names()),
                gloss=found.definition(),
                hypernyms=tuple(_wnid(above) for above in found.hypernyms() + found.instance_hypernyms()),
                field=found.lexname().removeprefix("noun."),
                uses=tuple(lemma.count() for lemma in found.lemmas()),
            )
        return wnid


def _wnid(found: Any) -> str:
    return f"n{found.offset():08}"


@lru_cache(maxsize=1)
def _reader() -> Any:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
        version = wordnet.get_version()
    except (LookupError, OSError) as error:
        raise WordNetMissing("WordNet is not installed; run `hierarchy wordnet install`") from error
    if version != "3.0":
        raise WordNetMissing(
            f"NLTK found WordNet {version}, but the ids of ImageNet need 3.0; run `hierarchy wordnet install`"
        )
    return wordnet


@lru_cache(maxsize=1)  # it takes a second, and the data file does not change
def _count_below() -> dict[str, int]:
    """For each noun synset, how many are below it, itself included; read from the data file."""
    parents: dict[str, list[str]] = {}
    for line in _reader().open("data.noun").read().splitlines():
        if not line.startswith("  "):  # the licence at the top is indented
            head = line.partition("|")[0]
            parents["n" + head[:8]] = ["n" + offset for offset in re.findall(r" @i? (\d{8}) n", head)]
    above: dict[str, frozenset[str]] = {}

    def climb(wnid: str) -> frozenset[str]:
        if wnid not in above:
            above[wnid] = frozenset([wnid]).union(*map(climb, parents[wnid]))
        return above[wnid]

    return Counter(ancestor for wnid in parents for ancestor in climb(wnid))
