"""A finding: one thing that may be wrong with a proposal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hierarchy.proposal.edits import Edit, edit_to_dict

Severity = Literal["error", "warning", "note"]  # not a hierarchy; look at it; good to know


@dataclass(frozen=True)
class Finding:
    """What may be wrong in one place.

    Args:
        kind: what is wrong, one of `hierarchy.checks.KINDS`.
        node: the path of a node, or the id of a class.
        message: one sentence for a person.
        severity: "error" (this is not a hierarchy), "warning" (look at it) or "note" (good to know).
        weight: from 0 to 1, how far off it is; ranks findings of one severity.
        evidence: what the check saw, as plain values.
        edit: what would fix it, where the check knows.
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
        return {**asdict(self), "edit": self.edit and edit_to_dict(self.edit)}


def rank(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, worst first: by severity, then weight, then node."""
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda found: (order[found.severity], -found.weight, found.node, found.kind)))
