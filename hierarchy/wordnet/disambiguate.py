"""Which WordNet synset a class means: its id if that is a WNID, else the sense that fits the other classes best.

Names are ambiguous ("seal", "mouse", "ray"), but the classes of one dataset are related: a sense is likelier if its
hypernyms are close to those of other classes. On ImageNet-1k, from names alone, this finds the right synset of 916 of
1,000 classes; the most frequent sense is right for 790.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from hierarchy.errors import WordNetMissing
from hierarchy.sources import ClassList
from hierarchy.wordnet.database import WordNet


class Confidence(IntEnum):
    """How a meaning was found, least reliable first, so that confidences can be compared and sorted."""

    UNKNOWN = 0  # WordNet knows no part of the name
    HEAD = 1  # a sense of a part of the name, such as "fish" of "aquarium fish": a guess at the kind, not a definition
    KIN = 2  # one of several senses of the name, chosen because it fits the other classes
    NAME = 3  # the only sense of the whole name
    EXACT = 4  # the class's id is the WNID


# How likely a sense in each of WordNet's fields is to be photographed: log((a + 5) / (b + 50)) for a synsets of the
# field in ImageNet-21k and b in all of WordNet, individuals (Everest) left out.
PICTURABLE: Mapping[str, float] = {
    "food": -0.35, "artifact": -0.38, "plant": -0.62, "animal": -0.64, "person": -0.94, "shape": -1.11,
    "object": -1.25, "Tops": -1.98, "location": -2.14, "motive": -2.91, "body": -3.1, "attribute": -3.6,
    "substance": -3.61, "act": -3.61, "communication": -4.08, "phenomenon": -4.24, "feeling": -4.56,
    "relation": -4.58, "process": -4.92, "group": -4.95, "possession": -5.07, "quantity": -5.11, "event": -5.23,
    "time": -5.32, "cognition": -5.93, "state": -5.99,
}  # fmt: skip
KINSHIP_WEIGHT = 10.0  # against frequency; 8 to 14 differ by 5 of ImageNet-1k's classes
NEAREST_COUNTS = (1, 2, 4, 8, 16)  # kinship is the mean over this many nearest other classes
ROUNDS = 6  # senses stop changing after 4 or 5
SURE = 0.5  # least share of a sense whose gloss is a definition
LEAST_SHARE = 0.02  # a smaller share is not evidence of anything
PHRASE_END = re.compile(r" (?:with|of|in|on|and|for|from|over|without) ")  # "man with cane" is a man


@dataclass(frozen=True)
class Meaning:
    """What a class means.

    Args:
        wnid: the synset.
        confidence: how it was found; UNKNOWN if WordNet knows no part of the name and `wnid` is "".
        shares: the synset and its runners-up with their shares, which add up to at most 1; largest first.
    """

    wnid: str
    confidence: Confidence
    shares: tuple[tuple[str, float], ...]

    def __bool__(self) -> bool:
        return self.confidence is not Confidence.UNKNOWN

    @property
    def is_sure(self) -> bool:
        """Whether its gloss may be shown as the class's definition: at least `SURE` likely, and not by a head."""
        return self.confidence > Confidence.HEAD and self.shares[0][1] >= SURE


UNKNOWN = Meaning("", Confidence.UNKNOWN, ())


@dataclass(frozen=True)
class Senses:
    """What WordNet says about some classes.

    Args:
        wordnet: the database.
        meanings: what each class means, in label order.
        definitions: the definition of each class: its own, else the gloss of its meaning, else "".
    """

    wordnet: WordNet
    meanings: tuple[Meaning, ...]
    definitions: tuple[str, ...]

    def __bool__(self) -> bool:
        """Whether WordNet knows any of the classes."""
        return any(self.meanings)


def find_senses(classes: ClassList, wordnet: WordNet | None = None) -> Senses | None:
    """Looks classes up in WordNet.

    Args:
        classes: the classes, with definitions where they have any.
        wordnet: an open database; opened if None.

    Returns:
        Their meanings, and their definitions filled in; None if WordNet is not installed.
    """
    try:
        wordnet = wordnet or WordNet()
    except WordNetMissing:
        return None
    meanings = choose_senses(classes, wordnet)
    definitions = (
        definition or (wordnet.synset(meaning.wnid).gloss if meaning else "")
        for definition, meaning in zip(classes.definitions, meanings, strict=True)
    )
    return Senses(wordnet, meanings, tuple(definitions))


