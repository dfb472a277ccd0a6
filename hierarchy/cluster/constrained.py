"""Clusters vectors into superclasses and groups under a shape contract."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hierarchy.cluster.shape import Range, Shape, fill_in
from hierarchy.errors import ShapeError
from hierarchy.views import find_nearest, unit_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]
    Labels = NDArray[np.intp]

EVENNESS = 0.1  # similarity a class gives up to join a cluster e times smaller; 0.05 to 0.2 work equally well
NEIGHBOURS, BLEND = 5, 0.5  # each class is moved half of the way to the mean direction of its nearest five
TRIED = (3, 4, 6, 7, 8)  # other numbers of neighbours; the most coherent superclasses of all are taken
MANY = 2048  # classes; for more, the first cut has to do
FEW = 12  # classes; so few are cut where the gaps are, and a node may have a single child
SWEEPS = 20  # refinement converges in 5 to 15
BLOCK = 512  # rows whose products with all others are in memory at a time
DECIMALS = 6  # of distances, so that ties break alike whatever the order of summation


def cluster(
    vectors: Vectors,
    shape: Shape | None = None,
    settle: Callable[[Labels, Range], Labels] = lambda labels, sizes: labels,
) -> list[tuple[int, int]]:
    """Assigns each class to a superclass and a group.

    Classes first move towards their neighbours. Ward's linkage over their distances is cut into superclasses; classes
    then move to nearer ones, or to smaller ones almost as near. The same inside each superclass gives its groups.
    For a range of superclasses the cut is at the widest gap between merges; of a range of groups the fewest possible
    are made. Deterministic.

    Args:
        vectors: (K, D), rows of length 1, or 0.
        shape: the contract; it is met exactly or refused.
        settle: what may move single classes to other superclasses of some size, given the superclass of each.

    Returns:
        K pairs: the index of the superclass, and the index of the group within it.

    Raises:
        ShapeError: these classes cannot have that shape.
    """
    import numpy as np

    wanted = shape or Shape()
    count = len(vectors)
    if 4 <= count <= FEW and wanted == Shape():
        return _cluster_few(vectors)
    supers, groups, per_group, per_super = fill_in(wanted, count)
    several = _gather_neighbours(vectors)
    vectors = several[0]
    trees = [link(moved) for moved in several]
    number = _widest_gap(trees[0], supers, count)
    cuts = [_refine(moved, cut(tree, number), per_super) for moved, tree in zip(several, trees, strict=True)]
    top = settle(max(cuts, key=lambda labels: _measure_coherence(vectors, labels)), per_super)
    members = [np.flatnonzero(top == index) for index in range(top.max() + 1)]
    trees = [link(vectors[rows]) for rows in members]
    fewest = 1 if wanted.chains else 2
    numbers = _share_out([len(rows) for rows in members], trees, groups, per_group, fewest)
    found: list[tuple[int, int]] = [(0, 0)] * count
    for index, (rows, own, parts) in enumerate(zip(members, trees, numbers, strict=True)):
        for row, group in zip(rows, _refine(vectors[rows], cut(own, parts), per_group), strict=True):
            found[int(row)] = (index, int(group))
    return found


def _cluster_few(vectors: Vectors) -> list[tuple[int, int]]:
    """Two superclasses or more, cut at the widest gap; those of four classes or more have two groups or more."""
    import numpy as np

    tree = link(vectors)
    top = cut(tree, _widest_gap(tree, Range(2, max(2, len(vectors) // 3)), len(vectors)))
    found = [(int(index), 0) for index in top]
    for index in range(top.max() + 1):
        rows = np.flatnonzero(top == index)
        if len(rows) >= 4:
            inner = link(vectors[rows])
            parts = cut(inner, _widest_gap(inner, Range(2, len(rows) // 2), len(rows)))
            for row, group in zip(rows, parts, strict=True):
                found[int(row)] = (index, int(group))
    return found


def _gather_neighbours(vectors: Vectors) -> list[Vectors]:
    """Moves each row towards the mean direction of its nearest rows; kinds become denser, their borders clearer.

    Returns:
        The rows moved towards each number of neighbours that is tried, `NEIGHBOURS` first.
    """
    import numpy as np

    tried = (NEIGHBOURS, *(TRIED if len(vectors) <= MANY else ()))
    counts = list(dict.fromkeys(min(number, len(vectors) // 4) for number in tried))
    if counts == [0]:
        return [vectors]
    order, near = find_nearest(vectors, max(counts))
    weights = np.maximum(near, 0)
    mean, found = np.zeros_like(vectors), {}
    for place in range(max(counts)):
        mean += weights[:, place, None] * vectors[order[:, place]]
        if place + 1 in counts:
            found[place + 1] = unit_rows((1 - BLEND) * vectors + BLEND * unit_rows(mean))
    return [found[number] for number in counts]


def _measure_coherence(vectors: Vectors, labels: Labels) -> float:
    """The mean similarity of rows to the mean direction of their cluster."""
    import numpy as np

    sums = np.zeros((int(labels.max()) + 1, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    return round(float(np.linalg.norm(sums, axis=1).sum()) / len(vectors), DECIMALS)


def link(vectors: Vectors) -> Vectors:
    """Ward's linkage (Ward 1963) of unit rows; (n - 1, 4), as scipy gives it."""
    import numpy as np
    from scipy.cluster.hierarchy import linkage

    if len(vectors) < 2:
        return np.zeros((0, 4))
    return linkage(pair_distances(vectors), "ward")  # type: ignore[no-any-return]


