"""The senses that a name may have: of the whole name, of another name for the same class, or of a part of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hierarchy.names import SENTENCE_WORDS, take_apart
from hierarchy.wordnet.database import WordNet

PHRASE_END = re.compile(r" (?:with|of|in|on|at|to|and|or|for|from|over|under|without|by) ")  # "man with cane" is a man
FEW = 3  # a rarer sense of a phrase's beginning does not confirm its head: a stop sign is no full stop
LEAST_FIT = 0.15  # no sense fits better: the qualifier says nothing
SPECIFIC = 0.7  # least information of a sense by which words in brackets are another name, not a kind


class Confidence(IntEnum):
    """How a meaning was found, least reliable first, so that confidences can be compared and sorted."""

    UNKNOWN = 0  # WordNet knows no part of the name
    HEAD = 1  # a sense of a part of the name, such as "fish" of "aquarium fish": a guess at the kind, not a definition
    KIN = 2  # one of several senses of the name, chosen because it fits the other classes
    NAME = 3  # the only sense of the whole name
    EXACT = 4  # the class's id is the WNID, or a person chose the sense


@dataclass(frozen=True)
class Candidates:
    """The senses that a class may have.

    Args:
        wnids: the senses, the most frequent first.
        confidence: of the one that will be chosen.
        fits: how well each fits what the name says besides: its qualifier and synonyms; 0 to 1.
        proper: of each, whether it is the sense of a proper name only.
    """

    wnids: tuple[str, ...]
    confidence: Confidence
    fits: tuple[float, ...]
    proper: tuple[bool, ...]


def find_candidates(name: str, wordnet: WordNet, *, titled: bool = False) -> Candidates:
    """The senses that a name may have.

    Args:
        name: as a person or a data set writes it.
        wordnet: the database.
        titled: whether capitals say nothing, because all names of the list begin with one.

    A whole name comes before one of its parts; "mouse (animal)" has the senses of "mouse" that are animals.
    """
    phrase = take_apart(name)
    for words in dict.fromkeys((name, *phrase.spellings, *phrase.synonyms)):
        found = _whole(words, wordnet, titled)
        if found:
            senses, fits = _narrow(found, words, phrase.qualifier, phrase.synonyms, wordnet)
            confidence = Confidence.KIN if len(senses) > 1 else Confidence.NAME
            return _candidates(senses, confidence, fits, words, wordnet)
    named = _whole(phrase.qualifier, wordnet, True) if " " in phrase.qualifier else []  # "Swamp rose (Rosa palustris)"
    named = [wnid for wnid in named if wordnet.information(wnid) >= SPECIFIC]
    if named:
        return _candidates(named, Confidence.KIN, [0.0] * len(named), phrase.qualifier, wordnet)
    for words in (*reversed(phrase.spellings), *phrase.synonyms, phrase.qualifier):
        head, found, sure = _head(words, wordnet)
        if found:
            senses, fits = _narrow(found, head, phrase.qualifier if words != phrase.qualifier else "", (), wordnet)
            return _candidates(senses, Confidence.KIN if sure else Confidence.HEAD, fits, head, wordnet)
    return Candidates((), Confidence.UNKNOWN, (), ())


def _candidates(
    senses: Sequence[str], confidence: Confidence, fits: Sequence[float], words: str, wordnet: WordNet
) -> Candidates:
    return Candidates(
        tuple(senses), confidence, tuple(fits), tuple(_is_proper(words, wnid, wordnet) for wnid in senses)
    )


def _whole(words: str, wordnet: WordNet, titled: bool) -> list[str]:
    """The senses of a whole name, however its words are joined ("wine glass" is a wineglass, "T shirt" a T-shirt)."""
    for spelling in dict.fromkeys((words, words.replace("-", " "), words.replace(" ", "-"), words.replace(" ", ""))):
        senses = wordnet.senses(spelling)
        if senses:
            return _of_same_case(spelling, senses, wordnet, titled)
    return []


def _of_same_case(name: str, senses: Sequence[str], wordnet: WordNet, titled: bool) -> list[str]:
    """Leaves out proper names if a lower-case name has other senses: a caterpillar is not a Caterpillar."""
    if name == name.lower():
        return [wnid for wnid in senses if not _is_proper(name, wnid, wordnet)] or list(senses)
    if titled:
        return list(senses)
    return [wnid for wnid in senses if name in wordnet.synset(wnid).words] or list(senses)


def _is_proper(name: str, wnid: str, wordnet: WordNet) -> bool:
    """Whether a synset has a name only with capitals: George Sand is no sand."""
    same = [word for word in wordnet.synset(wnid).words if word.lower() == name.lower()]
    return bool(same) and name.lower() not in same


def _head(words: str, wordnet: WordNet) -> tuple[str, list[str], bool]:
    """The longest known ending of a phrase, its senses, and whether the beginning confirms them: a maple is a tree."""
    parts = PHRASE_END.split(words)[0].split()
    if SENTENCE_WORDS.intersection(word.lower() for word in parts):
        return "", [], False
    for start in range(len(parts)):
        head = " ".join(parts[start:]).lower()
        heads = [wnid for wnid in wordnet.senses(head) if not _is_proper(head, wnid, wordnet)]
        if heads:
            kinds = wordnet.senses(" ".join(parts[:start]))[:FEW]
            narrowed = [kind for kind in kinds if set(heads[:FEW]) & set(wordnet.ancestors(kind))]
            return head, narrowed or heads, bool(narrowed)
    return "", [], False


def _narrow(
    senses: Sequence[str], words: str, qualifier: str, synonyms: Sequence[str], wordnet: WordNet
) -> tuple[list[str], list[float]]:
    """The senses that a qualifier and synonyms leave, and how well each fits them."""
    joined = _whole(f"{qualifier} {words}", wordnet, False) if qualifier else []  # "club (golf)" is a golf club
    above = {other for wnid in joined for other, steps in wordnet.ancestors(wnid).items() if steps <= 2}
    fits = [
        1.0 if wnid in above else max(_fit(wnid, qualifier, wordnet), _shared(wnid, synonyms, wordnet))
        for wnid in senses
    ]
    best = max(fits)
    if best < 1:
        return list(senses), [fit / best if best > LEAST_FIT else 0.0 for fit in fits]
    return [wnid for wnid, fit in zip(senses, fits, strict=True) if fit == 1], [1.0] * fits.count(1)


def _shared(wnid: str, synonyms: Sequence[str], wordnet: WordNet) -> float:
    """1 if a synset has one of these words too."""
    return float(any(word.lower() in map(str.lower, synonyms) for word in wordnet.synset(wnid).words))


def _fit(wnid: str, qualifier: str, wordnet: WordNet) -> float:
    """How well a sense fits a qualifier: 1 if it is a kind of it, else by the words and hypernyms that they share."""
    if not qualifier:
        return 0.0
    kinds = wordnet.senses(qualifier)
    above = wordnet.ancestors(wnid)
    rank = next((place for place, kind in enumerate(kinds) if kind in above), None)
    if rank == 0 or _shared(wnid, [qualifier], wordnet):
        return 1.0
    told = {word for other, steps in above.items() if steps <= 1 for word in _told(other, wordnet)}
    wanted = set(_content(qualifier))
    said = 0.9 * len(wanted & told) / len(wanted) if wanted else 0.0
    for kind in kinds[:FEW]:  # "car": an automobile, a motor vehicle
        for other, steps in wordnet.ancestors(kind).items():
            if steps <= 1 and told.issuperset(_content(wordnet.synset(other).words[0])):
                said = max(said, 0.8 - 0.2 * steps)
    near = max((wordnet.information(wordnet.lowest_common(wnid, kind)) for kind in kinds), default=0.0)
    return max(said, 0.95 - 0.05 * rank if rank is not None and rank < 10 else 0.0, 0.7 * near)


def _told(wnid: str, wordnet: WordNet) -> Iterator[str]:
    synset = wordnet.synset(wnid)
    return _content(" ".join((*synset.words, synset.gloss)))


def _content(text: str) -> Iterator[str]:
    """Words of three letters or more; the plural in "s" is taken off."""
    for word in re.findall(r"[a-z]{3,}", text.lower()):
        yield word[:-1] if word.endswith("s") and not word.endswith("ss") else word