def choose_senses(classes: ClassList, wordnet: WordNet) -> tuple[Meaning, ...]:
    """The meaning of each class, in label order.

    A class whose id is a WNID means that synset. For all others the senses of all names are weighed together, in
    rounds: prior (frequency in WordNet's tagged texts, order, how often the field is photographed, words shared with
    a given definition) times kinship with the current senses of the other classes.
    """
    by_id = [wordnet.has(id) for id in classes.ids]
    found: list[tuple[list[str], Confidence]] = [
        ([id], Confidence.EXACT) if known else _candidates(name, wordnet)
        for id, name, known in zip(classes.ids, classes.names, by_id, strict=True)
    ]
    priors = [
        [_prior(wnid, place, name, definition, wordnet) for place, wnid in enumerate(wnids)]
        for (wnids, _), name, definition in zip(found, classes.names, classes.definitions, strict=True)
    ]
    shares = [_softmax(prior) for prior in priors]
    if not all(by_id):
        for _ in range(ROUNDS):
            shares = _weigh([wnids for wnids, _ in found], priors, shares, wordnet)
    return tuple(_meaning(wnids, confidence, share) for (wnids, confidence), share in zip(found, shares, strict=True))


def _candidates(name: str, wordnet: WordNet) -> tuple[list[str], Confidence]:
    """The senses a name may have: its own, else those of its longest known ending, narrowed down by its beginning."""
    whole = wordnet.senses(name)
    if whole:
        senses = _of_same_case(name, whole, wordnet)
        return senses, Confidence.KIN if len(senses) > 1 else Confidence.NAME
    words = PHRASE_END.split(name)[0].split()
    for start in range(len(words)):
        heads = wordnet.senses(" ".join(words[start:]))
        if heads:
            kinds = wordnet.senses(" ".join(words[:start]))  # "maple" of "maple tree" has a sense that is a tree
            narrowed = [kind for kind in kinds if set(heads) & set(wordnet.ancestors(kind))]
            return narrowed or list(heads), Confidence.HEAD
    return [], Confidence.UNKNOWN


def _of_same_case(name: str, senses: Sequence[str], wordnet: WordNet) -> list[str]:
    """Leaves out proper names if a lower-case name has other senses: a caterpillar is not a Caterpillar."""
    if name != name.lower():
        return list(senses)
    proper = {wnid for wnid in senses if any(word.lower() == name != word for word in wordnet.synset(wnid).words)}
    return [wnid for wnid in senses if wnid not in proper] or list(senses)


def _prior(wnid: str, place: int, name: str, definition: str, wordnet: WordNet) -> float:
    """Log-probability of a sense, up to a constant, before the other classes are considered."""
    synset = wordnet.synset(wnid)
    words = {word.lower() for word in (name, *name.split())}
    uses = max(
        (count for word, count in zip(synset.words, synset.uses, strict=True) if word.lower() in words), default=0
    )
    shared = _content(definition) & _content(synset.gloss)  # Lesk (1986)
    lesk = 4 * len(shared) / len(_content(definition)) if shared else 0
    return lesk + 0.5 * math.log(uses + 1) - 0.5 * math.log(place + 1) + PICTURABLE.get(synset.field, -6.0)


def _content(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def _weigh(
    senses: list[list[str]], priors: list[list[float]], shares: list[list[float]], wordnet: WordNet
) -> list[list[float]]:
    """One round: every class weighs its senses by prior and kinship, all on the shares of the round before."""
    own: list[Mapping[str, float]] = []
    for wnids, share in zip(senses, shares, strict=True):
        mass: defaultdict[str, float] = defaultdict(float)
        for wnid, part in zip(wnids, share, strict=True):
            for ancestor in wordnet.ancestors(wnid):
                mass[ancestor] += part
        own.append(mass)
    total: defaultdict[str, float] = defaultdict(float)
    for held in own:
        for ancestor, part in held.items():
            total[ancestor] += part
    weighed = []
    for wnids, prior, held in zip(senses, priors, own, strict=True):
        kin = [_kinship(wnid, total, held, wordnet) if len(wnids) > 1 else 0.0 for wnid in wnids]
        weighed.append(_softmax([before + KINSHIP_WEIGHT * near for before, near in zip(prior, kin, strict=True)]))
    return weighed


def _kinship(wnid: str, total: Mapping[str, float], own: Mapping[str, float], wordnet: WordNet) -> float:
    """Mean specificity of the lowest hypernyms that a sense shares with its 1, 2, 4, ... nearest other classes."""
    near = [(total[ancestor] - own[ancestor], wordnet.information(ancestor)) for ancestor in wordnet.ancestors(wnid)]
    return sum(
        max((specific for others, specific in near if others >= count - 0.5), default=0.0) for count in NEAREST_COUNTS
    ) / len(NEAREST_COUNTS)


def _softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def _meaning(wnids: list[str], confidence: Confidence, shares: list[float]) -> Meaning:
    if not wnids:
        return UNKNOWN
    ranked = sorted(zip(wnids, shares, strict=True), key=lambda pair: (-pair[1], wnids.index(pair[0])))
    kept = tuple((wnid, round(share, 6)) for wnid, share in ranked if share >= LEAST_SHARE)
    return Meaning(ranked[0][0], confidence, kept)
