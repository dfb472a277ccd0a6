"""How a review stands: the proposal after some decisions, and what of it a person has looked at; replay leads there."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hierarchy.errors import EditError, HierarchyError, UnknownNode
from hierarchy.proposal import Edit, Merge, Move, Proposal, Regroup, Rename, Split, apply
from hierarchy.review.log import Accept, Decision, Log, Undo


@dataclass(frozen=True)
class Standing:
    """A proposal under review.

    Args:
        proposal: the classes and where they stand now.
        classes: ids of the classes that were accepted, or placed by hand.
        nodes: paths, as they are now, of the nodes that were accepted and hold the same classes still.
        renames: (old, new) path of each node that was renamed, merged or moved as a whole, in order.
    """

    proposal: Proposal
    classes: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    renames: tuple[tuple[str, str], ...] = ()

    def now(self, path: str) -> str:
        """What a path of the proposal is called now, after all renames, merges and moves of whole groups."""
        for old, new in self.renames:
            path = followed(path, old, new)
        return path


@dataclass(frozen=True)
class Conflict:
    """A decision that could not be taken over: what was asked, and what was found instead."""

    decision: Decision
    found: str

    def __str__(self) -> str:
        return f"decision {self.decision.number} ({self.decision.who}: {self.decision}): {self.found}"


@dataclass(frozen=True)
class Replayed:
    """What a log makes of a proposal.

    Args:
        proposal: the proposal after all decisions that are in effect and could be taken over.
        conflicts: those that could not, in the order of the log.
        decisions: those that were, in the order of the log.
        standings: how the review stood before each of these, and after the last.
    """

    proposal: Proposal
    conflicts: tuple[Conflict, ...]
    decisions: tuple[Decision, ...]
    standings: tuple[Standing, ...]


def replay(log: Log, proposal: Proposal) -> Replayed:
    """Takes the decisions of a log over to a proposal; undone ones fall out.

    >>> from hierarchy.tree import Hierarchy
    >>> pets = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> log = Log("", "", (Decision(1, "2026-01-31T12:00:00Z", "Ada", Move("a", "x/z"), "a", "x/y"),))
    >>> replay(log, pets).proposal.settled.nodes(2)
    ('x/z',)
    """
    standings, taken, conflicts = [Standing(proposal)], [], []
    for decision in log.in_effect:
        try:
            standings.append(after(standings[-1], decision))
        except HierarchyError as error:
            conflicts.append(Conflict(decision, str(error)))
        else:
            taken.append(decision)
    return Replayed(standings[-1].proposal, tuple(conflicts), tuple(taken), tuple(standings))


def without(log: Log, conflicts: Iterable[Conflict]) -> Log:
    """The log without the decisions that are in conflict."""
    left_out = {conflict.decision.number for conflict in conflicts}
    kept = tuple(decision for decision in log.decisions if decision.number not in left_out)
    return replace(log, decisions=kept)


def after(standing: Standing, decision: Decision) -> Standing:
    """How a review stands after one more decision.

    Raises:
        HierarchyError: the decision cannot be done here: the class stands elsewhere, the node is gone.
    """
    what = decision.what
    if isinstance(what, Undo):
        raise TypeError("an undoing is no step forward; replay the log")
    if isinstance(what, Accept):
        return _accepted(standing, decision)
    if isinstance(what, Move) and not decision.new and what.to not in groups(standing.proposal):
        raise EditError(f"there is no group {what.to!r} any more")
    proposal = apply(what, standing.proposal)
    renamed = _renamed(what, standing.proposal, proposal)
    nodes = _unchanged(standing, proposal, renamed)
    return Standing(proposal, standing.classes.union(placed(what)), nodes, (*standing.renames, *renamed))


def _unchanged(standing: Standing, proposal: Proposal, renamed: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The accepted nodes that hold the same classes after an edit, as they are called then."""
    if not standing.nodes:
        return standing.nodes
    before, now, kept = _members(standing.proposal), _members(proposal), set()
    for node in standing.nodes:
        path = node
        for old, new in renamed:
            path = followed(path, old, new)
        if before[node] == now.get(path):
            kept.add(path)
    return frozenset(kept)


def holding(node: str, proposal: Proposal) -> str:
    """SHA-256, in hexadecimal, of the ids of the classes below a node, in their order as text.

    >>> from hierarchy.tree import Hierarchy
    >>> pets = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> holding("x/y", pets) == holding("x", pets)
    False
    """
    ids = sorted(_members(proposal).get(node, ()))
    return hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()


def _members(proposal: Proposal) -> Mapping[str, set[str]]:
    """Ids of the classes below each node."""
    below: defaultdict[str, set[str]] = defaultdict(set)
    for id, place in zip(proposal.classes.ids, proposal.places, strict=True):
        if place:
            below[place[0]].add(id)
            below["/".join(place)].add(id)
    return below


def _accepted(standing: Standing, decision: Decision) -> Standing:
    proposal, subject = standing.proposal, decision.subject
    if subject not in proposal.classes.ids:
        if subject not in nodes(proposal):
            raise UnknownNode(f"there is no {subject!r} any more")
        if decision.holds and decision.holds != holding(subject, proposal):
            raise EditError(f"{subject!r} holds other classes than were accepted")
        return replace(standing, nodes=standing.nodes | {subject})
    found = proposal.place(subject)
    if not found:
        raise EditError(f"{subject!r} is unsettled")
    if found != decision.before:
        raise EditError(f"{subject!r} stands in {found!r}")
    return replace(standing, classes=standing.classes | {subject})


def placed(edit: Edit) -> tuple[str, ...]:
    """Ids of the classes that an edit gives a group one by one, not with the rest of a node."""
    if isinstance(edit, Move):
        return (edit.id,)
    if isinstance(edit, Split):
        return edit.ids if "/" in edit.node else ()
    return tuple(id for id, to in edit.places if to) if isinstance(edit, Regroup) else ()


def _renamed(edit: Edit, before: Proposal, now: Proposal) -> tuple[tuple[str, str], ...]:
    """The old and new paths of the nodes that an edit renames, merges into others, or moves as a whole."""
    if isinstance(edit, Rename):
        parent, slash, _ = edit.node.rpartition("/")
        return ((edit.node, parent + slash + edit.name),)
    if isinstance(edit, Merge):
        return ((edit.node, edit.into),)
    if isinstance(edit, Split) and "/" in edit.node:  # of a group, some classes stay, or it is a rename
        return ()
    return _moved_whole(before, now) if isinstance(edit, Split | Regroup) else ()


def _moved_whole(before: Proposal, now: Proposal) -> tuple[tuple[str, str], ...]:
    """Groups that are gone, where all their classes went into one other group."""
    went: defaultdict[str, set[str]] = defaultdict(set)
    for old, new in zip(before.places, now.places, strict=True):
        if old:
            went["/".join(old)].add("/".join(new) if new else "")
    gone = sorted(went.keys() - groups(now))
    return tuple((old, next(iter(went[old]))) for old in gone if len(went[old]) == 1 and "" not in went[old])


def followed(path: str, old: str, new: str) -> str:
    """A path after the node at `old` became the one at `new`."""
    if path == old:
        return new
    return new + path[len(old) :] if path.startswith(old + "/") else path


def groups(proposal: Proposal) -> frozenset[str]:
    """Paths of the groups of a proposal."""
    return frozenset(map("/".join, filter(None, proposal.places)))


def nodes(proposal: Proposal) -> frozenset[str]:
    """Paths of the superclasses and groups of a proposal."""
    return groups(proposal).union(place[0] for place in proposal.places if place)
