"""Hierarchies for other people's programs: Newick trees, and the label arrays of hiclass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hierarchy.tree import Hierarchy

if TYPE_CHECKING:
    from numpy import object_
    from numpy.typing import NDArray


def to_newick(hierarchy: Hierarchy) -> str:
    """The tree in Newick format, children in node order: classes by id, groups and superclasses by name.

    Every label is quoted, with a quote inside it doubled, so that any name survives
    (Olsen 1990, "Newick's 8:45" tree format standard).

    >>> to_newick(Hierarchy.from_rows([("n1", "tabby", "mammals", "cats"), ("n2", "carp", "fish", "carps")]))
    "((('n2')'carps')'fish',(('n1')'cats')'mammals');"
    """
    below: dict[str, dict[str, list[str]]] = {}
    for place in _in_node_order(hierarchy):
        superclass, group = hierarchy.groups[place]
        below.setdefault(superclass, {}).setdefault(group, []).append(_quoted(hierarchy.classes[place]))
    superclasses = [
        f"({','.join(f'({chr(44).join(ids)}){_quoted(group)}' for group, ids in groups.items())}){_quoted(superclass)}"
        for superclass, groups in below.items()
    ]
    return f"({','.join(superclasses)});"


def to_hiclass(hierarchy: Hierarchy) -> NDArray[object_]:
    """The target array of hiclass: a row a class, in label order, from the superclass down; index it with labels.

    A group goes by its path, because hiclass takes equal names for one node and allows a node one parent. A class goes
    by its id (Miranda et al. 2023, HiClass, JMLR 24).

    Returns:
        (K, 3) objects: superclass, superclass/group, id.

    >>> to_hiclass(Hierarchy.from_rows([("n1", "tabby", "mammals", "cats")])).tolist()
    [['mammals', 'mammals/cats', 'n1']]
    """
    import numpy as np

    rows: list[list[Any]] = [[superclass, f"{superclass}/{group}", id] for id, _, superclass, group in hierarchy.rows]
    return np.array(rows, dtype=object)  # (K, 3)


def _in_node_order(hierarchy: Hierarchy) -> list[int]:
    """Labels of the classes in node order."""
    place = hierarchy.ancestors(3)
    return sorted(range(len(hierarchy)), key=place.__getitem__)


def _quoted(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"
