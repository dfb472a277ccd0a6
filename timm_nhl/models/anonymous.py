"""Which hierarchy a model gets: the one given, or an anonymous tree of as many classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hierarchy import Hierarchy, load
from timm_nhl.errors import OptionError

CLASSES = 1000  # when neither classes nor a hierarchy are given, as timm's own default


def balanced(classes: int) -> Hierarchy:
    """An anonymous tree of about cube-root branching: "superclass 0" > "group 00" > "class 000".

    >>> balanced(42).sizes
    (3, 12, 42)
    """
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 1:
        raise OptionError(f"num_classes={classes!r} is no whole number from 1; for features without a classifier use 0")
    superclasses = max(1, round(classes ** (1 / 3)))
    groups = max(superclasses, round(classes ** (2 / 3)))
    digits = [len(str(count - 1)) for count in (superclasses, groups, classes)]
    ids = tuple(f"class {label:0{digits[2]}}" for label in range(classes))
    group_of = [label * groups // classes for label in range(classes)]
    table = tuple(
        (f"superclass {group * superclasses // groups:0{digits[0]}}", f"group {group:0{digits[1]}}")
        for group in group_of
    )
    return Hierarchy(ids, ids, table)


def agreed(hierarchy: str | Mapping[str, Any] | Hierarchy | None, num_classes: int | None) -> Hierarchy:
    """The hierarchy a model is built for: the one given, or an anonymous one.

    Raises:
        OptionError: the number of classes disagrees with the hierarchy, or is none.
        hierarchy.HierarchyError: a hierarchy that cannot be loaded.
    """
    if hierarchy is None:
        return balanced(num_classes or CLASSES)
    tree = load(hierarchy)
    if num_classes not in (None, 0, len(tree)):
        raise OptionError(
            f"num_classes={num_classes!r} disagrees with the hierarchy, which has {len(tree)} classes;"
            f" leave num_classes out or give {len(tree)} (0 for features)"
        )
    return tree
