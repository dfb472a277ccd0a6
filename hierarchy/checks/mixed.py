"""Nodes that hold two kinds of things, or things of no kind: hardly more alike than classes of different groups are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hierarchy.checks.witnesses import ALIKE, FEW, SPECIFIC
from hierarchy.english import plural
from hierarchy.names import join_path, name_fault
from hierarchy.proposal import Finding, Split
from hierarchy.tree import Hierarchy
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

LITTLE = 0.26  # standard deviations above classes of different groups; from 0.33 on, doubtful splits are among them
LOOSE = 1.15  # the same for all classes of a node: a fire hydrant, a potted plant and a tie have 0.35
NAMED = 3  # classes that a message names of each part
MANY = 400  # classes; of a larger node, nothing is said: it is oversized


def find_mixed(hierarchy: Hierarchy, vectors: Vectors, senses: Senses | None) -> Iterator[Finding]:
    """The superclasses and groups that fall apart into two parts, with the split as an edit, and those that are loose.

    A superclass is divided between groups, a group between classes, by average linkage. It is mixed if classes of
    different parts are on average little more similar than those of different groups are, and the smaller part holds
    together. Of the shipped ImageNet-100, "food, fungi and kitchenware" is; of 100 emoji clustered by their names, the
    superclasses that hold faces and a dancing man, and credit cards and hearts; of CIFAR-100's authors, none.

    A node is loose if its classes are on average hardly more similar than those of different groups are.
    """
    if hierarchy.sizes[1] < 2:
        return
    sample = vectors[:: max(1, len(vectors) // 256)] @ vectors.T
    others = sample[sample < 1 - 1e-9]
    close = float(others.mean() + ALIKE * others.std()) if others.size else 1.0
    unlike, spread = _measure_apart(hierarchy.ancestors(2), vectors), float(others.std()) if others.size else 0.0
    for level in (1, 2):
        inside: dict[int, dict[int, list[int]]] = {}  # node -> its parts -> labels
        parts = hierarchy.ancestors(2) if level == 1 else range(len(hierarchy))
        for label, (node, part) in enumerate(zip(hierarchy.ancestors(level), parts, strict=True)):
            inside.setdefault(node, {}).setdefault(part, []).append(label)
        for node, held in inside.items():
            path = hierarchy.nodes(level)[node]
            labels = [label for part in held.values() for label in part]
            if len(held) < 2 or len(labels) > MANY:
                continue
            if len(labels) >= 2 * FEW:
                large, small, across = _divide(list(held.values()), vectors)
                if len(small) > 1 and across <= unlike + LITTLE * spread and _measure_cohesion(small, vectors) > close:
                    weight = min(1.0, _measure_cohesion(small, vectors) - across)
                    yield _describe(path, large, small, weight, hierarchy, senses)
                    continue
            alike = (_measure_cohesion(labels, vectors) - unlike) / max(spread, 1e-9)
            if alike <= LOOSE and vectors[labels].any(axis=1).all():
                yield _describe_loose(path, labels, min(1.0, LOOSE - alike), hierarchy)


def _divide(parts: Sequence[list[int]], vectors: Vectors) -> tuple[list[int], list[int], float]:
    """The labels of the larger and the smaller of two halves, and how similar these are on average."""
    import numpy as np
    from scipy.cluster.hierarchy import average, fcluster

    sums = np.array([vectors[part].sum(axis=0) for part in parts])
    sizes = np.array([len(part) for part in parts])
    similar = (sums @ sums.T) / np.outer(sizes, sizes)  # of parts, on average over their classes
    rows, columns = np.triu_indices(len(parts), 1)
    distance = (1.5 - similar[rows, columns]).round(9)  # positive; a mean over pairs may be below -0
    side = fcluster(average(distance), 2, "maxclust") if len(parts) > 2 else np.array([1, 2])
    halves = [
        [label for part, at in zip(parts, side, strict=True) if at == which for label in part] for which in (1, 2)
    ]
    small, large = sorted(halves, key=lambda half: (len(half), half))
    across = float((vectors[large].sum(axis=0) @ vectors[small].sum(axis=0)) / (len(large) * len(small)))
    return large, small, across


def _measure_apart(group_of: Sequence[int], vectors: Vectors) -> float:
    """The mean similarity of classes of different groups."""
    import numpy as np

    sums = np.zeros((max(group_of) + 1, vectors.shape[1]))
    np.add.at(sums, np.array(group_of), vectors)
    sizes = np.bincount(np.array(group_of))
    total = sums.sum(axis=0)
    return float((total @ total - (sums**2).sum()) / (len(group_of) ** 2 - (sizes**2).sum()))


def _measure_cohesion(labels: Sequence[int], vectors: Vectors) -> float:
    """The mean similarity of different classes."""
    total = vectors[labels].sum(axis=0)
    own = (vectors[labels] ** 2).sum()
    return float((total @ total - own) / (len(labels) * (len(labels) - 1)))


def _describe_loose(path: str, labels: Sequence[int], weight: float, hierarchy: Hierarchy) -> Finding:
    names = [hierarchy.names[label] for label in sorted(labels)]
    shown = (
        ", ".join(names[:NAMED])
        if len(names) > NAMED
        else " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    )
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = f"{path!r} holds classes that have little in common: {shown}{more}"
    return Finding("mixed", path, message, "warning", weight)


def _describe(
    path: str, large: Sequence[int], small: Sequence[int], weight: float, hierarchy: Hierarchy, senses: Senses | None
) -> Finding:
    names = hierarchy.names
    shown = [", ".join(names[label] for label in half[:NAMED]) for half in (large, small)]
    more = [f" and {len(half) - NAMED} more" if len(half) > NAMED else "" for half in (large, small)]
    message = f"{path!r} holds two kinds of things: {shown[0]}{more[0]}, and {shown[1]}{more[1]}"
    ids = tuple(hierarchy.classes[label] for label in sorted(small))
    name = _find_name(path, small, hierarchy, senses)
    evidence = {"classes": list(ids)}
    return Finding("mixed", path, message, "warning", weight, evidence, Split(path, name, ids) if name else None)


def _find_name(path: str, labels: Sequence[int], hierarchy: Hierarchy, senses: Senses | None) -> str:
    """A name for a part of a node: of its groups, of a hypernym, or of two classes; "" if all of these are taken."""
    groups = Counter(hierarchy.groups[label][1] for label in labels)
    largest = [name for name, _ in groups.most_common(2)]
    if "/" in path:
        largest = [plural(hierarchy.names[label]) for label in labels[:2]]
        known = [senses.meanings[label].wnid for label in labels if senses.meanings[label]] if senses else []
        if senses and len(known) == len(labels):
            shared = senses.wordnet.lowest_common(*known)
            if senses.wordnet.information(shared) >= SPECIFIC:
                largest.insert(0, plural(senses.wordnet.synset(shared).words[0]))
                largest[1:] = [" and ".join(largest[1:])]
    else:
        largest.insert(0, " and ".join(largest))
    above = path.rpartition("/")[0]
    taken = {node.casefold() for node in (*hierarchy.nodes(1), *hierarchy.nodes(2), *hierarchy.classes)}
    for name in largest:
        node = f"{above}/{join_path(name)}" if above else join_path(name)
        if node.casefold() not in taken and not name_fault(name):
            return name
    return ""
