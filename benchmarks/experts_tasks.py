"""The tasks of the study of experts: which classes somebody wants, drawn such that every class is wanted once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from hierarchy import Hierarchy

Task = tuple[str, ...]  # ids of classes
KINDS = ("all", "20 random", "5 random", "5 related", "superclass")


def draw_tasks(kind: str, tree: Hierarchy, *, seed: int) -> list[Task]:
    """Shares the classes out among tasks of one kind.

    Related classes are neighbours in the hierarchy: of one superclass, and of one group as far as it reaches.

    Args:
        kind: one of KINDS.
        tree: the hierarchy that people made.
        seed: of the random kinds.

    >>> tree = Hierarchy.from_rows([(id, id, "first" if id < "g" else "second", f"{id}s") for id in "abcdefghijkl"])
    >>> [len(task) for task in draw_tasks("5 random", tree, seed=0)]
    [5, 5]
    >>> draw_tasks("5 related", tree, seed=0)
    [('a', 'b', 'c', 'd', 'e'), ('g', 'h', 'i', 'j', 'k')]
    """
    if kind == "all":
        return [tree.classes]
    path = dict(zip(tree.classes, tree.groups, strict=True))
    near = sorted(tree.classes, key=path.__getitem__)  # sorted() keeps the order within a group
    kin = [tuple(each) for _, each in groupby(near, key=lambda id: path[id][0])]
    if kind == "superclass":
        return kin
    size, _, how = kind.partition(" ")
    if how == "related":
        return [task for each in kin for task in _cut(each, int(size))]
    return _cut(random.Random(f"tasks {seed}").sample(tree.classes, len(tree)), int(size))


def _cut(classes: Sequence[str], size: int) -> list[Task]:
    """Pieces of exactly `size` classes; the rest is dropped."""
    return [tuple(classes[start : start + size]) for start in range(0, len(classes) - size + 1, size)]
