"""Terms for sets of classes: hypernyms and shared words, with the classes that each is true of.

A set of classes is an integer with a bit for each label, because a list of 21,000 classes has 80,000 such sets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log

from hierarchy.english import PLAIN, UNSAID, VAGUE, plural
from hierarchy.names import FUNCTION_WORDS, name_fault
from hierarchy.sources import ClassList
from hierarchy.wordnet import Confidence, Senses, Synset

ALSO = {  # what people see above a synset, and WordNet does not: an apple is food, a bus a vehicle, a shoe clothing
    "n07555863": "n00021265",
    "n04019101": "n04524313",
    "n03380867": "n03051540",
}
SHARED = 0.7  # clearness of a word that names share, relative to a hypernym
TOO_VAGUE = 0.8  # factor of a hypernym that is used only if nothing better is found
KINSHIP = 0.3  # information of a hypernym shared with a class whose own name says that the term is true of it
UNCOUNTED = (  # fields of WordNet whose names are left as they are: "yoga", "rain"
    "act", "attribute", "cognition", "feeling", "phenomenon", "process", "state", "substance", "time",
)  # fmt: skip


@dataclass(frozen=True)
class Term:
    """Words, in the plural; the classes they are true of, as bits; how clear they are, from 0 to 1."""

    words: str
    covers: int
    clear: float


class Terms:
    """All that can be said of sets of classes.

    Args:
        classes: the classes.
        senses: what WordNet says about them, if it is installed.
    """

    def __init__(self, classes: ClassList, senses: Senses | None) -> None:
        self._wordnet = senses.wordnet if senses else None
        self._meanings = senses.meanings if senses else ()
        self._above: list[tuple[str, ...]] = [() for _ in classes.ids]
        self._covers: dict[str, int] = {}  # wnid -> the classes below it
        self._terms: dict[str, Term | None] = {}
        self.known = 0  # the classes that WordNet knows by their whole name; a sense of the last word is a guess
        for label, meaning in enumerate(self._meanings):
            if senses and meaning.confidence > Confidence.HEAD:
                self.known |= 1 << label
                above = dict.fromkeys(senses.wordnet.ancestors(meaning.wnid))
                self._above[label] = tuple(above | dict.fromkeys(ALSO[wnid] for wnid in above if wnid in ALSO))
                for wnid in self._above[label]:
                    self._covers[wnid] = self._covers.get(wnid, 0) | 1 << label
        self._heads = [phrase.head for phrase in classes.phrases]
        self._edges = [_edges(phrase.head, phrase.qualifier) for phrase in classes.phrases]
        self._sharing: dict[tuple[str, str], int] = {}  # edge -> the classes whose names have it
        for label, edges in enumerate(self._edges):
            for edge in edges:
                self._sharing[edge] = self._sharing.get(edge, 0) | 1 << label

    def find(self, members: int) -> list[Term]:
        """The terms that are true of some of these classes; words that names share, of two of them or more."""
        labels = list(list_labels(members))
        hypernyms = (self._hypernym(wnid) for wnid in dict.fromkeys(w for label in labels for w in self._above[label]))
        by_words: dict[str, Term] = {}
        for term in filter(None, hypernyms):  # of two senses of one word, the one that is true of more
            if term.words not in by_words or _is_wider(term, by_words[term.words], members):
                by_words[term.words] = term
        found = list(by_words.values())
        for edge in sorted({edge for label in labels for edge in self._edges[label]}):
            side, word = edge
            shared = self._sharing[edge]
            if (shared & members).bit_count() > 1 and _is_telling(word):
                found.append(Term(self.many(word) if side == "end" else word, shared, SHARED))
        return found

    def say(self, label: int, name: str) -> str:
        """A class's own name as a part of a node's: in the plural if it is a noun that can be counted."""
        if not self.known >> label & 1 or not name.isascii() or self._heads[label].casefold() != name.casefold():
            return name
        assert self._wordnet is not None
        return name if self._wordnet.synset(self._meanings[label].wnid).field in UNCOUNTED else plural(name)

    def many(self, word: str) -> str:
        """The plural of an English noun; any other word as it is."""
        is_noun = word.isascii() and self._wordnet is not None and bool(self._wordnet.senses(word.split()[-1]))
        return plural(word) if is_noun else word

    def _hypernym(self, wnid: str) -> Term | None:
        if wnid not in self._terms:
            self._terms[wnid] = self._describe(wnid)
        return self._terms[wnid]

    def _describe(self, wnid: str) -> Term | None:
        assert self._wordnet is not None
        synset = self._wordnet.synset(wnid)
        words = _plain(synset)
        if words is None or name_fault(words):
            return None
        common = 0.03 * min(5.0, log(1 + max(synset.uses)))
        clear = min(1.0, self._wordnet.information(wnid) ** 0.5 + common)
        covers = self._covers[wnid] | self._named(wnid, synset)
        return Term(words, covers, clear * (TOO_VAGUE if synset.words[0] in VAGUE else 1))

    def _named(self, wnid: str, synset: Synset) -> int:
        """The classes that are called so by their own names and are akin: an African hunting dog is a dog."""
        assert self._wordnet is not None
        kin = 0
        for above in self._wordnet.ancestors(wnid):
            if self._wordnet.information(above) >= KINSHIP:
                kin |= self._covers.get(above, 0)
        called = 0
        for word in synset.words:
            called |= self._sharing.get(("end", word.lower()), 0)
        return called & kin


def list_labels(members: int) -> Iterator[int]:
    """The labels of a set of classes, in order.

    >>> list(list_labels(0b1101))
    [0, 2, 3]
    """
    while members:
        lowest = members & -members
        yield lowest.bit_length() - 1
        members ^= lowest


def to_set(labels: Iterable[int]) -> int:
    """The set of classes with these labels.

    >>> bin(to_set([0, 2, 3]))
    '0b1101'
    """
    members = 0
    for label in labels:
        members |= 1 << label
    return members


def _is_telling(word: str) -> bool:
    return len(word) > 2 and not re.search(r"\d", word) and word not in FUNCTION_WORDS and not name_fault(word)


def _is_wider(one: Term, other: Term, members: int) -> bool:
    return (one.covers & members).bit_count() > (other.covers & members).bit_count()


def _edges(head: str, qualifier: str) -> set[tuple[str, str]]:
    """The last and first word of a class's name, and what narrows it down ("food" of "toast (food)")."""
    words = head.lower().split() or [""]
    start = head if qualifier else words[0] if len(words) > 1 else ""
    return {("end", words[-1]), ("start", start), ("qualifier", qualifier)} - {("start", ""), ("qualifier", "")}


def _plain(synset: Synset) -> str | None:
    """The word that people use for a synset, in the plural; None if it should not be used."""
    first = synset.words[0]
    if first in PLAIN:
        return plural(PLAIN[first])
    if first in UNSAID:
        return None
    known = [
        (uses, -place, word)
        for place, (word, uses) in enumerate(zip(synset.words, synset.uses, strict=True))
        if not re.search(r"\d|\.", word) and (word == word.lower() or uses or (place == 0 and " " in word))
    ]
    if not known:  # a proper name, or Latin
        return plural(first) if " " not in first and not _latin(synset) else None
    return plural(max(known)[2])


def _latin(synset: Synset) -> bool:
    """Whether a synset is a taxon: genus, family, order, ... of animals or plants."""
    return bool(re.match(r"(type )?(genus|family|order|class|phylum|subclass|suborder)\b", synset.words[-1].lower()))
