"""The few edits that lead from one proposal to another: renames, merges, splits and moves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from hierarchy.errors import HierarchyError
from hierarchy.names import join_path
from hierarchy.proposal.edits import Edit, Merge, Move, Regroup, Rename, Split, apply
from hierarchy.proposal.proposal import Place, Proposal


def find_edits(before: Proposal, after: Proposal) -> tuple[Edit, ...]:
    """Edits that, applied one after the other, turn a proposal into another one of the same classes.

    >>> from dataclasses import replace
    >>> from hierarchy.tree import Hierarchy
    >>> pets = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "y"))))
    >>> find_edits(pets, replace(pets, places=(("x", "z"), ("x", "z"))))
    (Rename(node='x/y', name='z'),)
    """
    edits: list[Edit] = []
    here = before
    for level in (1, 2):  # superclasses first: their groups follow them
        for candidates in (_joined, _split_off):
            for edit in candidates(here, after, level):
                there = _tried(edit, here)
                if there and _wrong(there, after) < _wrong(here, after):
                    edits.append(edit)
                    here = there
    lost = tuple((id, "") for id, old, new in _rows(here, after) if old and not new)
    edits += [Regroup(lost)] if lost else []
    edits += [Move(id, join_path(*new)) for id, old, new in _rows(here, after) if new and new != old]
    return tuple(edits)


Row = tuple[str, "Place | None", "Place | None"]


def _rows(before: Proposal, after: Proposal) -> list[Row]:
    """Id, place before and place after of each class."""
    return list(zip(before.classes.ids, before.places, after.places, strict=True))


def _wrong(here: Proposal, after: Proposal) -> int:
    """How many classes do not stand yet where they shall."""
    return sum(old != new for old, new in zip(here.places, after.places, strict=True))


def _tried(edit: Edit, proposal: Proposal) -> Proposal | None:
    try:
        return apply(edit, proposal)
    except HierarchyError:  # a name that is taken on the way: moves will do
        return None


def _node(place: Place, level: int) -> tuple[str, ...]:
    return place if level == 2 else place[:1]


def _joined(before: Proposal, after: Proposal, level: int) -> Iterator[Edit]:
    """A rename or a merge for each node that is gone afterwards, into that which has most of its classes."""
    went: defaultdict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
    for _, old, new in _rows(before, after):
        if old and new:
            went[_node(old, level)][_node(new, level)] += 1
    left = {_node(new, level) for new in after.places if new}
    there = {_node(old, level) for old in before.places if old}
    for node in sorted(node for node in went if node not in left):
        into, size = went[node].most_common(1)[0]
        if into in there and (size > 1 or level == 1):
            yield Merge(join_path(*node), join_path(*into))
        elif into not in there and into[:-1] == node[:-1]:
            there.add(into)
            yield Rename(join_path(*node), into[-1])


def _split_off(before: Proposal, after: Proposal, level: int) -> Iterator[Edit]:
    """A split for each new node that takes several classes of one old node."""
    there = {_node(old, level) for old in before.places if old}
    taken: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for id, old, new in _rows(before, after):
        if old and new and old != new and (level == 2 or old[1] == new[1]):
            taken[_node(old, level), _node(new, level)].append(id)
    for (node, into), ids in taken.items():
        if len(ids) > 1 and into not in there and into[:-1] == node[:-1]:
            there.add(into)
            yield Split(join_path(*node), into[-1], tuple(ids))
