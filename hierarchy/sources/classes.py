"""A list of classes, and the checks that every source has to pass."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hierarchy.english import count
from hierarchy.errors import SourceError, in_one_sentence
from hierarchy.names import Phrase, clean_names, name_fault, take_apart

FEWEST = 3  # classes; with fewer, three levels have nothing to group
LONGEST = 200  # characters of an id or a name; the longest of ImageNet-21k has 46


@dataclass(frozen=True)
class ClassList:
    """K classes in label order: unique ids, display names, definitions ("" if there is none), and their source.

    `places` holds the (superclass, group) of each class where the source states them, "" where it does not; it is
    empty if the source states none. `form` is what the source was read as: "a YOLO data.yaml".
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    definitions: tuple[str, ...]
    source: str
    places: tuple[tuple[str, str], ...] = ()
    form: str = field(default="", compare=False)

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
    """A class as a source states it.

    Args:
        place: where it was read ("names.txt:3"), for messages.
        id, name: its id, and its name as the source spells it; `parse` cleans the name.
        definition: "" if there is none.
        above: the superclass and the group that the source puts it in, "" where it says nothing.
        index: its label, if the source numbers its classes.
    """

    place: str
    id: str
    name: str
    definition: str = ""
    above: tuple[str, str] = ("", "")
    index: int | None = None


def from_name(name: str, place: str, **further: Any) -> Entry:
    """A class of which only the name is known, which is its id, too."""
    return Entry(place, name, name, **further)


def parse(entries: Sequence[Entry], source: str, fewest: int = FEWEST, form: str = "") -> ClassList:
    """Turns entries into classes; the border behind which ids are unique and names are clean.

    Args:
        entries: as read; if all are numbered, their numbers give the order.
        source: for messages.
        fewest: the smallest number of classes to accept.
        form: what the source was read as.

    Raises:
        SourceError: there are too few classes, or ids or names are bad; the message has all problems.
    """
    problems = (*_problems(entries), *_repeated_indices(entries))
    if problems:
        raise SourceError(in_one_sentence("", problems))  # each begins with its place
    if len(entries) < fewest:
        found = {0: "no classes", 1: "one class"}.get(len(entries), f"{len(entries)} classes")
        needed = f"a hierarchy needs at least {fewest}" if fewest == FEWEST else f"give at least {fewest}"
        raise SourceError(f"{source} has {found}; {needed}")
    if all(entry.index is not None for entry in entries):
        entries = sorted(entries, key=lambda entry: entry.index or 0)
    return ClassList(
        ids=tuple(entry.id for entry in entries),
        names=clean_names([entry.name for entry in entries]),
        definitions=tuple(entry.definition for entry in entries),
        source=source,
        places=_places(entries),
        form=form,
    )


def describe_source(classes: ClassList, *, use_groups: bool = False) -> str:
    """What was read, in one line, with the groups that the source states.

    >>> pets = ClassList(("a", "b"), ("a", "b"), ("", ""), "pets.json", (("cats", ""), ("dogs", "")), "a list of names")
    >>> describe_source(pets)
    'read 2 classes from a list of names; it states 2 superclasses, which --use-groups keeps'
    """
    read = f"read {count(len(classes), 'class')} from {classes.form or classes.source}"
    superclasses = len({superclass for superclass, _ in classes.places if superclass})
    groups = len({place for place in classes.places if place[1]})
    found = [count(number, noun) for number, noun in ((superclasses, "superclass"), (groups, "group")) if number]
    if not found:
        return read
    stated = " and ".join(found)
    return f"{read}, with its {stated}" if use_groups else f"{read}; it states {stated}, which --use-groups keeps"


def _places(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """The nodes that the source states, with clean names; none if they separate nothing."""
    if len({entry.above for entry in entries}) < 2:
        return ()
    levels = []
    for level in (0, 1):
        raws = tuple(dict.fromkeys(entry.above[level] for entry in entries if entry.above[level]))
        clean = dict(zip(raws, clean_names(raws), strict=True))
        levels.append([clean.get(entry.above[level], "") for entry in entries])
    return tuple(zip(*levels, strict=True))


def _problems(entries: Sequence[Entry]) -> Iterator[str]:
    first: dict[str, str] = {}
    spelled: dict[str, Entry] = {}
    for entry in entries:
        longest = max(len(entry.id), len(entry.name))
        if longest > LONGEST:
            yield f"{entry.place}: name of {longest:,} characters; shorten it to {LONGEST} or fewer"
            continue
        for kind, value in {"id": entry.id, "name": entry.name}.items():
            fault = name_fault(value)
            if fault and not (kind == "name" and value == entry.id):
                yield f"{entry.place}: {kind} {value!r} {fault}"
        twin = spelled.setdefault(_plain(entry.id), entry)
        if entry.id in first:
            yield (
                f"{entry.place}: duplicate id {entry.id!r}, first used at {first[entry.id]}; ids must be unique"
                " (for classes that share a name, give a .csv with the columns id and name)"
            )
        elif twin.id != entry.id:
            yield (
                f"{entry.place}: id {entry.id!r} differs from {twin.id!r} at {twin.place} in case or accents only;"
                " rename one, or give a .csv with the columns id and name"
            )
        first.setdefault(entry.id, entry.place)


def _repeated_indices(entries: Sequence[Entry]) -> Iterator[str]:
    first: dict[int, Entry] = {}
    for entry in entries:
        if entry.index is not None and first.setdefault(entry.index, entry) is not entry:
            other = first[entry.index]
            yield (
                f"{entry.place}: index {entry.index} of {entry.id!r} is already that of {other.id!r} at {other.place};"
                " give each class its own"
            )


def _plain(id: str) -> str:
    """An id without case and accents; a single letter keeps them, since data sets of letters have both."""
    if len(id) < 2:
        return id
    letters = unicodedata.normalize("NFD", id.casefold())
    return unicodedata.normalize("NFC", re.sub(r"(?<=[a-z])[\u0300-\u036f]+", "", letters))
