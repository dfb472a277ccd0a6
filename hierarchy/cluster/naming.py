"""Names for the nodes of a clustering: what their classes share and their siblings do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from math import log

from hierarchy.english import PLAIN, UNSAID, VAGUE, plural
from hierarchy.names import name_fault
from hierarchy.sources import ClassList
from hierarchy.wordnet import Confidence, Senses, Synset

LONGEST = 40  # characters of a name made of two
PAIR = 0.65  # score of a name made of two relative to a plain one
HONEST = 0.9  # score of a name that needs "and others", relative to the same name without
SURE = 0.6  # least coverage of a hypernym that names a node alone,
SURE_OF_FEW = 0.75  # and a node of up to four classes: "males" is not a name for a boy, a man and a woman


@dataclass(frozen=True)
class _Name:
    """A possible name: the words, in the plural; the classes it is true of; its score, from 0 to 1."""

    words: str
    covers: frozenset[int]
    score: float


def name_nodes(
    classes: ClassList,
    placement: Sequence[tuple[int, int]],
    *,
    senses: Senses | None = None,
    centrality: Sequence[float] = (),
    superclasses: Mapping[int, str] | None = None,
    groups: Mapping[tuple[int, int], str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """Names the nodes of a clustering.

    A node is named by the hypernym that covers its classes and few others ("sharks"), or by two that do together
    ("cups and mugs"), else by a word its classes' names begin or end with, else by its two most central classes. A name
    that is not true of all its classes ends in "and others". No two siblings, and no node and its parent, get the same
    name.

    Args:
        classes: the classes.
        placement: the index of each class's superclass, and of its group in there, as `cluster` returns them.
        senses: what WordNet says about the classes, if it is installed.
        centrality: how typical each class is of its group; by default all are equal.
        superclasses, groups: nodes of the placement that have a name already, which they keep.

    Returns:
        The names (superclass, group) of each class, in label order.
    """
    namer = _Namer(classes, senses, centrality)
    everything = frozenset(range(len(classes)))
    supers: dict[int, frozenset[int]] = {}
    for index in dict.fromkeys(superclass for superclass, _ in placement):
        supers[index] = frozenset(label for label, place in enumerate(placement) if place[0] == index)
    names = namer.name_siblings(supers, everything, taken=set(classes.ids), given=superclasses or {})
    result: dict[int, tuple[str, str]] = {}
    for index, members in supers.items():
        parts = {
            group: frozenset(label for label in members if placement[label][1] == group)
            for group in sorted({placement[label][1] for label in members})
        }
        named = {group: name for (top, group), name in (groups or {}).items() if top == index}
        for group, name in namer.name_siblings(parts, members, taken={names[index]}, given=named).items():
            for label in parts[group]:
                result[label] = (names[index], name)
    return tuple(result[label] for label in range(len(classes)))


class _Namer:
    def __init__(self, classes: ClassList, senses: Senses | None, centrality: Sequence[float]) -> None:
        self.classes = classes
        self.wordnet = senses.wordnet if senses else None
        self.centrality = centrality or [0.0] * len(classes)
        self.known: set[int] = set()  # labels of the classes that WordNet knows by their whole name
        self.below: dict[str, set[int]] = {}  # wnid -> labels of the classes below it
        self.above: list[dict[str, int]] = [{} for _ in classes.ids]
        for label, meaning in enumerate(senses.meanings if senses else ()):
            if senses and meaning.confidence > Confidence.HEAD:  # a sense of the last word only is a guess
                self.known.add(label)
                self.above[label] = senses.wordnet.ancestors(meaning.wnid)
                for wnid in self.above[label]:
                    self.below.setdefault(wnid, set()).add(label)

    def name_siblings(
        self,
        nodes: Mapping[int, frozenset[int]],
        rivals: frozenset[int],
        *,
        taken: Collection[str],
        given: Mapping[int, str],
    ) -> dict[int, str]:
        """Gives each node its best free name; nodes with a given name keep it, then the best name chooses first."""
        used = {name.casefold() for name in taken}
        result: dict[int, str] = {}
        for index, name in given.items():
            result[index] = next(word for word in _variants(name) if word.casefold() not in used)
            used.add(result[index].casefold())
        choices = {index: list(self._names(nodes[index], rivals)) for index in nodes if index not in given}
        for index in sorted(choices, key=lambda index: (-choices[index][0].score, index)):
            named = (name.words for name in choices[index])
            free = (words for words in chain(named, self._by_example(nodes[index])) if words.casefold() not in used)
            name = next(free)  # examples never run out
            used.add(name.casefold())
            result[index] = name
        return result

    def _names(self, members: frozenset[int], rivals: frozenset[int]) -> list[_Name]:
        """Possible names of a node, best first; never empty."""
        singles = sorted(self._singles(members, rivals), key=lambda name: (-name.score, name.words))
        least = (SURE if len(members) > 4 else SURE_OF_FEW) * len(members)
        sure = [self._honest(name, members) for name in singles if len(name.covers & members) >= least]
        pairs = list(self._pairs(singles, members, rivals))
        example = 0.45 if len(members) <= 3 else 0.3 if len(members) <= 6 else 0.02
        listed = [_Name(next(self._by_example(members)), members, example)]
        found = sorted((*sure, *pairs, *listed), key=lambda name: (-name.score, name.words))
        best: dict[str, _Name] = {}
        for name in found:
            best.setdefault(name.words.casefold(), name)
        return list(best.values())

    def _honest(self, name: _Name, members: frozenset[int]) -> _Name:
        """The name with "and others" if it is not true of all classes of the node, as far as WordNet knows them."""
        if not (members & self.known) - name.covers:
            return name
        words = name.words.replace(" and ", ", ") + " and others"
        return _Name(words, name.covers, HONEST * name.score)

    def _singles(self, members: frozenset[int], rivals: frozenset[int]) -> Iterator[_Name]:
        """Hypernyms, and words that names begin or end with, each with the classes it is true of."""
        for wnid in dict.fromkeys(wnid for label in sorted(members) for wnid in self.above[label]):
            assert self.wordnet is not None
            synset, covers = self.wordnet.synset(wnid), frozenset(self.below[wnid])
            words = _plain(synset)
            if words is None or name_fault(words) or (covers >= rivals and len(members) < len(rivals)):
                continue
            common = 0.03 * min(5.0, log(1 + max(synset.uses)))
            clear = self.wordnet.information(wnid) ** 0.5 + common
            yield _Name(
                words,
                covers,
                _fit(covers, members, rivals) * min(1.0, clear) * (0.6 if synset.words[0] in VAGUE else 1),
            )
        for words, shared in self._shared_words(members):
            covers = frozenset(label for label in rivals if shared in self._edges[label])
            yield _Name(words, covers, 0.7 * _fit(covers, members, rivals))

    def _shared_words(self, members: frozenset[int]) -> Iterator[tuple[str, tuple[str, str]]]:
        """What several names begin or end with: a name for it, and the edge itself; the plural only of nouns."""
        uses = Counter(edge for label in members for edge in self._edges[label])
        for edge, number in sorted(uses.items()):
            side, word = edge
            if number > 1 and len(word) > 2 and not re.search(r"\d", word) and not name_fault(word):
                yield (self._many(word) if side == "end" else word), edge

    @cached_property
    def _edges(self) -> list[set[tuple[str, str]]]:
        """The last and first word of each class's name, and what narrows it down ("food" of "toast (food)")."""
        edges = []
        for phrase in self.classes.phrases:
            words = phrase.head.lower().split() or [""]
            start = phrase.head if phrase.qualifier else words[0] if len(words) > 1 else ""
            edges.append({("end", words[-1]), ("start", start), ("qualifier", phrase.qualifier)} - {("start", "")})
        return edges

    def _many(self, word: str) -> str:
        """The plural of an English noun; any other word as it is."""
        is_noun = word.isascii() and self.wordnet is not None and bool(self.wordnet.senses(word.split()[-1]))
        return plural(word) if is_noun else word

    def _pairs(self, singles: Sequence[_Name], members: frozenset[int], rivals: frozenset[int]) -> Iterator[_Name]:
        """Two names that cover half of a node or more together, each a tenth of it and two classes at least."""
        least = max(1 if len(members) <= 4 else 2, len(members) // 10)
        for first in sorted(singles, key=lambda name: (-name.score * len(name.covers & members), name.words))[:10]:
            rest = members - first.covers
            if len(rest) < least or len(members) - len(rest) < least:
                continue
            partners = [name for name in self._singles(rest, rivals) if len(name.covers & rest) >= least]
            for second in sorted(partners, key=lambda name: (-name.score * len(name.covers & rest), name.words))[:5]:
                covers = first.covers | second.covers
                if first.covers & second.covers & members or len(covers & members) < SURE * len(members):
                    continue
                words = _joined(*sorted((first, second), key=lambda name: (-len(name.covers & members), name.words)))
                if words:
                    clear = min(1.0, (first.score * second.score) ** 0.25)
                    pair = _Name(words, covers, PAIR * _fit(covers, members, rivals) * clear)
                    yield self._honest(pair, members)

    def _by_example(self, members: frozenset[int]) -> Iterator[str]:
        """Names made of the node's own classes, the most central first; one of them is always free.

        Those whose names have no digits come first. Names are in the plural only if WordNet knows them as nouns.
        """
        order = sorted(members, key=lambda label: (self._has_digits(label), -self.centrality[label], label))
        names = {self.classes.names[label]: label in self.known for label in reversed(order)}
        shown = list(reversed(names))
        rest = " and others" if len(names) > 2 else ""
        for start in range(max(1, len(names) - 1)):
            pair = shown[start : start + 2]
            if all(names[name] and name.isascii() for name in pair):
                pair = [plural(name) for name in pair]
            both = (", " if rest else " and ").join(pair) + rest
            yield both if len(both) <= LONGEST or not rest else f"{pair[0]}{rest}"
        yield from (f"{name} and others" for name in shown)
        yield from (f"{shown[0]} and others ({number})" for number in count(2))  # of classes with equal names

    def _has_digits(self, label: int) -> bool:
        return bool(re.search(r"\d", self.classes.names[label]))


def _variants(name: str) -> Iterator[str]:
    """A given name, and what it becomes where a class or the node above has it: COCO's "person" holds one class."""
    yield name
    yield plural(name)
    yield from (f"{name} ({word})" for word in ("all", "group", "others"))


def _joined(first: _Name, second: _Name) -> str | None:
    """Two names as one, "working and hunting dogs"; None if that would not read well."""
    head, _, end = first.words.rpartition(" ")
    other_head, _, other_end = second.words.rpartition(" ")
    if head and other_head and end == other_end:
        words = f"{head} and {second.words}"
    elif set(first.words.split()) & set(second.words.split()):
        return None
    else:
        words = f"{first.words} and {second.words}"
    return words if words.count(" and ") == 1 and len(words) <= LONGEST else None


def _fit(covers: frozenset[int], members: frozenset[int], rivals: frozenset[int]) -> float:
    """How well a name separates a node's classes from all others: coverage, which weighs double, times precision."""
    inside = len(covers & members)
    others = len((covers & rivals) - members)
    return (inside / len(members)) ** 1.5 * (inside / (inside + others)) ** 0.7 if inside else 0.0


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
