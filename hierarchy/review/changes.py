"""What a review has changed, before and after, and who did it when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hierarchy.review.log import Decision
from hierarchy.review.state import Standing


@dataclass(frozen=True)
class Change:
    """Classes that stood together before and after.

    Args:
        before, after: paths of groups; "" for unsettled.
        ids: the classes.
        by: who decided it when, in words.
        decisions: the numbers of the decisions that moved them.
    """

    before: str
    after: str
    ids: tuple[str, ...]
    by: str
    decisions: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The change as plain values for JSON."""
        return asdict(self)


def changes(decisions: Sequence[Decision], standings: Sequence[Standing]) -> tuple[Change, ...]:
    """The changes that decisions made in all, by where the classes stood before.

    Args:
        decisions: those in effect.
        standings: how the review stood before each of them, and after the last.
    """
    movers: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision, old, new in zip(decisions, standings, standings[1:], strict=False):
        if old.proposal is not new.proposal:
            rows = zip(old.proposal.classes.ids, old.proposal.places, new.proposal.places, strict=True)
            for id in (id for id, here, there in rows if here != there):
                movers[id].append(decision)
    first, last = standings[0].proposal, standings[-1].proposal
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for id in movers:
        if first.place(id) != last.place(id):
            together[first.place(id), last.place(id)].append(id)
    order = {id: label for label, id in enumerate(first.classes.ids)}
    found = []
    for (before, after), ids in sorted(together.items()):
        made = sorted({decision.number: decision for id in ids for decision in movers[id]}.items())
        by = "; ".join(dict.fromkeys(f"{decision.who}, {decision.time[:10]}" for _, decision in made))
        ordered = tuple(sorted(ids, key=order.__getitem__))
        found.append(Change(before, after, ordered, by, tuple(number for number, _ in made)))
    return tuple(found)
