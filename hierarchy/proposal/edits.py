"""What can be changed in a proposal, as data; applying an edit is pure, and each has an inverse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from hierarchy.english import count
from hierarchy.errors import EditError, UnknownNode, nearest
from hierarchy.names import join_path, split_path
from hierarchy.proposal.proposal import Place, Proposal
from hierarchy.tree import Hierarchy


@dataclass(frozen=True)
class Move:
    """Moves a class (by id) into a group, new or old, given by its path."""

    id: str
    to: str

    def __str__(self) -> str:
        return f"move {self.id} to {self.to}"


@dataclass(frozen=True)
class Rename:
    """Renames a superclass or a group, given by its path."""

    node: str
    name: str

    def __str__(self) -> str:
        return f"rename {self.node} to {self.name}"


@dataclass(frozen=True)
class Merge:
    """Moves everything below a superclass or a group into another of the same level, both given by their paths."""

    node: str
    into: str

    def __str__(self) -> str:
        return f"merge {self.node} into {self.into}"


@dataclass(frozen=True)
class Split:
    """Moves some classes (by id) of a superclass or group into a new sibling of it."""

    node: str
    name: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"split {count(len(self.ids), 'class')} off {self.node} as {self.name}"


@dataclass(frozen=True)
class Regroup:
    """Moves many classes at once, each (id, path of a group); the path "" unsettles a class."""

    places: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"regroup {count(len(self.places), 'class')}"


@dataclass(frozen=True)
class Define:
    """Says what a class (by id) means: in words and, if it is one of WordNet's senses, by the id of the synset."""

    id: str
    definition: str
    wnid: str = ""

    def __str__(self) -> str:
        return f"define {self.id} as {self.definition!r}"


Edit: TypeAlias = Move | Rename | Merge | Split | Regroup | Define

EDIT_KINDS: dict[str, type[Edit]] = {
    "move": Move,
    "rename": Rename,
    "merge": Merge,
    "split": Split,
    "regroup": Regroup,
    "define": Define,
}


def apply(edit: Edit, proposal: Proposal) -> Proposal:
    """The proposal after an edit.

    Raises:
        UnknownNode: the proposal has no such class or node.
        EditError: the edit is impossible: nodes of different levels, a name that is taken.
        InvalidHierarchy: the result is not a hierarchy: an invalid name, or the id of a class.

    >>> before = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> apply(Move("a", "x/z"), before).settled.nodes(2)
    ('x/z',)
    """
    if isinstance(edit, Define):
        return _defined(proposal, edit)
    if isinstance(edit, Move):
        return _placed(proposal, {edit.id: _group(edit.to)})
    if isinstance(edit, Regroup):
        return _placed(proposal, {id: _group(to) if to else None for id, to in edit.places})
    hierarchy = _settled(edit.node, proposal)
    level = _level(edit.node, hierarchy)
    below = {hierarchy.classes[label]: hierarchy.groups[label] for label in hierarchy.labels(edit.node)}
    if isinstance(edit, Merge):
        if _level(edit.into, hierarchy) != level or edit.into == edit.node:
            raise EditError(f"cannot merge {edit.node!r} into {edit.into!r}; give two nodes of the same level")
        into = split_path(edit.into)
        return _placed(proposal, {id: (into[0], into[-1] if level == 2 else old[1]) for id, old in below.items()})
    new = join_path(*split_path(edit.node)[: level - 1], edit.name)
    if new in hierarchy.nodes(1 if level == 1 else 2):
        raise EditError(f"the name {new!r} is taken; choose another, or merge the two")
    if isinstance(edit, Split):
        strangers = sorted(set(edit.ids) - set(below))
        if strangers:
            raise EditError(f"not below {edit.node!r}: {', '.join(map(repr, strangers))}; give ids of classes below it")
        below = {id: old for id, old in below.items() if id in set(edit.ids)}
        if not below:
            raise EditError(f"no classes to split off {edit.node!r}; give their ids")
    return _placed(
        proposal, {id: (edit.name, old[1]) if level == 1 else (old[0], edit.name) for id, old in below.items()}
    )


