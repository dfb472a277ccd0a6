"""What can be changed in a hierarchy, as data; applying an edit is pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hierarchy.errors import EditError, UnknownNode, nearest
from hierarchy.tree import Hierarchy


@dataclass(frozen=True)
class Move:
    """Puts a class (by id) into a group, new or old, given by its path."""

    id: str
    to: str

    def __str__(self) -> str:
        return f"move {self.id} to {self.to}"


@dataclass(frozen=True)
class Rename:
    """Gives a superclass or a group, given by its path, another name."""

    node: str
    name: str

    def __str__(self) -> str:
        return f"rename {self.node} to {self.name}"


@dataclass(frozen=True)
class Merge:
    """Puts everything below a superclass or a group into another one of its level, both given by their paths."""

    node: str
    into: str

    def __str__(self) -> str:
        return f"merge {self.node} into {self.into}"


@dataclass(frozen=True)
class Split:
    """Moves some classes (by id) of one superclass or group into a new sibling of it, which gets a name."""

    node: str
    name: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"split {len(self.ids)} classes off {self.node} as {self.name}"


Edit: TypeAlias = Move | Rename | Merge | Split


def apply(edit: Edit, hierarchy: Hierarchy) -> Hierarchy:
    """The hierarchy after an edit.

    Raises:
        UnknownNode: a class or node of the edit is not there.
        EditError: the edit cannot be done: a level that does not fit, a name that is taken.
        InvalidHierarchy: what it gives is no hierarchy: a name that is bad or the id of a class.

    >>> before = Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z")))
    >>> apply(Move("a", "x/z"), before).nodes(2)
    ('x/z',)
    """
    if isinstance(edit, Move):
        if edit.id not in hierarchy.classes:
            raise UnknownNode(
                f"no class {edit.id!r} to move{nearest(edit.id, hierarchy.classes)}; give the id of a class"
            )
        return _replaced(hierarchy, {hierarchy.classes.index(edit.id): _group(edit.to)})
    level = _level(edit.node, hierarchy)
    below = {label: hierarchy.groups[label] for label in hierarchy.labels(edit.node)}
    if isinstance(edit, Merge):
        if _level(edit.into, hierarchy) != level or edit.into == edit.node:
            raise EditError(f"cannot merge {edit.node!r} into {edit.into!r}; give two nodes of one level")
        superclass, _, group = edit.into.partition("/")
        return _replaced(hierarchy, {label: (superclass, group or old[1]) for label, old in below.items()})
    parent = edit.node.split("/")[: level - 1]
    new = "/".join([*parent, edit.name])
    if new in hierarchy.nodes(1 if level == 1 else 2):
        raise EditError(f"the name {new!r} is taken; choose another, or merge")
    if isinstance(edit, Split):
        below = {label: old for label, old in below.items() if hierarchy.classes[label] in set(edit.ids)}
        strangers = sorted(set(edit.ids) - {hierarchy.classes[label] for label in below})
        if strangers:
            raise EditError(f"not below {edit.node!r}: {', '.join(map(repr, strangers))}; give ids of classes that are")
        if not below:
            raise EditError(f"no classes to split off {edit.node!r}; give the ids of some")
    return _replaced(
        hierarchy, {label: (edit.name, old[1]) if level == 1 else (old[0], edit.name) for label, old in below.items()}
    )


def _level(node: str, hierarchy: Hierarchy) -> int:
    if node in hierarchy.nodes(1):
        return 1
    if node in hierarchy.nodes(2):
        return 2
    raise UnknownNode(f"no superclass or group {node!r}{nearest(node, hierarchy.nodes(1) + hierarchy.nodes(2))}")


def _group(path: str) -> tuple[str, str]:
    superclass, slash, group = path.partition("/")
    if not slash or "/" in group:
        raise EditError(f"{path!r} is no group; give superclass/group")
    return superclass, group


def _replaced(hierarchy: Hierarchy, groups: dict[int, tuple[str, str]]) -> Hierarchy:
    changed = tuple(groups.get(label, old) for label, old in enumerate(hierarchy.groups))
    return Hierarchy(hierarchy.classes, hierarchy.names, changed)
