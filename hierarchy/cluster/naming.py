"""Names for the nodes of a clustering: what their classes share and their siblings do not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

from hierarchy.cluster.terms import Term, Terms, list_labels, to_set
from hierarchy.english import plural
from hierarchy.sources import ClassList
from hierarchy.wordnet import Senses

LONGEST = 40  # characters of a name made of several
PAIR, TRIPLE = 0.65, 0.55  # score of a name made of two or three terms, relative to a single one,
WITH_EXCEPTIONS = 0.75  # of a term with the one or two classes that it is not true of, by their own names,
WITH_OTHERS = 0.7  # and of a name that needs "and others"
SURE_OF_MANY = 0.4  # least coverage of terms that name a node of more than six classes,
SURE = 0.6  # one of five or six,
SURE_OF_FEW = 0.75  # or one of four: "males" is not a name for a boy, a man and a woman
MOST_DOUBTFUL = 0.25  # share of a node's classes that a name may say nothing of, since WordNet does not know them
SMALL = 20  # classes; in a name for more, two exceptions would seem more than they are
FIRSTS, PARTNERS = 10, 5  # terms that are tried as the first of several, and with each


@dataclass(frozen=True)
class _Name:
    """A possible name and its score, from 0 to 1."""

    words: str
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

    A node is named by the hypernym that covers its classes and few others ("sharks"), or by two or three that do
    together ("cups and mugs"), else by a word its classes' names begin or end with, else by its two most central
    classes. One or two classes that a name is not true of are named, too ("vehicles and traffic lights"); with more of
    them, it ends in "and others". No two siblings, and no node and its parent, get the same name.

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
    supers: dict[int, dict[int, list[int]]] = {}  # superclass -> group -> labels
    for label, (index, group) in enumerate(placement):
        supers.setdefault(index, {}).setdefault(group, []).append(label)
    members = {index: to_set(chain.from_iterable(parts.values())) for index, parts in supers.items()}
    everything = to_set(range(len(classes)))
    names = namer.name_siblings(members, everything, taken=set(classes.ids), given=superclasses or {})
    taken = {word.casefold() for word in (*classes.ids, *names.values())}
    result: dict[int, tuple[str, str]] = {}
    for index, parts in supers.items():
        inside = {group: to_set(labels) for group, labels in sorted(parts.items())}
        named = {group: name for (top, group), name in (groups or {}).items() if top == index}
        only = len(parts) == 1 and members[index].bit_count() > 1  # its second best term is wider than its superclass's
        chosen = namer.name_siblings(inside, members[index], taken={names[index]}, given=named, by_example=only)
        for group, name in chosen.items():
            above = names[index]
            single = members[index].bit_count() == 1 and index not in (superclasses or {})
            if single and name.casefold() not in taken:
                above, name = name, above  # the second best term for a single class is the wider one
                taken.add(above.casefold())
            for label in parts[group]:
                result[label] = (above, name)
    return tuple(result[label] for label in range(len(classes)))


class _Namer:
    def __init__(self, classes: ClassList, senses: Senses | None, centrality: Sequence[float]) -> None:
        self.names = classes.names
        self.terms = Terms(classes, senses)
        self.centrality = centrality or [0.0] * len(classes)

    def name_siblings(
        self,
        nodes: Mapping[int, int],
        rivals: int,
        *,
        taken: Collection[str],
        given: Mapping[int, str],
        by_example: bool = False,
    ) -> dict[int, str]:
        """Gives each node its best free name; nodes with a given name keep it, then the best name chooses first."""
        used = {name.casefold() for name in taken}
        result: dict[int, str] = {}
        for index, name in given.items():
            result[index] = next(word for word in _variants(name) if word.casefold() not in used)
            used.add(result[index].casefold())
        choices = {index: self._names(nodes[index], rivals, by_example) for index in nodes if index not in given}
        for index in sorted(choices, key=lambda index: (-choices[index][0].score, index)):
            named = (name.words for name in choices[index])
            free = (words for words in chain(named, self._by_example(nodes[index])) if words.casefold() not in used)
            name = next(free)  # examples never run out
            used.add(name.casefold())
            result[index] = name
        return result

    def _names(self, members: int, rivals: int, by_example: bool) -> list[_Name]:
        """Possible names of a node, best first; never empty."""
        number = members.bit_count()
        if by_example:
            return [_Name(next(self._by_example(members)), 1)]
        terms = [term for term in self.terms.find(members) if term.covers & rivals != rivals or members == rivals]
        ranked = _rank(terms, members, rivals)
        least = number * (SURE_OF_FEW if number <= 4 else SURE if number <= 6 else SURE_OF_MANY)
        found = [
            self._complete([term.words], term.covers, term.clear, members, rivals)
            for term, _ in ranked
            if _count(term, members) >= least
        ]
        found += self._combine(ranked, members, rivals)
        example = 0.45 if number <= 3 else 0.3 if number <= 6 else 0.02
        found.append(_Name(next(self._by_example(members)), example))
        best: dict[str, _Name] = {}
        for name in sorted(found, key=lambda name: (-name.score, name.words)):
            best.setdefault(name.words.casefold(), name)
        return list(best.values())

    def _complete(self, parts: Sequence[str], covers: int, clear: float, members: int, rivals: int) -> _Name:
        """The name made of some terms, and what must be said of the classes that none of them is true of."""
        number, missed = members.bit_count(), members & ~covers
        rest = missed & self.terms.known
        doubtful = (missed ^ rest).bit_count() > MOST_DOUBTFUL * number
        if not doubtful and not rest:
            return _Name(_enumerate(parts) or parts[0], clear * _fit(covers, members, rivals))
        if not doubtful and rest.bit_count() <= (2 if number <= SMALL else 1) and number > 2 * rest.bit_count():
            exceptions = sorted(self.terms.say(label, self.names[label]) for label in list_labels(rest))
            words = _enumerate([*parts, *exceptions])
            if words and _share_no_words([*parts, *exceptions]):
                return _Name(words, WITH_EXCEPTIONS * clear * _fit(covers | rest, members, rivals))
        return _Name(f"{', '.join(parts)} and others", WITH_OTHERS * clear * _fit(covers, members, rivals))

    def _combine(self, ranked: Sequence[tuple[Term, float]], members: int, rivals: int) -> Iterator[_Name]:
        """Names of two terms, each true of a tenth of a node and two classes at least; of three if they cover all."""
        number = members.bit_count()
        least = max(2, number // 10)
        terms = [term for term, _ in ranked]
        for first, _ in sorted(ranked, key=lambda pair: (-pair[1] * _count(pair[0], members), pair[0].words))[:FIRSTS]:
            rest = members & ~first.covers
            if rest.bit_count() < least or number - rest.bit_count() < least:
                continue
            for second in _partners(first, terms, rest, members, rivals, least):
                pair = first.covers | second.covers
                if (pair & members).bit_count() < (SURE if number <= 6 else SURE_OF_MANY) * number:
                    continue
                clear = (first.clear * second.clear) ** 0.5
                yield from self._join((first, second), PAIR * clear, members, rivals)
                left = members & self.terms.known & ~pair
                if left.bit_count() > 1:
                    for third in _partners(first, terms, left, members, rivals, left.bit_count())[:1]:
                        yield from self._join((first, second, third), TRIPLE * clear, members, rivals)

    def _join(self, terms: Sequence[Term], factor: float, members: int, rivals: int) -> Iterator[_Name]:
        parts = _joined(sorted(terms, key=lambda term: (-_count(term, members), term.words)))
        covers = 0
        for term in terms:
            covers |= term.covers
        if parts:
            yield self._complete(parts, covers, factor, members, rivals)

    def _by_example(self, members: int) -> Iterator[str]:
        """Names made of the node's own classes, the most central first; one of them is always free.

        Those whose names have no digits come first.
        """
        order = sorted(
            list_labels(members), key=lambda label: (self._has_digits(label), -self.centrality[label], label)
        )
        names = {self.names[label]: self.terms.say(label, self.names[label]) for label in reversed(order)}
        shown = list(reversed(names))
        rest = " and others" if len(names) > 2 else ""
        if len(names) == 3 and (words := _enumerate([names[name] for name in shown])):
            yield words
        for start in range(max(1, len(names) - 1)):
            pair = [names[name] for name in shown[start : start + 2]]
            if any(said == name != plural(name) for said, name in zip(pair, shown[start:], strict=False)):
                pair = shown[start : start + 2]  # both in the plural or neither
            both = (", " if rest else " and ").join(pair) + rest
            yield both if len(both) <= LONGEST or not rest else f"{pair[0]}{rest}"
        yield from (f"{name} and others" for name in shown)
        yield from (f"{shown[0]} and others ({number})" for number in count(2))  # of classes with equal names

    def _has_digits(self, label: int) -> bool:
        return bool(re.search(r"\d", self.names[label]))


def _rank(terms: Sequence[Term], members: int, rivals: int) -> list[tuple[Term, float]]:
    """Terms with their scores as names of a node, best first."""
    scored = [(term, _fit(term.covers, members, rivals) * term.clear) for term in terms]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].words))


def _partners(first: Term, terms: Sequence[Term], rest: int, members: int, rivals: int, least: int) -> list[Term]:
    """The terms that are best for what the first of several leaves over."""
    able = [term for term in terms if _count(term, rest) >= least and not term.covers & first.covers & members]
    ranked = _rank(able, rest, rivals)
    ranked.sort(key=lambda pair: (-pair[1] * _count(pair[0], rest), pair[0].words))
    return [term for term, _ in ranked[:PARTNERS]]


def _count(term: Term, members: int) -> int:
    return (term.covers & members).bit_count()


def _fit(covers: int, members: int, rivals: int) -> float:
    """How well a name separates a node's classes from all others: coverage, which weighs double, times precision."""
    inside, all_of_them = (covers & members).bit_count(), (covers & rivals).bit_count()
    return float((inside / members.bit_count()) ** 1.5 * (inside / all_of_them) ** 0.7) if inside else 0.0


def _variants(name: str) -> Iterator[str]:
    """A given name, and what it becomes where a class or the node above has it: COCO's "person" holds one class."""
    yield name
    yield plural(name)
    yield from (f"{name} ({word})" for word in ("all", "group", "others"))


def _joined(terms: Sequence[Term]) -> list[str]:
    """The parts of a name, "working" and "hunting dogs"; empty if that would not read well."""
    first, second, *more = (term.words for term in terms)
    head, _, end = first.rpartition(" ")
    other_head, _, other_end = second.rpartition(" ")
    if head and other_head and end == other_end and not more:
        return [head, second]
    parts = [first, second, *more]
    return parts if _share_no_words(parts) and not any(" and " in part for part in parts) and _enumerate(parts) else []


def _share_no_words(parts: Sequence[str]) -> bool:
    words = [plural(word.casefold()) for part in parts for word in part.split()]
    return len(set(words)) == len(words)


def _enumerate(parts: Sequence[str]) -> str:
    """The parts in one phrase, "cups, mugs and bowls"; "" if it is too long."""
    *most, last = parts
    words = f"{', '.join(most)} and {last}" if most else last
    return words if len(words) <= LONGEST or not most else ""