def inverse(edit: Edit, before: Proposal) -> Regroup | Define:
    """The edit that undoes another one; raises what applying that one raises.

    >>> before = Proposal.from_hierarchy(Hierarchy(("a", "b"), ("a", "b"), (("x", "y"), ("x", "z"))))
    >>> inverse(Merge("x/y", "x/z"), before)
    Regroup(places=(('a', 'x/y'),))
    """
    after = apply(edit, before)
    if isinstance(edit, Define):
        return Define(edit.id, before.classes.definitions[before.classes.ids.index(edit.id)])
    return Regroup(tuple((id, before.place(id)) for id in before.classes.ids if before.place(id) != after.place(id)))


def edit_to_dict(edit: Edit) -> dict[str, Any]:
    """An edit as plain values for JSON: its kind as "edit", then its fields.

    >>> edit_to_dict(Move("n1", "fish/sharks"))
    {'edit': 'move', 'id': 'n1', 'to': 'fish/sharks'}
    """
    kind = next(kind for kind, cls in EDIT_KINDS.items() if isinstance(edit, cls))
    return {"edit": kind, **{field.name: getattr(edit, field.name) for field in fields(edit)}}


def edit_from_dict(content: Mapping[str, Any]) -> Edit:
    """Reads an edit that `edit_to_dict` wrote, also from JSON.

    Raises:
        EditError: the kind is unknown, or fields are missing, unknown or of the wrong type.
    """
    kind = content.get("edit")
    if not isinstance(kind, str) or kind not in EDIT_KINDS:
        raise EditError(f"unknown kind of edit {kind!r}; use {', '.join(EDIT_KINDS)}")
    names = [field.name for field in fields(EDIT_KINDS[kind])]
    if set(content) != {"edit", *names}:
        raise EditError(
            f"a {kind} has the fields {', '.join(sorted(set(content) - {'edit'}))}; give {', '.join(names)}"
        )
    values = {name: _value(name, content[name]) for name in names}
    return EDIT_KINDS[kind](**values)


def _value(name: str, value: Any) -> Any:
    """A field as its type: a string, ids as a tuple of strings, places as a tuple of pairs of strings."""
    if name == "ids":
        if isinstance(value, list | tuple) and all(isinstance(id, str) for id in value):
            return tuple(value)
        raise EditError(f"ids are {value!r}; give a list of strings")
    if name == "places":
        if isinstance(value, list | tuple) and all(_is_pair(pair) for pair in value):
            return tuple((id, to) for id, to in value)
        raise EditError(f"places are {value!r}; give a list of pairs (id, path)")
    if not isinstance(value, str):
        raise EditError(f"{name} is {value!r}; give a string")
    return value


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def _settled(node: str, proposal: Proposal) -> Hierarchy:
    """The settled part of a proposal, which has the nodes."""
    if not any(proposal.places):
        raise UnknownNode(f"no superclass or group {node!r}: no class is settled yet; move some first")
    return proposal.settled


def _level(node: str, hierarchy: Hierarchy) -> int:
    if node in hierarchy.nodes(1):
        return 1
    if node in hierarchy.nodes(2):
        return 2
    raise UnknownNode(f"no superclass or group {node!r}{nearest(node, hierarchy.nodes(1) + hierarchy.nodes(2))}")


def _group(path: str) -> Place:
    names = split_path(path)
    if len(names) != 2:
        raise EditError(f"{path!r} is not the path of a group; use superclass/group")
    return names[0], names[1]


def _placed(proposal: Proposal, changed: Mapping[str, Place | None]) -> Proposal:
    known = set(proposal.classes.ids)
    for id in changed:
        if id not in known:
            raise UnknownNode(f"no class {id!r} to move{nearest(id, proposal.classes.ids)}; give the id of a class")
    places = zip(proposal.classes.ids, proposal.places, strict=True)
    return replace(proposal, places=tuple(changed.get(id, old) for id, old in places))


def _defined(proposal: Proposal, edit: Define) -> Proposal:
    classes = proposal.classes
    if edit.id not in classes.ids:
        raise UnknownNode(f"no class {edit.id!r} to define{nearest(edit.id, classes.ids)}; give the id of a class")
    own = zip(classes.ids, classes.definitions, strict=True)
    definitions = tuple(edit.definition if id == edit.id else definition for id, definition in own)
    return replace(proposal, classes=replace(classes, definitions=definitions))