def pair_distances(vectors: Vectors) -> Vectors:
    """Euclidean distances of all pairs of rows, (n * (n - 1) / 2,), a block of rows at a time to save memory."""
    import numpy as np

    n = len(vectors)
    square = np.einsum("nd,nd->n", vectors, vectors)
    found = np.empty(n * (n - 1) // 2)
    place = 0
    for start in range(0, n, BLOCK):
        product = vectors[start : start + BLOCK] @ vectors[start:].T  # (block, n - start)
        for row, products in enumerate(product, start):
            rest = square[row] + square[row + 1 :] - 2 * products[row + 1 - start :]
            found[place : place + len(rest)] = np.sqrt(np.maximum(rest, 0)).round(DECIMALS)
            place += len(rest)
    return found


def _widest_gap(tree: Vectors, numbers: Range, count: int) -> int:
    """The number of clusters, of those allowed, whose next merge is furthest above the last."""
    most = min(numbers.most, count)
    if numbers.least >= most:
        return most
    heights = tree[::-1, 2]  # heights[k - 2] is the merge that makes k clusters k - 1
    gaps = [heights[k - 2] / max(heights[k - 1], 1e-9) if 2 <= k < count else 0 for k in range(numbers.least, most + 1)]
    return numbers.least + gaps.index(max(gaps))


def cut(tree: Vectors, number: int) -> Labels:
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
    """The number of groups of each superclass: the highest merges of all superclasses are undone first."""
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
    """Moves rows to the cluster with the nearest mean direction, or to a smaller one almost as near; repairs sizes.

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
            gain[old] += 1e-9  # ties stay
            new = int(gain.argmax())
            moved += new != old
            labels[row] = new
            size[new] += 1
        if not moved:
            break
    return _repair_sizes(_similarities(vectors, labels, clusters), labels, sizes)


def _similarities(vectors: Vectors, labels: Labels, clusters: int) -> Any:
    """Products of rows with the clusters' mean directions, (n, clusters)."""
    import numpy as np

    centres = np.zeros((clusters, vectors.shape[1]))
    np.add.at(centres, labels, vectors)
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    return (vectors @ centres.T).round(DECIMALS)


def _repair_sizes(near: Any, labels: Labels, sizes: Range) -> Labels:
    """Fills clusters that are too small and drains those that are too large, losing the least similarity."""
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
