"""Which ids and names are valid, alone and together as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from unicodedata import category

from hierarchy.english import count
from hierarchy.names.paths import join_path


def name_fault(value: object) -> str | None:
    """What is wrong with an id or a name, as the end of a sentence; None if it is valid.

    >>> name_fault(" tabby")
    'starts or ends with a space; strip it'
    """
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}; give a string"
    return _fault(value)


@lru_cache(maxsize=1 << 16)  # an edit changes one name of thousands and all are checked again
def _fault(value: str) -> str | None:
    if not value:
        return "is empty; give it a name"
    if any(category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        return "contains a control character such as a line break; remove it"
    if value != value.strip():
        return "starts or ends with a space; strip it"
    return None


def table_problems(
    classes: tuple[str, ...], names: tuple[str, ...], groups: tuple[tuple[str, str], ...]
) -> Iterator[str]:
    """Everything that keeps the three columns of a table from being a hierarchy."""
    if not len(classes) == len(names) == len(groups):
        found = f"{count(len(classes), 'id')}, {count(len(names), 'name')} and {count(len(groups), 'group')}"
        yield f"got {found}; give one of each per class"
        return
    if not classes:
        yield "no classes; give at least one"
    no_pairs = [label for label, group in enumerate(groups) if not isinstance(group, tuple) or len(group) != 2]
    yield from (
        f"group {groups[label]!r} of label {label} is not a pair; give (superclass, group)" for label in no_pairs
    )
    if no_pairs:
        return
    for id, uses in Counter(id for id in classes if isinstance(id, str)).items():
        if uses > 1:
            places = [label for label, other in enumerate(classes) if other == id]
            yield f"id {id!r} occurs {uses} times (labels {', '.join(map(str, places))}); ids must be unique"
    for kind, values in (
        ("id", classes),
        ("name", names),
        ("superclass", [superclass for superclass, _ in groups]),
        ("group", [group for _, group in groups]),
    ):
        faults = ((value, name_fault(value)) for value in values)
        yield from dict.fromkeys(f"{kind} {value!r} {fault}" for value, fault in faults if fault)
    superclasses = {superclass for superclass, _ in groups if isinstance(superclass, str) and superclass}
    for superclass in sorted(superclasses.intersection(id for id in classes if isinstance(id, str))):
        yield f"superclass {superclass!r} is also the id of a class, so it would be ambiguous; rename it"
    yield from _paths_like_ids(classes, names, groups)


def _paths_like_ids(
    classes: tuple[str, ...], names: tuple[str, ...], groups: tuple[tuple[str, str], ...]
) -> Iterator[str]:
    """Ids with a "/" that are the path of another class, or of a group."""
    ids = {id: label for label, id in enumerate(classes) if isinstance(id, str) and "/" in id}
    if not ids or not all(isinstance(part, str) for group in groups for part in group):
        return
    for label, (id, name, group) in enumerate(zip(classes, names, groups, strict=True)):
        for path in dict.fromkeys((join_path(*group), *(join_path(*group, str(word)) for word in (id, name)))):
            if ids.get(path, label) != label:
                yield f"id {path!r} is also the path of a node, so it would be ambiguous; rename the node"
