"""What the answer to each question says, given what was asked; names are mended, and what breaks a rule is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from hierarchy.names import name_fault
from hierarchy.prompting.answers import Groups, Names, Placements, Superclasses, TopLevel, UnreadableAnswer, read_answer
from hierarchy.prompting.retry import Reading

MANY = 2  # times the wanted number of superclasses are too many
WORDS = 5  # in a name at most; prompts ask for three
LONGEST_MEANING = 120  # characters
NONE = -1  # in place of a node's index: the class fits none
Home: TypeAlias = str | int  # the name of a class's group, or the index of the superclass where it belongs instead
Found = TypeVar("Found")


@dataclass(frozen=True)
class Node:
    """A superclass as a model proposes it: its name, and what belongs there."""

    name: str
    about: str


@dataclass(frozen=True)
class Suggested:
    """Proposed superclasses, and what some classes (by number) mean."""

    nodes: tuple[Node, ...]
    meanings: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NewNames:
    """New names, by the indices of superclasses and of groups."""

    superclasses: Mapping[int, str]
    groups: Mapping[int, str]


def read_superclasses(text: str, wanted: int) -> Reading[Suggested]:
    """The superclasses of a merge."""
    return _read_superclasses(read_answer(text, Superclasses), wanted)


def read_top_level(text: str, items: tuple[int, ...], wanted: int) -> Reading[Suggested]:
    """The superclasses, and the meanings of classes that were asked about."""
    answer = read_answer(text, TopLevel)
    read = _read_superclasses(Superclasses(superclasses=answer.superclasses), wanted)
    said = {entry.id: " ".join(entry.meaning.split())[:LONGEST_MEANING] for entry in answer.meanings}
    meanings = {item: said[item] for item in items if said.get(item, "").isprintable() and said.get(item)}
    return Reading(Suggested(read.value.nodes, meanings), invented=len(set(said) - set(items)), fault=read.fault)


def _read_superclasses(answer: Superclasses, wanted: int) -> Reading[Suggested]:
    nodes = [Node(_clean(entry.name), " ".join(entry.about.split())) for entry in answer.superclasses]
    kept = [node for node in nodes if not name_fault(node.name) and not is_grab_bag(node.name)]
    if not kept:
        raise UnreadableAnswer(find_fault(node.name for node in nodes) or "it named no superclasses")
    if len(kept) > MANY * wanted:
        raise UnreadableAnswer(f"it gave {len(kept)} superclasses, where {wanted} were wanted")
    return Reading(Suggested(tuple(kept)), fault=find_fault(node.name for node in nodes))


def read_placements(text: str, items: tuple[int, ...], nodes: Mapping[int, Found]) -> Reading[dict[int, Found]]:
    """The node of each item; an item placed in two nodes, or in one that is not listed, is missing."""
    wanted, invented = set(items), 0
    found: dict[int, int] = {}
    twice: set[int] = set()
    for entry in read_answer(text, Placements).placements:
        if entry.id not in wanted or entry.node not in nodes:
            invented += 1
        elif entry.id in found and found[entry.id] != entry.node:
            twice.add(entry.id)
        else:
            found[entry.id] = entry.node
    kept = {item: nodes[node] for item, node in found.items() if item not in twice}
    return Reading(kept, tuple(item for item in items if item not in kept), invented, len(twice))


def read_choices(text: str, items: tuple[int, ...], choices: Mapping[int, Iterable[int]]) -> Reading[dict[int, int]]:
    """The group that each item is put into, one of its choices, or NONE."""
    listed = {group for groups in choices.values() for group in groups}
    read = read_placements(text, items, {0: NONE} | {group + 1: group for group in listed})
    kept = {item: group for item, group in read.value.items() if group == NONE or group in choices[item]}
    missing = tuple(item for item in items if item not in kept)
    return Reading(kept, missing, read.invented + len(read.value) - len(kept), read.twice)


def read_groups(
    text: str, items: tuple[int, ...], superclass: str, siblings: Mapping[int, int]
) -> Reading[dict[int, Home]]:
    """Where each item is, if the answer says it once; a later stage asks about the others.

    Args:
        text: the answer.
        items: the classes of the superclass.
        superclass: its name, which no group may have.
        siblings: number of a sibling -> its index.
    """
    answer = read_answer(text, Groups)
    names = [_clean(group.name) for group in answer.groups]
    found: dict[int, list[Home]] = {}
    for name, group in zip(names, answer.groups, strict=True):
        if not name_fault(name) and not is_grab_bag(name):
            for number in dict.fromkeys(group.ids):
                found.setdefault(number, []).append(name)
    for misfit in answer.misfits:
        found.setdefault(misfit.id, []).append(siblings.get(misfit.sibling, NONE))
    kept = {item: found[item][0] for item in items if len(found.get(item, ())) == 1}
    if not kept:
        raise UnreadableAnswer(find_fault(names) or "it grouped nothing that was asked")
    fault = find_fault(names) or next(
        (_repeats(name) for name in names if name.casefold() == superclass.casefold()), ""
    )
    twice = sum(len(found.get(item, ())) > 1 for item in items)
    return Reading(kept, invented=len(found.keys() - set(items)), twice=twice, fault=fault)


def read_names(text: str, old: Mapping[int, str]) -> Reading[dict[int, str]]:
    """The new names of some nodes, by number; one that breaks a rule, or is that of another node, changes nothing."""
    said = {entry.node: _clean(entry.name) for entry in read_answer(text, Names).names}
    owners = {name.casefold(): node for node, name in old.items()}
    swapped = {node: name for node, name in said.items() if owners.get(name.casefold(), node) != node and node in old}
    fault = find_fault(said.values())
    if swapped and not fault:
        node, name = next(iter(swapped.items()))
        fault = f"it gave node {node} the name of node {owners[name.casefold()]}, {name!r}"
    kept = {node: name for node, name in said.items() if node in old and node not in swapped and not find_fault([name])}
    return Reading(kept, invented=len(said.keys() - old.keys()), fault=fault)


# Names

_GRAB_WORDS = frozenset(
    ("other", "others", "misc", "miscellaneous", "various", "assorted", "remaining", "uncategorized", "unclassified")
)
_GRAB_NAMES = frozenset(
    (
        "anything",
        "classes",
        "devices",
        "entities",
        "everything",
        "items",
        "objects",
        "rest",
        "stuff",
        "things",
        "unknown",
    )
)


def is_grab_bag(name: str) -> bool:
    """Whether a name says nothing about what is in its node.

    >>> is_grab_bag("Other animals"), is_grab_bag("things"), is_grab_bag("musical devices")
    (True, True, False)
    """
    words = re.findall(r"\w+", name.casefold())
    return bool(_GRAB_WORDS & set(words)) or (len(words) == 1 and words[0] in _GRAB_NAMES)


def find_fault(names: Iterable[str]) -> str:
    """What is wrong with the first of some names that breaks a rule, or an empty string."""
    for name in names:
        if fault := name_fault(name):
            return f"name {name!r} {fault}"
        if is_grab_bag(name):
            return f"name {name!r} is a grab-bag, which says nothing of what is in it"
        if len(name.split()) > WORDS:
            return f"name {name!r} has {len(name.split())} words, where one to three are wanted"
    return ""


def _repeats(name: str) -> str:
    return f"group {name!r} repeats the name of the superclass"


def _clean(name: str) -> str:
    return " ".join(name.replace("/", " and ").split())
