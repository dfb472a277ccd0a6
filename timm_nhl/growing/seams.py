"""How the levels of a grown hierarchy are put together of old nodes and fresh ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hierarchy import Hierarchy
from hierarchy.names import join_path
from timm_nhl.errors import GrowthError
from timm_nhl.experts import match_labels, select_rows


@dataclass(frozen=True)
class Seam:
    """How one level of a grown tree is put together of old nodes and fresh ones.

    A place counts the old nodes of a level first and then the fresh ones, both in node order.

    Args:
        order: the place of each node, in node order.
        counts: how many children each parent has.
        parents: the places, one level up, of the parents of fresh nodes.
        fresh_counts: how many fresh children each of these has.
    """

    order: tuple[int, ...]
    counts: tuple[int, ...]
    parents: tuple[int, ...]
    fresh_counts: tuple[int, ...]


def find_seams(old: Hierarchy, tree: Hierarchy) -> Iterator[Seam]:
    """The seam of each level, between a hierarchy and a larger one with all of its classes."""
    labels = match_labels(tree, old)
    assert labels is not None, "check_places comes first"
    kept = select_rows(tree, labels)
    above: tuple[int, ...] = (0,)  # the place of each node one level up; of the trunk at first
    for depth, (before, now) in enumerate(zip(kept, select_rows(tree, range(len(tree))), strict=True)):
        fresh = sorted({*now.rows} - {*before.rows})
        place_of = {node: place for place, node in enumerate((*before.rows, *fresh))}
        parents = tree.parents((1, 2, 3)[depth])
        counts = Counter(parents[node] for node in fresh)
        order = tuple(place_of[node] for node in now.rows)
        yield Seam(
            order=order,
            counts=now.counts,
            parents=tuple(above[parent] for parent in sorted(counts)),
            fresh_counts=tuple(counts[parent] for parent in sorted(counts)),
        )
        above = order


def order_columns(old: Hierarchy, tree: Hierarchy, leaves: Seam) -> list[int]:
    """For each label, its column among the old values, in the old order of labels, and then the fresh ones."""
    old_labels = {id: label for label, id in enumerate(old.classes)}
    return [old_labels.get(id, leaves.order[node]) for id, node in zip(tree.classes, tree.ancestors(3), strict=True)]


def check_places(old: Hierarchy, tree: Hierarchy) -> None:
    """Makes sure that a hierarchy is a larger one with all classes of another at their places.

    Raises:
        GrowthError: lists every class that is missing or has moved; or there is no new class.
    """
    rows = {row[0]: row for row in tree.rows}
    problems = []
    for row in old.rows:
        now = rows.get(row[0])
        if now is None:
            problems.append(f"class {row[0]!r} is missing")
        elif now != row:
            problems.append(f"class {row[0]!r} has moved from {_path(row)!r} to {_path(now)!r}")
    if problems:
        raise GrowthError(
            problems, fix="use a hierarchy that keeps all classes of the model, each in its group under its name"
        )
    if len(tree) == len(old):
        raise GrowthError(["the hierarchy has no new classes"], fix="add some, or fine-tune the model")


def _path(row: tuple[str, str, str, str]) -> str:
    return join_path(row[2], row[3], row[1])
