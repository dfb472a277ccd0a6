"""A proposal: the place of each class, or none yet, with the votes for it and how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from hierarchy.errors import InvalidHierarchy
from hierarchy.names import NameIndex, join_path
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy

Place = tuple[str, str]  # superclass, group
Witness = Literal["llm", "wordnet", "embedding"]
DoubtKind = Literal["split", "none", "misfit"]


@dataclass(frozen=True)
class Vote:
    """Where one witness would put one class.

    Args:
        witness: who votes.
        node: the path of a group or, where the witness looks no deeper, of a superclass.
        strength: from 0 to 1: the share of an LLM's answers, or how well the class fits.
        why: a phrase for a person: "3 of 3 votes", "4 of 5 nearest: tiger shark, ...".
    """

    witness: Witness
    node: str
    strength: float
    why: str


@dataclass(frozen=True)
class Doubt:
    """Why the language model that proposed a place is unsure of it.

    Args:
        kind: "split" (its votes differ), "none" (it said that the class fits no node) or "misfit" (it first put the
            class into a superclass, and then said that the class does not belong there).
        weight: from 0 to 1, how unsure it is; ranks doubts of all kinds.
        why: a phrase for a person: "2 of 3 votes for fish, 1 for reptiles".
    """

    kind: DoubtKind
    weight: float
    why: str


@dataclass(frozen=True)
class Proposal:
    """Classes, the place of each so far, and what speaks for it.

    Args:
        classes: K classes in label order.
        places: the (superclass, group) of each class, or None while the class is unsettled.
        votes: class id -> what the witnesses say of it; they may abstain.
        replies: class id -> the keys of the LLM replies that placed it.
        provenance: how the proposal was made (command, versions, settings).
        doubts: class id -> why the language model that proposed is unsure, the strongest doubt first.

    Raises:
        InvalidHierarchy: the settled classes do not form a hierarchy, or a vote or a doubt is about an unknown class.

    >>> pets = ClassList(("tabby", "carp"), ("tabby", "carp"), ("", ""), "pets.txt")
    >>> proposal = Proposal(pets, (("mammals", "cats"), None))
    >>> proposal.unsettled, proposal.settled.nodes(2)
    (('carp',), ('mammals/cats',))
    """

    classes: ClassList
    places: tuple[Place | None, ...]
    votes: Mapping[str, tuple[Vote, ...]] = field(default_factory=dict)
    replies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    doubts: Mapping[str, tuple[Doubt, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.places):
            raise InvalidHierarchy([f"expected {len(self.classes)} places, one per class, got {len(self.places)}"])
        for name in ("votes", "replies", "doubts"):
            strangers = getattr(self, name).keys() - self._label.keys()
            if strangers:
                raise InvalidHierarchy(f"{name} about the unknown class {id!r}" for id in sorted(strangers))
        if any(self.places):
            _ = self.settled

    @classmethod
    def from_hierarchy(
        cls, hierarchy: Hierarchy, *, source: str = "a hierarchy", provenance: Mapping[str, Any] | None = None
    ) -> Proposal:
        """A hierarchy as a proposal in which every class is settled."""
        classes = ClassList(hierarchy.classes, hierarchy.names, ("",) * len(hierarchy), source)
        return cls(classes, hierarchy.groups, provenance=provenance or {})

    @cached_property
    def settled(self) -> Hierarchy:
        """The hierarchy of the settled classes, in label order.

        Raises:
            InvalidHierarchy: no class is settled.
        """
        rows = zip(self.classes.ids, self.classes.names, self.places, strict=True)
        return Hierarchy.from_rows((id, name, *place) for id, name, place in rows if place)

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Ids of the classes without a place, in label order."""
        return tuple(id for id, place in zip(self.classes.ids, self.places, strict=True) if not place)

    @property
    def settled_labels(self) -> tuple[int, ...]:
        """Labels of the classes with a place, ascending."""
        return tuple(label for label, place in enumerate(self.places) if place)

    def drop_unsettled(self) -> Proposal:
        """The proposal without the classes that have no place, and without what is said of them.

        >>> pets = ClassList(("tabby", "carp"), ("tabby", "carp"), ("", ""), "pets.txt")
        >>> Proposal(pets, (("mammals", "cats"), None)).drop_unsettled().classes.ids
        ('tabby',)
        """
        labels, gone = self.settled_labels, set(self.unsettled)
        about = {
            name: {id: said for id, said in getattr(self, name).items() if id not in gone}
            for name in ("votes", "replies", "doubts")
        }
        return replace(self, classes=self.classes.pick(labels), places=tuple(self.places[i] for i in labels), **about)

    def hierarchy(self) -> Hierarchy:
        """The hierarchy this proposal amounts to.

        Raises:
            InvalidHierarchy: classes are unsettled; the message names them.
        """
        if self.unsettled:
            raise InvalidHierarchy(f"class {id!r} is not placed" for id in self.unsettled)
        return self.settled

    def place(self, id: str) -> str:
        """The path of the group a class is in, or "" while it is unsettled; KeyError for an unknown class."""
        place = self.places[self._label[id]]
        return join_path(*place) if place else ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ids, names and places in hexadecimal; equals the hierarchy's digest once all are settled."""
        if not self.unsettled:
            return self.settled.digest
        rows = [
            (id, name, *(place or (None, None)))
            for id, name, place in zip(self.classes.ids, self.classes.names, self.places, strict=True)
        ]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def index(self) -> NameIndex:
        """What each class, settled or not, and each node answers to."""
        return NameIndex(self.classes.ids, self.classes.names, self.places)

    @cached_property
    def _label(self) -> dict[str, int]:
        return {id: label for label, id in enumerate(self.classes.ids)}
