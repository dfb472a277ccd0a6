"""A list of classes, and the checks that every source has to pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hierarchy.errors import SourceError, in_one_sentence
from hierarchy.names import Phrase, name_fault, take_apart

FEWEST = 3  # classes; with fewer, three levels have nothing to group
LONGEST = 200  # characters of an id or a name; the longest of ImageNet-21k has 46


@dataclass(frozen=True)
class ClassList:
    """K classes in label order: unique ids, display names, definitions ("" if there is none), and their source.

    `places` holds the (superclass, group) of each class where the source states them, "" where it does not; it is
    empty if the source states none.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    definitions: tuple[str, ...]
    source: str
    places: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """The number of classes, K."""
        return len(self.ids)

    def pick(self, labels: Sequence[int]) -> ClassList:
        """The classes with these labels, in their order."""
        columns = (self.ids, self.names, self.definitions)
        ids, names, definitions = (tuple(column[label] for label in labels) for column in columns)
        places = tuple(self.places[label] for label in labels) if self.places else ()
        return ClassList(ids, names, definitions, self.source, places)

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        """Each class's name taken apart for look-up; by its id where only that still has the synonyms.

        >>> ClassList(("car;auto",), ("car",), ("",), "ade20k").phrases[0].synonyms
        ('auto',)
        """
        pairs = [(take_apart(id), take_apart(name)) for id, name in zip(self.ids, self.names, strict=True)]
        return tuple(by_id if by_id.head == by_name.head else by_name for by_id, by_name in pairs)


@dataclass(frozen=True)
class Entry:
    """A class as a source states it, and the place it was read from ("names.txt:3")."""

    place: str
    id: str
    name: str
    definition: str = ""


def parse(entries: Sequence[Entry], source: str, fewest: int = FEWEST) -> ClassList:
    """Turns entries into classes; the border behind which ids are unique and names are clean.

    Raises:
        SourceError: there are too few classes, or ids or names are bad; the message has all problems.
    """
    problems = tuple(_problems(entries))
    if problems:
        raise SourceError(in_one_sentence("", problems))  # each begins with its place
    if len(entries) < fewest:
        found = {0: "no classes", 1: "one class"}.get(len(entries), f"{len(entries)} classes")
        needed = f"a hierarchy needs at least {fewest}" if fewest == FEWEST else f"give at least {fewest}"
        raise SourceError(f"{source} has {found}; {needed}")
    return ClassList(
        ids=tuple(entry.id for entry in entries),
        names=tuple(entry.name for entry in entries),
        definitions=tuple(entry.definition for entry in entries),
        source=source,
    )


def _problems(entries: Sequence[Entry]) -> Iterator[str]:
    first: dict[str, str] = {}
    for entry in entries:
        longest = max(len(entry.id), len(entry.name))
        if longest > LONGEST:
            yield f"{entry.place}: name of {longest:,} characters; shorten it to {LONGEST} or fewer"
            continue
        for kind, value in {"id": entry.id, "name": entry.name}.items():
            fault = name_fault(value)
            if fault and not (kind == "name" and value == entry.id):
                yield f"{entry.place}: {kind} {value!r} {fault}"
        if entry.id in first:
            yield (
                f"{entry.place}: duplicate id {entry.id!r}, first used at {first[entry.id]}; ids must be unique"
                " (for classes that share a name, give a .csv with the columns id and name)"
            )
        first.setdefault(entry.id, entry.place)
