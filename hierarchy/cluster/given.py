"""Clustering that keeps the superclasses and groups which a source already states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hierarchy.cluster.constrained import cluster, cut, link
from hierarchy.cluster.shape import Range, Shape, likely_numbers
from hierarchy.errors import ShapeError
from hierarchy.views import unit_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

FEW = 4  # classes; a superclass with fewer is one group


@dataclass(frozen=True)
class Placement:
    """Where each class is, and which nodes have a name already.

    Args:
        nodes: the index of each class's superclass, and of its group in there.
        superclasses: index -> name, of the superclasses that the source names.
        groups: (superclass, group) -> name, of the groups that it names.
    """

    nodes: tuple[tuple[int, int], ...]
    superclasses: Mapping[int, str]
    groups: Mapping[tuple[int, int], str]


def cluster_given(vectors: Vectors, places: Sequence[tuple[str, str]], shape: Shape | None = None) -> Placement:
    """Places classes where their source says, and clusters what it leaves open.

    Given superclasses are divided into groups, given groups are gathered into superclasses. A class that the source
    says nothing of joins the nearest given node.

    Args:
        vectors: (K, D), rows of length 1.
        places: the (superclass, group) of each class as the source states it, "" where it says nothing.
        shape: numbers and sizes of what is left open.

    Raises:
        ShapeError: a number is asked for that the source decides.
    """
    shape = shape or Shape()
    given = [list(place) for place in places]
    above = {group: superclass for superclass, group in places if superclass and group}
    for place in given:
        place[0] = place[0] or above.get(place[1], "")
    supers, names = _superclasses(vectors, given, shape)
    nodes = [(top, 0) for top in supers]
    groups: dict[tuple[int, int], str] = {}
    for top in sorted(set(supers)):
        rows = [row for row, own in enumerate(supers) if own == top]
        stated = [given[row][1] for row in rows]
        inner = _groups(vectors[rows], stated, shape)
        for row, group, name in zip(rows, inner, stated, strict=True):
            nodes[row] = (top, group)
            if name:
                groups[top, group] = name
    return Placement(tuple(nodes), names, groups)


def _superclasses(vectors: Vectors, given: Sequence[Sequence[str]], shape: Shape) -> tuple[list[int], dict[int, str]]:
    """The superclass of each class, and the names of those that are given."""
    if any(superclass for superclass, _ in given):
        joined, names = _join_nearest(vectors, [superclass for superclass, _ in given])
        if shape.superclasses and shape.superclasses.clip(len(names)) != len(names):
            raise ShapeError(
                f"the source gives {len(names)} superclasses, not {shape.superclasses}; leave out --superclasses or"
                " --use-groups"
            )
        return joined, dict(enumerate(names))
    joined, names = _join_nearest(vectors, [group for _, group in given])
    if shape.groups and shape.groups.clip(len(names)) != len(names):
        raise ShapeError(
            f"the source gives {len(names)} groups, not {shape.groups}; leave out --groups or --use-groups"
        )
    wanted = shape.superclasses or Range(1, max(1, len(names) // 2))
    number = min(wanted.clip(likely_numbers(shape, len(given))[0]), len(names))
    above = cut(link(_mean_directions(vectors, joined, len(names))), number)
    return [int(above[group]) for group in joined], {}


def _groups(vectors: Vectors, stated: Sequence[str], shape: Shape) -> list[int]:
    """The groups of one superclass: those that are stated, else those of a clustering."""
    if any(stated):
        return _join_nearest(vectors, stated)[0]
    if len(stated) < FEW:
        return [0] * len(stated)
    inner = replace(shape, superclasses=Range(1, 1), groups=None, classes_per_superclass=None)
    return [group for _, group in cluster(vectors, inner)]


def _join_nearest(vectors: Vectors, names: Sequence[str]) -> tuple[list[int], list[str]]:
    """The node of each class by name, in the order of first use; of a class without one, that of the nearest mean."""
    known = list(dict.fromkeys(name for name in names if name))
    index = {name: number for number, name in enumerate(known)}
    placed = [index.get(name, -1) for name in names]
    rows = [row for row, node in enumerate(placed) if node >= 0]
    near = vectors @ _mean_directions(vectors[rows], [placed[row] for row in rows], len(known)).T  # (K, nodes)
    return [node if node >= 0 else int(near[row].argmax()) for row, node in enumerate(placed)], known


def _mean_directions(vectors: Vectors, nodes: Sequence[int], count: int) -> Vectors:
    """The mean direction of the classes of each node, (nodes, D)."""
    import numpy as np

    means = np.zeros((count, vectors.shape[1]))
    np.add.at(means, nodes, vectors)
    return unit_rows(means)
