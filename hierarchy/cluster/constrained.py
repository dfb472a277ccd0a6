"""Vectors -> two nested partitions under a shape contract: how many superclasses and groups, and how large."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hierarchy.errors import ShapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]
    Labels = NDArray[np.intp]

EVENNESS = 0.1  # similarity a class gives up to join a cluster e times smaller; 0.05 to 0.2 do alike
SWEEPS = 20  # refinement settles in 5 to 15
DECIMALS = 6  # distances are rounded, so that ties break alike whichever way a sum was added up


@dataclass(frozen=True)
class Range:
    """A number, or anything from `least` to `most`.

    >>> Range.parse("20"), Range.parse("5:9"), Range.parse(":9")
    (Range(least=20, most=20), Range(least=5, most=9), Range(least=1, most=9))
    """

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """Reads `7`, `5:9`, `5:` or `:9`; ShapeError for anything else."""
        least, colon, most = text.partition(":")
        if not least and not most:
            raise ShapeError(f"{text!r} is no number or range; write 7, 5:9, 5: or :9")
        try:
            start = int(least) if least else 1
            end = int(most) if most else (10**9 if colon else start)
        except ValueError:
            raise ShapeError(f"{text!r} is no number or range; write 7, 5:9, 5: or :9") from None
        if not 1 <= start <= end:
            raise ShapeError(f"{text!r} is no range of whole numbers from 1, smaller first; write 7, 5:9, 5: or :9")
        return cls(start, end)

    def clip(self, number: int) -> int:
        """The number of the range that is nearest to the one given."""
        return min(max(number, self.least), self.most)

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}:{self.most}"


@dataclass(frozen=True)
class Shape:
    """What is asked of the numbers and sizes of nodes; what is None is chosen by the number of classes K.

    Args:
        superclasses: how many; K^0.434 by default, which is 7 of 100 classes and 20 of 1,000 (the published shapes).
        groups: how many in all; K / 5 by default.
        classes_per_group: at least 2 and at most four times the average by default.
        classes_per_superclass: at least a quarter of and at most three times the average by default.
        chains: whether a node may have a single child. A branch that leads to one branch costs and gives nothing.
    """

    superclasses: Range | None = None
    groups: Range | None = None
    classes_per_group: Range | None = None
    classes_per_superclass: Range | None = None
    chains: bool = False


def cluster(vectors: Vectors, shape: Shape | None = None) -> list[tuple[int, int]]:
    """Puts each class into a superclass and a group.

    Ward's linkage over the distances of the rows is cut into superclasses; classes then move to nearer ones, or to
    smaller ones almost as near; inside each superclass the same gives its groups. Where the number of superclasses
    may lie in a range, the cut is made at the widest gap between merges; of a range of groups, the fewest that can be
    had are made. Deterministic.

    Args:
        vectors: (K, D), rows of length 1.
        shape: the contract; kept to the letter or refused.

    Returns:
        K pairs: the index of the superclass, and the index of the group within it.

    Raises:
        ShapeError: these classes cannot take that shape.
    """
    import numpy as np

    wanted = shape or Shape()
    count = len(vectors)
    supers, groups, per_group, per_super = _settle(wanted, count)
    tree = _ward(vectors)
    number = _widest_gap(tree, supers, count)
    top = _refine(vectors, _cut(tree, number), per_super)
    members = [np.flatnonzero(top == index) for index in range(top.max() + 1)]
    trees = [_ward(vectors[rows]) for rows in members]
    fewest = 1 if wanted.chains else 2
    numbers = _share_out([len(rows) for rows in members], trees, groups, per_group, fewest)
    found: list[tuple[int, int]] = [(0, 0)] * count
    for index, (rows, own, parts) in enumerate(zip(members, trees, numbers, strict=True)):
        for row, group in zip(rows, _refine(vectors[rows], _cut(own, parts), per_group), strict=True):
            found[int(row)] = (index, int(group))
    return found


def likely_numbers(shape: Shape, count: int) -> tuple[int, int]:
    """How many superclasses and groups a shape asks for, where somebody else makes them; as near as it can be said.

    >>> likely_numbers(Shape(), 1000)
    (20, 200)
    """
    supers = shape.superclasses or Range(1, count)
    likely = supers.clip(max(1, round(count**0.434)))
    groups = shape.groups or Range(1, count)
    return likely, groups.clip(_groups(count, likely, 2))


def _settle(shape: Shape, count: int) -> tuple[Range, Range, Range, Range]:
    """Fills in what was left open and refuses what cannot be.

    Returns:
        Superclasses, groups, classes per group, classes per superclass.
    """
    fewest = 1 if shape.chains else 2  # children of a node
    if count < fewest * fewest:  # one superclass with one group is all there can be
        return _only(shape, count)
    likely = max(1, min(round(count**0.434), count // fewest**2))
    supers = shape.superclasses or Range(likely, likely)
    some = _groups(count, supers.clip(likely), fewest)
    groups = shape.groups or Range(some, some)
    per_group = shape.classes_per_group or Range(fewest, max(fewest, 4 * count // groups.least, 4))
    per_group = _at_least(fewest, per_group, "classes per group")
    per_super = shape.classes_per_superclass or Range(
        max(min(fewest**2, count // supers.least), count // supers.most // 4), max(3 * count // supers.least, 6)
    )
    per_super = _at_least(fewest * per_group.least, per_super, "classes per superclass")
    supers = _possible("superclass", supers, per_super, count)
    groups = _possible("group", groups, per_group, count)
    if groups.most < fewest * supers.least:
        raise ShapeError(
            f"{groups} groups are too few for {supers} superclasses; ask for at least {fewest * supers.least}, or allow"
            " chains (nodes with a single child)"
        )
    return Range(supers.least, min(supers.most, groups.most // fewest)), groups, per_group, per_super


def _only(shape: Shape, count: int) -> tuple[Range, Range, Range, Range]:
    """The shape of two or three classes, unless another is asked for."""
    only = (Range(1, 1), Range(1, 1), Range(count, count), Range(count, count))
    asked = (shape.superclasses, shape.groups, shape.classes_per_group, shape.classes_per_superclass)
    if any(wanted and wanted.clip(given.least) != given.least for wanted, given in zip(asked, only, strict=True)):
        raise ShapeError(f"{count} classes make one superclass with one group; ask for no other, or allow chains")
    return only


def _at_least(least: int, sizes: Range, what: str) -> Range:
    """The part of a range from a number on, which nodes need to have two children."""
    if sizes.most < least:
        raise ShapeError(f"{sizes} {what} are too few; ask for {least} or more, or allow chains (nodes with one child)")
    return Range(max(least, sizes.least), sizes.most)


def _possible(kind: str, number: Range, size: Range, count: int) -> Range:
    """The numbers of nodes that can have sizes in a range and hold all classes together."""
    least, most = max(number.least, -(-count // size.most)), min(number.most, count // size.least)
    if least > most:
        what = kind if number.most == 1 else "superclasses" if kind == "superclass" else "groups"
        raise ShapeError(
            f"{count} classes cannot make {number} {what} of {size} classes each; ask for another number,"
            " other sizes, or allow chains (nodes with a single child)"
        )
    return Range(least, most)


def _groups(count: int, supers: int, least_group: int) -> int:
    return max(1, min(max(round(count / 5), least_group * supers), count // least_group))


def _ward(vectors: Vectors) -> Vectors:
    """Ward's linkage (Ward 1963) of unit rows; (n - 1, 4), as scipy gives it."""
    import numpy as np
    from scipy.cluster.hierarchy import linkage

    if len(vectors) < 2:
        return np.zeros((0, 4))
    return linkage(_distances(vectors), "ward")  # type: ignore[no-any-return]


