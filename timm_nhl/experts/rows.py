"""Which rows of which level a set of classes needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hierarchy import Hierarchy
from timm_nhl.errors import OptionError


@dataclass(frozen=True)
class Rows:
    """The nodes of one level that are kept: `rows`, ascending, and how many each parent that is kept has."""

    rows: tuple[int, ...]
    counts: tuple[int, ...]


def resolve_labels(hierarchy: Hierarchy, classes: str | Iterable[str]) -> tuple[int, ...]:
    """Labels of the classes below some ids, names and node paths, mixed freely; ascending.

    Raises:
        hierarchy.errors.UnknownNode, AmbiguousName: as in `Hierarchy.labels`.
        OptionError: nothing is named.
    """
    wanted = [classes] if isinstance(classes, str) else list(classes)
    if not wanted:
        raise OptionError("no classes given; name at least one class or node, or '' for all")
    return hierarchy.labels(*wanted)


def select_rows(hierarchy: Hierarchy, labels: Iterable[int]) -> tuple[Rows, Rows, Rows]:
    """For each level, the nodes on the way to some classes.

    >>> [level.rows for level in select_rows(Hierarchy.balanced(8), [0, 7])]
    [(0, 1), (0, 3), (0, 7)]
    """
    labels = tuple(labels)
    levels = []
    above: Sequence[int] = [0] * len(hierarchy)  # for each label, its node one level up; the root at first
    for level in (1, 2, 3):
        ancestors = hierarchy.ancestors(level)
        parent_of = {ancestors[label]: above[label] for label in labels}
        counts = Counter(parent_of.values())
        levels.append(Rows(tuple(sorted(parent_of)), tuple(counts[parent] for parent in sorted(counts))))
        above = ancestors
    return levels[0], levels[1], levels[2]


def match_labels(whole: Hierarchy, part: Hierarchy) -> tuple[int, ...] | None:
    """For each class of a hierarchy, its label in a larger one; None if a class is missing or elsewhere there."""
    label_of = {row: label for label, row in enumerate(whole.rows)}
    labels = [label_of.get(row) for row in part.rows]
    return None if None in labels else tuple(label for label in labels if label is not None)
