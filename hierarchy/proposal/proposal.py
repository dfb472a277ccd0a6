"""A proposal is an answer that may be wrong; a finding says what may be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hierarchy.errors import InvalidHierarchy
from hierarchy.proposal.draft import Draft
from hierarchy.proposal.edits import Edit, to_dict
from hierarchy.sources import ClassList
from hierarchy.tree import Hierarchy

Severity = Literal["error", "warning", "note"]  # no hierarchy; look at it; good to know


@dataclass(frozen=True)
class Proposal:
    """Who would put which class where.

    Args:
        classes: the classes that must be placed.
        placements: (class id, superclass, group), as answered: an id may be missing, repeated or made up.
        nodes: paths of superclasses and groups that the answer names, where it does so apart from the placements.
    """

    classes: ClassList
    placements: tuple[tuple[str, str, str], ...]
    nodes: tuple[str, ...] = ()

    @classmethod
    def of(cls, hierarchy: Hierarchy, classes: ClassList | None = None) -> Proposal:
        """A hierarchy as a proposal; `classes` are those it should cover and their definitions, its own by default."""
        own = ClassList(hierarchy.classes, hierarchy.names, ("",) * len(hierarchy), "its own classes")
        return cls(
            classes or own, tuple((id, *group) for id, group in zip(hierarchy.classes, hierarchy.groups, strict=True))
        )

    def settle(self) -> Hierarchy:
        """The hierarchy this proposal is, labels in the order of `classes`.

        Raises:
            InvalidHierarchy: it places a class twice, not at all, or one that was not asked for.
        """
        place: dict[str, tuple[str, str]] = {}
        problems = []
        known = set(self.classes.ids)
        for id, superclass, group in self.placements:
            if id not in known:
                problems.append(f"class {id!r} was not asked for")
            elif id in place:
                problems.append(
                    f"class {id!r} is placed in {'/'.join(place[id])!r} and in {superclass + '/' + group!r}"
                )
            else:
                place[id] = (superclass, group)
        problems += [f"class {id!r} is not placed" for id in self.classes.ids if id not in place]
        if problems:
            raise InvalidHierarchy(problems)
        return Hierarchy(self.classes.ids, self.classes.names, tuple(place[id] for id in self.classes.ids))

    def draft(self) -> Draft:
        """What can be taken of this proposal: classes with exactly one place have it, all others are unsettled.

        Raises:
            InvalidHierarchy: a name in it cannot be one.
        """
        places: dict[str, set[tuple[str, str]]] = {}
        for id, superclass, group in self.placements:
            places.setdefault(id, set()).add((superclass, group))
        sure = {id: next(iter(found)) for id, found in places.items() if len(found) == 1}
        return Draft(self.classes, tuple(sure.get(id) for id in self.classes.ids))


Witness = Literal["llm", "wordnet", "embedding"]


@dataclass(frozen=True)
class Opinion:
    """Where one witness would put one class.

    Args:
        witness: who says so.
        node: the path of a group or, where the witness looks no deeper, of a superclass.
        strength: from 0 to 1, the share of its votes, or how well it fits.
        why: a phrase for a person: "3 of 3 votes", "4 of 5 nearest: tiger shark, ...".
    """

    witness: Witness
    node: str
    strength: float
    why: str


@dataclass(frozen=True)
class Finding:
    """What may be wrong at one place.

    Args:
        kind: what is wrong, one of `hierarchy.checks.checks.KINDS`.
        node: the path of a node, or the id of a class.
        message: one sentence for a person.
        severity: "error" (this is no hierarchy), "warning" (look at it) or "note" (good to know).
        weight: from 0 to 1, how far it is out; ranks findings of one severity.
        evidence: what the check saw, as plain values.
        edit: what would mend it, where the check can tell.
    """

    kind: str
    node: str
    message: str
    severity: Severity
    weight: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    edit: Edit | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values, for a file or a script."""
        return {**asdict(self), "edit": self.edit and to_dict(self.edit)}


def ranked(findings: list[Finding]) -> list[Finding]:
    """The findings, worst first: by severity, then weight, then node."""
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: (order[finding.severity], -finding.weight, finding.node, finding.kind))
