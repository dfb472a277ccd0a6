"""Nodes that hold two kinds of things, or things of no kind: hardly more alike than classes of different groups are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from hierarchy.checks.witnesses import ALIKE, FEW, SPECIFIC
from hierarchy.english import plural
from hierarchy.names import join_path, name_fault
from hierarchy.proposal import Finding, Move, Split
from hierarchy.tree import Hierarchy
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

LITTLE = 0.26  # standard deviations above classes of different groups; from 0.33 on, doubtful splits are among them
NAMED = 3  # classes that a message names of each part
LOOSE = 1.15  # the same for all classes of a node: a fire hydrant, a potted plant and a tie have 0.35
LOOSE_PAIR = 1.5  # the same for a group of two, whose similarity is that of one pair; fox and porcupine have 1.3,
NEARER = 0.3  # and how much nearer to a class elsewhere one of the two is: a fox is 0.42 nearer to a wolf
MANY = 400  # classes; of a larger node, nothing is said: it is oversized


def find_mixed(
    hierarchy: Hierarchy, vectors: Vectors, senses: Senses | None, nodes: Collection[str] | None = None
) -> Iterator[Finding]:
    """The superclasses and groups, of all or of `nodes`, that fall apart in two, with the split, or are loose.

    A superclass is divided between groups, a group between classes, by average linkage. It is mixed if classes of
    different parts are on average little more similar than those of different groups are, and the smaller part holds
    together. Of the shipped ImageNet-100, "food, fungi and kitchenware" is; of 100 emoji clustered by their names, the
    superclasses that hold faces and a dancing man, and credit cards and hearts; of CIFAR-100's authors, none.
    A group of two classes is mixed if they have little in common and one is much nearer to a class of another
    superclass: witnesses abstain about groups so small. Any node is loose if its classes are on average hardly more
    similar than those of different groups are.
    """
    if hierarchy.sizes[1] < 2:
        return
    sample = vectors[:: max(1, len(vectors) // 256)] @ vectors.T
    others = sample[sample < 1 - 1e-9]
    close = float(others.mean() + ALIKE * others.std()) if others.size else 1.0
    spread, between = float(others.std()) if others.size else 0.0, _measure_apart(hierarchy.ancestors(2), vectors)
    apart, loose, loose_pair = (between + share * spread for share in (LITTLE, LOOSE, LOOSE_PAIR))
    for level in (1, 2):
        inside: dict[int, dict[int, list[int]]] = {}  # node -> its parts -> labels
        parts = hierarchy.ancestors(2) if level == 1 else range(len(hierarchy))
        paths = hierarchy.nodes(level)
        for label, (node, part) in enumerate(zip(hierarchy.ancestors(level), parts, strict=True)):
            inside.setdefault(node, {}).setdefault(part, []).append(label)
        for node, held in inside.items():
            path = paths[node]
            if nodes is not None and path not in nodes:
                continue
            labels = [label for part in held.values() for label in part]
            if len(held) < 2 or len(labels) > MANY:
                continue
            found = list(_find_pair(path, labels, vectors, hierarchy, loose_pair)) if level == 2 == len(held) else []
            if len(labels) >= 2 * FEW:
                large, small, across = _divide(list(held.values()), vectors)
                if len(small) > 1 and across <= apart and _measure_cohesion(small, vectors) > close:
                    weight = min(1.0, _measure_cohesion(small, vectors) - across)
                    found.append(_describe(path, large, small, weight, hierarchy, senses))
            yield from found or _find_loose(path, labels, vectors, hierarchy, loose)


def _find_loose(
    path: str, labels: Sequence[int], vectors: Vectors, hierarchy: Hierarchy, loose: float
) -> Iterator[Finding]:
    """A node whose classes are on average less similar than `loose`, if something is known of each."""
    alike = _measure_cohesion(labels, vectors)
    if alike > loose or not vectors[list(labels)].any(axis=1).all():
        return
    names = [hierarchy.names[label] for label in sorted(labels)]
    shown = ", ".join(names[:NAMED]) if len(names) > NAMED else " and ".join((", ".join(names[:-1]), names[-1]))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    message = f"{path!r} holds classes that have little in common: {shown}{more}"
    yield Finding("mixed", path, message, "warning", min(1.0, max(0.0, loose - alike)), {"alike": round(alike, 3)})


def _find_pair(
    path: str, pair: Sequence[int], vectors: Vectors, hierarchy: Hierarchy, loose: float
) -> Iterator[Finding]:
    """A group of two classes that are less similar than `loose`, if one is much nearer to a class elsewhere."""
    import numpy as np

    together = float(vectors[pair[0]] @ vectors[pair[1]])
    superclass = hierarchy.groups[pair[0]][0]
    elsewhere = [label for label, (top, _) in enumerate(hierarchy.groups) if top != superclass]
    if together >= loose or not elsewhere:
        return
    similar = (vectors[pair] @ vectors[elsewhere].T).round(9)  # (2, others)
    row, column = np.unravel_index(int(similar.argmax()), similar.shape)
    nearest, label, other = float(similar[row, column]), pair[int(row)], pair[1 - int(row)]
    if nearest - together < NEARER:
        return
    names, home = hierarchy.names, join_path(*hierarchy.groups[elsewhere[int(column)]])
    message = (
        f"{path!r} holds two classes with little in common: {names[label]} is like {names[other]} {together:.2f}, like"
        f" {names[elsewhere[int(column)]]} {nearest:.2f}"
    )
    edit = Move(hierarchy.classes[label], home)
    yield Finding("mixed", path, message, "warning", min(1.0, nearest - together), {"classes": [edit.id]}, edit)


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
