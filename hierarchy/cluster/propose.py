"""A proposal without a language model: clusters of vectors, named by what their classes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from hierarchy.cluster.constrained import cluster
from hierarchy.cluster.given import Placement, cluster_given
from hierarchy.cluster.naming import name_nodes
from hierarchy.cluster.shape import Shape, fill_in
from hierarchy.cluster.strays import find_kinds, settle_strays
from hierarchy.errors import ShapeError
from hierarchy.proposal import Proposal
from hierarchy.sources import ClassList
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]


def propose_by_clustering(
    classes: ClassList,
    vectors: Vectors,
    senses: Senses | None = None,
    shape: Shape | None = None,
    *,
    use_groups: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> Proposal:
    """Clusters classes and names the clusters.

    Args:
        classes: K classes.
        vectors: (K, D), rows of length 1, as `embed` returns them.
        senses: what WordNet says about the classes, if it is installed.
        shape: the numbers and sizes of nodes.
        use_groups: keep the superclasses and groups that the source states (`classes.places`).
        progress: receives the name of each stage.

    Raises:
        ShapeError: these classes cannot have that shape, or the source states no groups to use.
    """
    check_shape(classes, shape, use_groups=use_groups)
    progress("clustering")
    order = sorted(range(len(classes)), key=lambda label: classes.ids[label])
    ordered = _reorder(classes, order)
    senses = senses and replace(senses, meanings=tuple(senses.meanings[label] for label in order))
    if use_groups:
        placed = cluster_given(vectors[order], ordered.places, shape)
    else:
        kinds = find_kinds(senses, len(order))
        settled = cluster(vectors[order], shape, partial(settle_strays, kinds=kinds))
        placed = Placement(tuple(settled), {}, {})
    progress("naming")
    names = name_nodes(
        ordered,
        placed.nodes,
        senses=senses,
        centrality=_measure_centrality(vectors[order], placed.nodes),
        superclasses=placed.superclasses,
        groups=placed.groups,
    )
    places = dict(zip(order, names, strict=True))
    return Proposal(classes, tuple(places[label] for label in range(len(classes))))


def _reorder(classes: ClassList, order: Sequence[int]) -> ClassList:
    """The classes in another order: ties are broken by id, so that the order of a source's lines does not matter."""
    columns = (classes.ids, classes.names, classes.definitions, classes.places)
    ids, names, definitions, places = (tuple(column[label] for label in order if column) for column in columns)
    return ClassList(ids, names, definitions, classes.source, places)  # type: ignore[arg-type]


def check_shape(classes: ClassList, shape: Shape | None = None, *, use_groups: bool = False) -> None:
    """Makes sure that classes can have a shape, before minutes of work and not after.

    Raises:
        ShapeError: they cannot, or the source states no groups to use.
    """
    if not use_groups:
        fill_in(shape or Shape(), len(classes))
    elif not any(superclass or group for superclass, group in classes.places):
        raise ShapeError(f"{classes.source} states no groups of its classes; leave out --use-groups")


def _measure_centrality(vectors: Vectors, placement: Sequence[tuple[int, int]]) -> list[float]:
    """The similarity of each class to the mean of its group."""
    import numpy as np

    groups = {group: index for index, group in enumerate(dict.fromkeys(placement))}
    labels = np.array([groups[group] for group in placement])
    centres = np.zeros((len(groups), vectors.shape[1]))
    np.add.at(centres, labels, vectors)
    centres /= np.bincount(labels)[:, None]
    return [round(float(near), 6) for near in np.einsum("kd,kd->k", vectors, centres[labels])]
