"""Names for the nodes of a clustering: what their classes share and their siblings do not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from math import log

from hierarchy.english import PLAIN, UNSAID, VAGUE, plural
from hierarchy.names import name_fault
from hierarchy.sources import ClassList
from hierarchy.wordnet import Senses, Synset

LONGEST = 40  # characters of a name made of two
PAIR = 0.65  # score of a name made of two relative to a plain one
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
    ("cups and mugs"), else by a word its classes' names share, else by its two most central classes. No two
    siblings, and no node and its parent, get the same name.

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
        self.below: dict[str, set[int]] = {}  # wnid -> labels of the classes below it
        self.above: list[dict[str, int]] = [{} for _ in classes.ids]
        for label, meaning in enumerate(senses.meanings if senses else ()):
            if senses and meaning:
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
        sure = [name for name in singles if len(name.covers & members) >= least]
        pairs = list(self._pairs(singles, members, rivals))
        example = 0.45 if len(members) <= 3 else 0.3 if len(members) <= 6 else 0.02
        listed = [_Name(next(self._by_example(members)), members, example)]
        found = sorted((*sure, *pairs, *listed), key=lambda name: (-name.score, name.words))
        best: dict[str, _Name] = {}
        for name in found:
            best.setdefault(name.words.casefold(), name)
        return list(best.values())

    def _singles(self, members: frozenset[int], rivals: frozenset[int]) -> Iterator[_Name]:
        """Hypernyms, and words at the end of names, each with the classes it is true of."""
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
        ends = Counter(self._end(label) for label in members)
        for end, uses in sorted(ends.items()):
            if uses > 1 and len(end) > 2:
                covers = frozenset(label for label in rivals if self._end(label) == end)
                yield _Name(plural(end), covers, 0.7 * _fit(covers, members, rivals))

    def _end(self, label: int) -> str:
        return self.classes.names[label].split()[-1].lower()

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
                if first.covers & second.covers & members or len(covers & members) < 0.5 * len(members):
                    continue
                words = _joined(*sorted((first, second), key=lambda name: (-len(name.covers & members), name.words)))
                if words:
                    clear = min(1.0, (first.score * second.score) ** 0.25)
                    yield _Name(words, covers, PAIR * _fit(covers, members, rivals) * clear)

    def _by_example(self, members: frozenset[int]) -> Iterator[str]:
        """Names made of the node's own classes, the most central first; one of them is always free."""
        order = sorted(members, key=lambda label: (-self.centrality[label], label))
        plurals = list(dict.fromkeys(plural(self.classes.names[label]) for label in order))
        for start in range(max(1, len(plurals) - 1)):
            yield " and ".join(plurals[start : start + 2])
        yield from (f"{plurals[0]} {number}" for number in count(2))


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
