"""What a review has changed: which classes moved from where to where, who decided it and when."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hierarchy.review.log import Decision
from hierarchy.review.state import History


@dataclass(frozen=True)
class Change:
    """Classes that went from one group to another.

    Args:
        before, after: paths of the groups; "" for unsettled.
        ids: the classes, in label order.
        by: who decided it and when, in words.
        decisions: the numbers of the decisions that moved them.
    """

    before: str
    after: str
    ids: tuple[str, ...]
    by: str
    decisions: tuple[int, ...]


def list_changes(history: History) -> tuple[Change, ...]:
    """All changes from the first proposal to the current one, sorted by the group before."""
    movers: defaultdict[str, list[Decision]] = defaultdict(list)
    for decision, old, new in zip(history.decisions, history.states, history.states[1:], strict=False):
        if old.proposal is not new.proposal:
            rows = zip(old.proposal.classes.ids, old.proposal.places, new.proposal.places, strict=True)
            for id in (id for id, here, there in rows if here != there):
                movers[id].append(decision)
    first, last = history.states[0].proposal, history.proposal
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for id in first.classes.ids:
        if first.place(id) != last.place(id):
            together[first.place(id), last.place(id)].append(id)
    found = []
    for (before, after), ids in sorted(together.items()):
        made = sorted({decision.number: decision for id in ids for decision in movers[id]}.items())
        by = "; ".join(dict.fromkeys(f"{decision.who}, {decision.time[:10]}" for _, decision in made))
        found.append(Change(before, after, tuple(ids), by, tuple(number for number, _ in made)))
    return tuple(found)
