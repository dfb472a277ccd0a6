"""Which WordNet synset a class means: its id if that is a WNID, else the sense that fits the other classes best.

Names are ambiguous ("seal", "mouse", "ray"), but the classes of one dataset are related: a sense is likelier if its
hypernyms are close to those of other classes, and if a sentence model finds its words close to the name. On
ImageNet-1k, from names alone, this finds the right synset of 928 of 1,000 classes, without the model of 917; the most
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

# Synsets of each of WordNet's fields, in ImageNet-21k and in all of WordNet, individuals (Everest) left out.
FIELDS: Mapping[str, tuple[int, int]] = {
    "artifact": (7857, 11552), "plant": (4330, 8030), "animal": (3955, 7509), "person": (2844, 7244),
    "food": (1851, 2573), "object": (238, 798), "act": (171, 6650), "shape": (124, 341), "location": (101, 851),
    "body": (88, 2016), "communication": (87, 5387), "attribute": (79, 3039), "substance": (77, 2983),
    "group": (13, 2492), "Tops": (9, 51), "phenomenon": (5, 641), "state": (4, 3544), "cognition": (3, 2964),
    "quantity": (3, 1275), "possession": (2, 1061), "event": (1, 1071), "process": (1, 770), "feeling": (0, 428),
    "motive": (0, 42), "relation": (0, 437), "time": (0, 972),
}  # fmt: skip
PICTURED = sum(pictured for pictured, _ in FIELDS.values())
OWN_FIELDS = (
    0.25  # weight of the list's own fields beside ImageNet's: colours, body parts, weather and sounds have some
)
ORDINARY = -1.0  # up to this, log of a share of a field; fields that ImageNet shows as often gain nothing
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
    rounds: prior (frequency in WordNet's tagged texts, order, words shared with a given definition, likeness to the
    name) times how often the field is photographed or in the list, times kinship with the current senses of the others.
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
    known = [candidates.confidence > Confidence.HEAD for candidates in found]
    shares = [_softmax(prior) for prior in priors]
    if any(len(wnids) > 1 for wnids in senses):
        for _ in range(ROUNDS):
            shares = _weigh(senses, priors, shares, known, wordnet)
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
    return said + lesk + 0.5 * math.log(uses + 1) - 0.5 * math.log(place + 1)


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
    senses: Sequence[tuple[str, ...]],
    priors: list[list[float]],
    shares: list[list[float]],
    known: Sequence[bool],
    wordnet: WordNet,
) -> list[list[float]]:
    """One round: every class weighs its senses by prior, field and kinship, all on the shares of the round before.

    What WordNet knows only by its last word says nothing of the list's fields, and learns nothing of them.
    """
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
    told = [
        _count_fields(wnids, share, wordnet) if is_known else {}
        for wnids, share, is_known in zip(senses, shares, known, strict=True)
    ]
    fields: defaultdict[str, float] = defaultdict(float)
    for counted in told:
        for field, part in counted.items():
            fields[field] += part
    weighed = []
    for label, (wnids, prior, held) in enumerate(zip(senses, priors, own, strict=True)):
        logits = []
        for wnid, before in zip(wnids, prior, strict=True) if len(wnids) > 1 else ():
            field = wordnet.synset(wnid).field
            others = (
                (fields[field] - told[label].get(field, 0.0)) / (len(senses) - 1)
                if known[label] and len(senses) > 1
                else 0.0
            )
            near = _kinship(wnid, total, held, wordnet)
            logits.append(before + _picturable(field, others) + KINSHIP_WEIGHT * near)
        weighed.append(_softmax(logits) if logits else [1.0] * len(wnids))
    return weighed


def _count_fields(wnids: Sequence[str], share: Sequence[float], wordnet: WordNet) -> Mapping[str, float]:
    """The share of a class's senses that is in each field."""
    found: defaultdict[str, float] = defaultdict(float)
    for wnid, part in zip(wnids, share, strict=True):
        found[wordnet.synset(wnid).field] += part
    return found


def _picturable(field: str, others: float) -> float:
    """How likely a sense of a field is in a list: log of the share of its synsets that ImageNet, and the list, have.

    Args:
        field: one of WordNet's.
        others: the share of the list's other classes that are in it.
    """
    pictured, size = FIELDS[field]
    least = math.log((pictured + 5) / (size + 50))
    listed = math.log((pictured + 5 + OWN_FIELDS * others * PICTURED) / (size + 50))
    return max(least, min(listed, ORDINARY))


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
