"""A hierarchy in the making: every class has one place or none yet, and "none yet" is a state, not a place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hierarchy.errors import InvalidHierarchy
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy

Place = tuple[str, str]  # superclass, group


@dataclass(frozen=True)
class Draft:
    """Classes and where they stand so far.

    Args:
        classes: K classes in label order.
        places: of each, its (superclass, group), or None while it is unsettled.

    Raises:
        InvalidHierarchy: what is settled is no hierarchy: a bad name, or a superclass called like a class's id.

    >>> pets = ClassList(("tabby", "carp"), ("tabby", "carp"), ("", ""), "pets.txt")
    >>> draft = Draft(pets, (("mammals", "cats"), None))
    >>> draft.unsettled, draft.settled.nodes(2)
    (('carp',), ('mammals/cats',))
    """

    classes: ClassList
    places: tuple[Place | None, ...]

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.places):
            raise InvalidHierarchy([f"{len(self.classes)} classes and {len(self.places)} places; give one of each"])
        if any(self.places):
            _ = self.settled

    @classmethod
    def of(cls, hierarchy: Hierarchy, definitions: Sequence[str] = (), *, source: str = "a hierarchy") -> Draft:
        """A hierarchy as a draft in which every class is settled."""
        known = tuple(definitions) or ("",) * len(hierarchy)
        return cls(ClassList(hierarchy.classes, hierarchy.names, known, source), hierarchy.groups)

    @cached_property
    def settled(self) -> Hierarchy:
        """The hierarchy of the settled classes, labels in their order; InvalidHierarchy where there is none."""
        rows = zip(self.classes.ids, self.classes.names, self.places, strict=True)
        return Hierarchy.from_rows((id, name, *place) for id, name, place in rows if place)

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Ids of the classes without a place, in label order."""
        return tuple(id for id, place in zip(self.classes.ids, self.places, strict=True) if not place)

    def hierarchy(self) -> Hierarchy:
        """The hierarchy this draft has become.

        Raises:
            InvalidHierarchy: classes are unsettled; they are named.
        """
        if self.unsettled:
            raise InvalidHierarchy(f"class {id!r} is not placed" for id in self.unsettled)
        return self.settled

    def place(self, id: str) -> str:
        """The path of the group a class stands in, or "" while it is unsettled; KeyError for no class."""
        place = self.places[self._label[id]]
        return "/".join(place) if place else ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, names and places in hexadecimal; of a draft that is settled, its hierarchy's digest."""
        if not self.unsettled:
            return self.settled.digest
        rows = [
            (id, name, *(place or (None, None)))
            for id, name, place in zip(self.classes.ids, self.classes.names, self.places, strict=True)
        ]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def _label(self) -> dict[str, int]:
        return {id: label for label, id in enumerate(self.classes.ids)}