def _distances(vectors: Vectors) -> Vectors:
    """Euclidean distances of all pairs of rows, (n * (n - 1) / 2,), a block of rows at a time to spare memory."""
    import numpy as np

    n = len(vectors)
    square = np.einsum("nd,nd->n", vectors, vectors)
    found = np.empty(n * (n - 1) // 2)
    place = 0
    for start in range(0, n, 512):
        product = vectors[start : start + 512] @ vectors.T  # (512, n)
        for row, products in enumerate(product, start):
            rest = square[row] + square[row + 1 :] - 2 * products[row + 1 :]
            found[place : place + len(rest)] = np.sqrt(np.maximum(rest, 0)).round(DECIMALS)
            place += len(rest)
    return found


def _widest_gap(tree: Vectors, numbers: Range, count: int) -> int:
    """How many clusters to cut into: of the numbers allowed, the one whose next merge is furthest above the last."""
    most = min(numbers.most, count)
    if numbers.least >= most:
        return most
    heights = tree[::-1, 2]  # heights[k - 2] is the merge that makes k clusters k - 1
    gaps = [heights[k - 2] / max(heights[k - 1], 1e-9) if 2 <= k < count else 0 for k in range(numbers.least, most + 1)]
    return numbers.least + gaps.index(max(gaps))


def _cut(tree: Vectors, number: int) -> Labels:
    """Labels 0, 1, ... of exactly this many clusters (ties in height, which fcluster would not cut, included)."""
    import numpy as np

    count = len(tree) + 1
    parent = list(range(2 * count - 1))
    for step in range(count - number):
        left, right = int(tree[step, 0]), int(tree[step, 1])
        parent[left] = parent[right] = count + step

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    roots = [root(leaf) for leaf in range(count)]
    order = {node: index for index, node in enumerate(dict.fromkeys(roots))}
    return np.array([order[node] for node in roots])


def _share_out(
    sizes: Sequence[int], trees: Sequence[Vectors], groups: Range, per_group: Range, fewest: int
) -> list[int]:
    """How many groups each superclass gets: the merges undone first are the highest ones, wherever they are."""
    low = [max(min(fewest, size // per_group.least), -(-size // per_group.most)) for size in sizes]
    high = [size // per_group.least for size in sizes]
    for size, least, most in zip(sizes, low, high, strict=True):
        if least > most:
            raise ShapeError(
                f"a superclass of {size} classes cannot be cut into groups of {per_group}; ask for a wider range of"
                " classes per group"
            )
    total = groups.clip(sum(low))
    if not sum(low) <= total <= sum(high):
        raise ShapeError(
            f"{groups} groups of {per_group} classes do not fit superclasses of {min(sizes)} to {max(sizes)} classes;"
            " ask for a wider range of one of them"
        )
    numbers = list(low)
    queue: list[tuple[float, int]] = []

    def offer(index: int) -> None:
        if numbers[index] < high[index]:
            heapq.heappush(queue, (-float(trees[index][::-1, 2][numbers[index] - 1]), index))

    for index in range(len(sizes)):
        offer(index)
    while sum(numbers) < total:
        _, index = heapq.heappop(queue)
        numbers[index] += 1
        offer(index)
    return numbers


def _refine(vectors: Vectors, labels: Labels, sizes: Range) -> Labels:
    """Moves rows to the cluster whose mean direction is nearest, or to a smaller one almost as near, then mends sizes.

    Spherical k-means with a penalty on the logarithm of the size, started from Ward's cut.
    """
    import numpy as np

    labels = labels.copy()
    clusters = int(labels.max()) + 1
    if clusters == 1:
        return labels
    for _ in range(SWEEPS):
        near = _similarities(vectors, labels, clusters)  # (n, clusters)
        size = np.bincount(labels, minlength=clusters)
        here = near[np.arange(len(labels)), labels]
        moved = 0
        for row in np.argsort(here - near.max(axis=1), kind="stable"):
            old = labels[row]
            if size[old] <= sizes.least:
                continue
            size[old] -= 1
            gain = near[row] - EVENNESS * np.log(size + 1)
            gain[size >= sizes.most] = -np.inf
            gain[old] += 1e-9  # a tie stays
            new = int(gain.argmax())
            moved += new != old
            labels[row] = new
            size[new] += 1
        if not moved:
            break
    return _mend(_similarities(vectors, labels, clusters), labels, sizes)


def _similarities(vectors: Vectors, labels: Labels, clusters: int) -> Any:
    """Products of rows with the clusters' mean directions, (n, clusters)."""
    import numpy as np

    centres = np.zeros((clusters, vectors.shape[1]))
    np.add.at(centres, labels, vectors)
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return (vectors @ centres.T).round(DECIMALS)


def _mend(near: Any, labels: Labels, sizes: Range) -> Labels:
    """Fills clusters that are too small and drains those too large, by the moves that lose the least similarity."""
    import numpy as np

    size = np.bincount(labels, minlength=near.shape[1])
    rows = np.arange(len(labels))
    assert len(size) * sizes.least <= len(labels) <= len(size) * sizes.most, (len(size), sizes, len(labels))
    while size.min() < sizes.least or size.max() > sizes.most:
        loss = near[rows, labels][:, None] - near  # (n, clusters)
        if size.min() < sizes.least:
            target = int(size.argmin())
            able = size[labels] > sizes.least
            row = int(np.where(able, loss[:, target], np.inf).argmin())
        else:
            source = int(size.argmax())
            loss[:, size >= sizes.most] = np.inf
            loss[labels != source] = np.inf
            row, target = divmod(int(loss.argmin()), near.shape[1])
        size[labels[row]] -= 1
        labels[row] = target
        size[target] += 1
    return labels
