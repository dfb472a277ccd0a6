"""Which WordNet synset a class means: its id if that is a WNID, else the sense that fits the other classes best.

Names are ambiguous ("seal", "mouse", "ray"), but the classes of one dataset are related: a sense is likelier if its
hypernyms are close to those of other classes, and if a sentence model finds its words close to the name. On
ImageNet-1k, from names alone, this finds the right synset of 930 of 1,000 classes, without the model of 917; the most
frequent sense is right for 791.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hierarchy.names import are_titled
from hierarchy.sources import ClassList
from hierarchy.wordnet.candidates import Candidates, Confidence, find_candidates
from hierarchy.wordnet.database import VAGUE, WordNet

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
FIT_WEIGHT = 8.0  # of what a name says besides, such as "animal" of "mouse (animal)"
PROPER = -1.5  # for a sense of a proper name only
LIKENESS_WEIGHT = 5.0  # of what a sentence model says; with 7 or more, superclasses of CIFAR-100 lose .07 of ARI
GLOSS = 40  # characters of a gloss that it reads
MOST_LIKENED = 20_000  # senses that a sentence model reads, at 3 ms each

# (all names, pairs of a label and a description of a sense) -> how alike each two are
Liken: TypeAlias = Callable[[Sequence[str], Sequence[tuple[int, str]]], Sequence[float]]


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


def mean_exactly(wnid: str) -> Meaning:
    """The meaning that a person chose; "" is for none that WordNet has."""
    return Meaning(wnid, Confidence.EXACT, ((wnid, 1.0),)) if wnid else UNKNOWN


def choose_senses(classes: ClassList, wordnet: WordNet, liken: Liken | None = None) -> tuple[Meaning, ...]:
    """The meaning of each class, in label order.

    A class whose id is a WNID means that synset. For all others the senses of all names are weighed together, in
    rounds: prior (frequency in WordNet's tagged texts, order, how often the field is photographed, words shared with
    a given definition, likeness to the name) times kinship with the current senses of the other classes.
    """
    titled = are_titled(classes.names)
    found = [
        Candidates((id,), Confidence.EXACT, (0.0,), (False,))
        if wordnet.has(id)
        else find_candidates(name, wordnet, titled=titled)
        for id, name in zip(classes.ids, classes.names, strict=True)
    ]
    priors = [
        [_prior(place, candidates, name, definition, wordnet) for place in range(len(candidates.wnids))]
        for candidates, name, definition in zip(found, classes.names, classes.definitions, strict=True)
    ]
    if liken is not None:
        _add_likeness(priors, found, classes.names, wordnet, liken)
    senses = [candidates.wnids for candidates in found]
    shares = [_softmax(prior) for prior in priors]
    if any(len(wnids) > 1 for wnids in senses):
        for _ in range(ROUNDS):
            shares = _weigh(senses, priors, shares, wordnet)
    return tuple(
        _meaning(candidates.wnids, candidates.confidence, share)
        for candidates, share in zip(found, shares, strict=True)
    )


def _prior(place: int, candidates: Candidates, name: str, definition: str, wordnet: WordNet) -> float:
    """Log-probability of a sense, up to a constant, before the other classes are considered."""
    synset = wordnet.synset(candidates.wnids[place])
    words = {word.lower() for word in (name, *name.split())}
    uses = max(
        (count for word, count in zip(synset.words, synset.uses, strict=True) if word.lower() in words), default=0
    )
    shared = _content(definition) & _content(synset.gloss)  # Lesk (1986)
    lesk = 4 * len(shared) / len(_content(definition)) if shared else 0
    said = FIT_WEIGHT * candidates.fits[place] + PROPER * candidates.proper[place]
    return said + lesk + 0.5 * math.log(uses + 1) - 0.5 * math.log(place + 1) + PICTURABLE.get(synset.field, -6.0)


def _add_likeness(
    priors: list[list[float]], found: Sequence[Candidates], names: Sequence[str], wordnet: WordNet, liken: Liken
) -> None:
    """Adds to each sense of an ambiguous name how alike the name and the sense's words are."""
    places = [
        (label, place)
        for label, candidates in enumerate(found)
        if len(candidates.wnids) > 1
        for place in range(len(candidates.wnids))
    ]
    if not 0 < len(places) <= MOST_LIKENED:
        return
    likeness = liken(names, [(label, _describe(found[label].wnids[place], wordnet)) for label, place in places])
    for (label, place), alike in zip(places, likeness, strict=True):
        priors[label][place] += LIKENESS_WEIGHT * alike


def _describe(wnid: str, wordnet: WordNet) -> str:
    """A sense in a few words: "spider, arachnid, animal, predatory arachnid with eight legs"."""
    synset = wordnet.synset(wnid)
    above = [wordnet.synset(parent).words[0] for parent in synset.hypernyms[:1]]
    return ", ".join((*synset.words[:3], *above, synset.field, synset.gloss.split(";")[0][:GLOSS]))


def _content(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower()))


def _weigh(
    senses: Sequence[tuple[str, ...]], priors: list[list[float]], shares: list[list[float]], wordnet: WordNet
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
    """Mean specificity of the lowest hypernyms that a sense shares with its 1, 2, 4, ... nearest other classes.

    Specificity is information above that of a vague hypernym, which brings nothing together.
    """
    near = [
        (total[ancestor] - own[ancestor], wordnet.information(ancestor) - VAGUE) for ancestor in wordnet.ancestors(wnid)
    ]
    return sum(
        max((specific for others, specific in near if others >= count - 0.5), default=0.0) for count in NEAREST_COUNTS
    ) / len(NEAREST_COUNTS)


def _softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / sum(powers) for power in powers]


def _meaning(wnids: tuple[str, ...], confidence: Confidence, shares: list[float]) -> Meaning:
    if not wnids:
        return UNKNOWN
    ranked = sorted(zip(wnids, shares, strict=True), key=lambda pair: (-pair[1], wnids.index(pair[0])))
    kept = tuple((wnid, round(share, 6)) for wnid, share in ranked if share >= LEAST_SHARE)
    return Meaning(ranked[0][0], confidence, kept)
