"""The state of a review: the proposal after some decisions, and what of it a person has looked at."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from hierarchy.errors import EditError, HierarchyError, ReviewError, UnknownNode
from hierarchy.names import join_path
from hierarchy.proposal import Define, Edit, Merge, Move, Proposal, Regroup, Rename, Split
from hierarchy.proposal import apply as apply_edit
from hierarchy.review.log import Accept, Decision, Log, Undo


@dataclass(frozen=True)
class State:
    """A proposal under review.

    Args:
        proposal: the classes and their places after the decisions so far.
        classes: ids of the classes that were accepted, or placed by hand.
        accepted: level of each accepted node, and ids of the classes it held then.
        renames: (old, new) path of each node that was renamed, merged or moved as a whole, in order.
        meanings: class id -> the synset that a reviewer chose; "" where the reviewer described the meaning.
    """

    proposal: Proposal
    classes: frozenset[str] = frozenset()
    accepted: frozenset[tuple[int, frozenset[str]]] = frozenset()
    renames: tuple[tuple[str, str], ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def nodes(self) -> frozenset[str]:
        """Paths of the nodes that hold the same classes as when they were accepted, whatever they are called now."""
        members = list_members(self.proposal).items() if self.accepted else ()
        return frozenset(path for path, ids in members if (path.count("/"), frozenset(ids)) in self.accepted)

    def current_path(self, path: str) -> str:
        """What a path of the first proposal is called after all renames, merges and moves of whole groups."""
        for old, new in self.renames:
            path = _follow(path, old, new)
        return path


@dataclass(frozen=True)
class Conflict:
    """A decision that cannot be applied to another proposal, and what was found instead."""

    decision: Decision
    found: str

    def __str__(self) -> str:
        return f"decision {self.decision.number} ({self.decision.who}: {self.decision}): {self.found}"


@dataclass(frozen=True)
class History:
    """What a log makes of a proposal.

    Args:
        states: the state before each decision, and after the last.
        decisions: the decisions that are in effect and could be applied, in the order of the log.
        conflicts: those that could not.
    """

    states: tuple[State, ...]
    decisions: tuple[Decision, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @property
    def state(self) -> State:
        """The state after the last decision."""
        return self.states[-1]

    @property
    def proposal(self) -> Proposal:
        """The proposal after the last decision."""
        return self.states[-1].proposal


def replay(log: Log, proposal: Proposal) -> History:
    """Applies the decisions of a log to a proposal; undone ones are left out.

    >>> from hierarchy.tree import Hierarchy
    >>> pets = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> log = Log("", "", (Decision(1, "2026-01-31T12:00:00Z", "Ada", Move("a", "x/z"), "a", "x/y"),))
    >>> replay(log, pets).proposal.settled.nodes(2)
    ('x/z',)
    """
    states, applied, conflicts = [State(proposal)], list[Decision](), list[Conflict]()
    for decision in log.in_effect:
        try:
            states.append(apply(decision, states[-1]))
        except HierarchyError as error:
            conflicts.append(Conflict(decision, str(error)))
        else:
            applied.append(decision)
    return History(tuple(states), tuple(applied), tuple(conflicts))


def replay_own(log: Log, base: Proposal) -> History:
    """The history of a log on the proposal it is about.

    Raises:
        ReviewError: it is about another proposal, or contradicts itself.
    """
    if log.base != base.digest:
        raise ReviewError(
            f"the decisions are about a proposal with digest {log.base[:12]!r}, but this one has {base.digest[:12]!r};"
            " use --replay to apply them to this one"
        )
    history = replay(log, base)
    if history.conflicts:
        raise ReviewError(f"the decision log contradicts itself: {history.conflicts[0]}; fix it or move it away")
    return history


def apply(decision: Decision, state: State) -> State:
    """The state after one more decision.

    Raises:
        HierarchyError: the decision cannot be applied: the class is elsewhere, the node is gone.
    """
    what, before = decision.what, state.proposal
    if isinstance(what, Undo):
        raise TypeError("an undoing is not applied; replay the log")
    if isinstance(what, Accept):
        return _accept(decision, state)
    if isinstance(what, Move) and not decision.new and what.to not in groups(before):
        raise EditError(f"the group {what.to!r} no longer exists")
    after = apply_edit(what, before)
    if isinstance(what, Define):
        return _define(what, after, state)
    renamed = _find_renames(what, before, after)
    placed = state.classes.union(placed_ids(what))
    return replace(state, proposal=after, classes=placed, renames=(*state.renames, *renamed))


def decide(what: Accept | Edit, state: State, *, number: int, time: str, who: str, act: int) -> Decision:
    """The decision that says `what` about a state: with where its subject is, and what an accepted node holds."""
    proposal = state.proposal
    if isinstance(what, Accept):
        subject = what.subject
        if subject in proposal.classes.ids:
            return Decision(number, time, who, what, subject, proposal.place(subject), act=act)
        return Decision(number, time, who, what, subject, subject, act=act, holds=digest_members(subject, proposal))
    if isinstance(what, Move):
        before = proposal.place(what.id) if what.id in proposal.classes.ids else ""
        return Decision(number, time, who, what, what.id, before, what.to not in groups(proposal), act)
    if isinstance(what, Define):
        before = proposal.place(what.id) if what.id in proposal.classes.ids else ""
        return Decision(number, time, who, what, what.id, before, act=act)
    subject = "" if isinstance(what, Regroup) else what.node
    return Decision(number, time, who, what, subject, subject, act=act)


def placed_ids(edit: Edit) -> tuple[str, ...]:
    """Ids of the classes that an edit puts into a group one by one, not along with a node."""
    if isinstance(edit, Move):
        return (edit.id,)
    if isinstance(edit, Split):
        return edit.ids if "/" in edit.node else ()
    return tuple(id for id, to in edit.places if to) if isinstance(edit, Regroup) else ()


def digest_members(node: str, proposal: Proposal) -> str:
    """SHA-256, in hexadecimal, of the sorted ids of the classes below a node.

    >>> from hierarchy.tree import Hierarchy
    >>> pets = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> digest_members("x/y", pets) == digest_members("x", pets)
    False
    """
    ids = sorted(list_members(proposal).get(node, ()))
    return hashlib.sha256(json.dumps(ids, separators=(",", ":")).encode()).hexdigest()


def groups(proposal: Proposal) -> frozenset[str]:
    """Paths of the groups of a proposal."""
    return frozenset(join_path(*place) for place in proposal.places if place)


def nodes(proposal: Proposal) -> frozenset[str]:
    """Paths of the superclasses and groups of a proposal."""
    return groups(proposal).union(join_path(place[0]) for place in proposal.places if place)


def _accept(decision: Decision, state: State) -> State:
    proposal, subject = state.proposal, decision.subject
    if subject not in proposal.classes.ids:
        members = list_members(proposal).get(subject)
        if not members:
            raise UnknownNode(f"{subject!r} no longer exists")
        if decision.holds and decision.holds != digest_members(subject, proposal):
            raise EditError(f"{subject!r} no longer holds the classes that were accepted")
        return replace(state, accepted=state.accepted | {(subject.count("/"), frozenset(members))})
    found = proposal.place(subject)
    if found != decision.before or not found:
        raise EditError(f"{subject!r} is in {found!r}" if found else f"{subject!r} is unsettled")
    return replace(state, classes=state.classes | {subject})


def _define(what: Define, after: Proposal, state: State) -> State:
    """The state in which a class means something else: what WordNet and the embedding said of it no longer counts."""
    kept = tuple(vote for vote in after.votes.get(what.id, ()) if vote.witness == "llm")
    votes = {**after.votes, what.id: kept}
    after = replace(after, votes={id: cast for id, cast in votes.items() if cast})
    return replace(state, proposal=after, meanings={**state.meanings, what.id: what.wnid})


def list_members(proposal: Proposal) -> Mapping[str, set[str]]:
    """Ids of the classes below each node."""
    below: defaultdict[str, set[str]] = defaultdict(set)
    for id, place in zip(proposal.classes.ids, proposal.places, strict=True):
        if place:
            below[join_path(place[0])].add(id)
            below[join_path(*place)].add(id)
    return below


def _find_renames(edit: Edit, before: Proposal, after: Proposal) -> tuple[tuple[str, str], ...]:
    """The old and new paths of the nodes that an edit renames, merges into others, or moves as a whole."""
    if isinstance(edit, Rename):
        parent, slash, _ = edit.node.rpartition("/")
        return ((edit.node, parent + slash + join_path(edit.name)),)
    if isinstance(edit, Merge):
        return ((edit.node, edit.into),)
    if isinstance(edit, Move | Define) or (isinstance(edit, Split) and "/" in edit.node):  # some classes stay behind
        return ()
    went: defaultdict[str, set[str]] = defaultdict(set)
    for old, new in zip(before.places, after.places, strict=True):
        if old:
            went[join_path(*old)].add(join_path(*new) if new else "")
    gone = sorted(went.keys() - groups(after))
    return tuple((old, next(iter(went[old]))) for old in gone if len(went[old]) == 1 and "" not in went[old])


def _follow(path: str, old: str, new: str) -> str:
    """A path after the node at `old` became the one at `new`."""
    if path == old:
        return new
    return new + path[len(old) :] if path.startswith(old + "/") else path
