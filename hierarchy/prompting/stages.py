"""The question of each stage: how it is put, and how its answer is read. Classes and nodes go by number, never by name.

A class's number is its label + 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hierarchy.llm import Request
from hierarchy.names import name_fault
from hierarchy.prompting.answers import SCHEMAS, Groups, Names, Placements, Superclasses, UnreadableAnswer, read_answer
from hierarchy.prompting.prompts import load_prompt
from hierarchy.prompting.retry import Question, Reading
from hierarchy.sources import ClassList

MANY = 2  # times the wanted number of superclasses are too many
BRIEF = 60  # characters of a definition that are sent; the mean of WordNet's first clauses
NONE = -1  # in place of a node's index: the class fits none
Found = TypeVar("Found")


@dataclass(frozen=True)
class Plan:
    """What decides a model's proposal, apart from the classes.

    Args:
        model: the server's name for it.
        superclasses, groups: how many to ask for; the model may give others.
        votes: how often every class is put into a superclass, each time in another order.
        part: classes in one request.
        seed: of the shuffles.
        settings: sent with every request (temperature, max_tokens, ...); "max_tokens" is otherwise set by the size of
            the answer.
    """

    model: str
    superclasses: int
    groups: int
    votes: int
    part: int = 125
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A superclass as a model proposes it: its name, and what belongs there."""

    name: str
    about: str


@dataclass(frozen=True)
class Option:
    """A group that a class may belong to: its path and some of its classes."""

    path: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path} ({', '.join(self.examples)})"


@dataclass(frozen=True)
class Branch:
    """A superclass with its groups: its index and name, and for each group its index, name and the classes' names."""

    index: int
    name: str
    groups: tuple[tuple[int, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class NewNames:
    """New names, by the indices of superclasses and of groups."""

    superclasses: Mapping[int, str]
    groups: Mapping[int, str]


@dataclass(frozen=True)
class Questions:
    """Builds the questions about some classes; names come with their definitions, if there are any."""

    classes: ClassList
    plan: Plan

    def superclasses(self, part: tuple[int, ...], *, alone: bool) -> Question[list[Node]]:
        """Asks for superclasses of a part of the classes or, if it is `alone`, of all of them."""
        wanted = self.plan.superclasses
        least, most = (wanted, wanted) if alone else (max(1, wanted // 2), wanted + wanted // 4)

        def build(items: tuple[int, ...]) -> Request:
            return self._request(
                "superclasses",
                {"classes": list(items)},
                200 + 40 * most,
                source=_shorten(self.classes.source),
                wanted=str(wanted),
                least=str(least),
                most=str(most),
                count=str(len(items)),
                classes=self._lines(items),
            )

        return Question(part, build, lambda text, items: Reading(_read_superclasses(text, wanted)))

    def merge(self, suggested: Sequence[Node]) -> Question[list[Node]]:
        """Merges the suggestions into one top level."""
        wanted = self.plan.superclasses

        def build(items: tuple[int, ...]) -> Request:
            return self._request(
                "merge",
                {"suggested": [node.name for node in suggested]},
                200 + 40 * wanted,
                source=_shorten(self.classes.source),
                wanted=str(wanted),
                suggestions="\n".join(f"- {node.name}: {node.about}" for node in suggested),
            )

        items = tuple(range(len(suggested)))
        return Question(items, build, lambda text, items: Reading(_read_superclasses(text, wanted)), halves=False)

    def assign(self, part: tuple[int, ...], nodes: Sequence[Node], order: Sequence[int]) -> Question[dict[int, int]]:
        """Asks for the superclass of each class, from a closed list in this order; the value is its index, or NONE."""
        listed = [nodes[index] for index in order]
        lines = "\n".join(f"{number}. {node.name}: {node.about}" for number, node in enumerate(listed, 1))
        names = {str(number): node.name for number, node in enumerate(listed, 1)}

        def build(items: tuple[int, ...]) -> Request:
            about = {"classes": list(items), "nodes": names}
            return self._request("assign", about, 100 + 16 * len(items), nodes=lines, classes=self._lines(items))

        def read(text: str, items: tuple[int, ...]) -> Reading[dict[int, int]]:
            return _read_placements(text, items, dict(enumerate((NONE, *order))))

        return Question(part, build, read)

    def divide(self, part: tuple[int, ...], superclass: str, siblings: Sequence[str]) -> Question[dict[int, str]]:
        """Asks to divide a superclass into groups; the value is the name of each class's group, if it has just one."""

        def build(items: tuple[int, ...]) -> Request:
            share = self.plan.groups / len(self.classes) * len(items)
            wanted = max(1, min(round(share), len(items) // 2))
            return self._request(
                "groups",
                {"classes": list(items)},
                200 + 8 * len(items) + 24 * wanted,
                superclass=superclass,
                siblings=", ".join(siblings) or "none",
                wanted=str(wanted),
                classes=self._lines(items),
            )

        return Question(part, build, _read_groups)

    def choose(
        self, part: tuple[int, ...], choices: Mapping[int, Sequence[int]], groups: Mapping[int, Option]
    ) -> Question[dict[int, int]]:
        """Asks which of several groups each class belongs to; the value is its index, or NONE.

        Args:
            part: the classes.
            choices: class -> the indices of the groups it may belong to.
            groups: the groups, by index.
        """

        def build(items: tuple[int, ...]) -> Request:
            lines = []
            for item in items:
                lines.append(self._line(item))
                lines += [f"  node {group + 1}. {groups[group]}" for group in choices[item]]
            about = {
                "classes": list(items),
                "nodes": {str(group + 1): groups[group].path for item in items for group in choices[item]},
                "choices": [[group + 1 for group in choices[item]] for item in items],
            }
            return self._request("again", about, 100 + 16 * len(items), classes="\n".join(lines))

        def read(text: str, items: tuple[int, ...]) -> Reading[dict[int, int]]:
            read = _read_placements(text, items, {0: NONE} | {group + 1: group for group in groups})
            strange = {item for item, group in read.value.items() if group != NONE and group not in choices[item]}
            kept = {item: group for item, group in read.value.items() if item not in strange}
            missing = tuple(item for item in items if item not in kept)
            return Reading(kept, missing, read.invented + len(strange), read.twice)

        return Question(part, build, read)

    def rename(self, branches: Sequence[Branch], taken: Sequence[str]) -> Question[NewNames]:
        """Asks to check the names of superclasses and their groups, given those `taken` elsewhere."""
        lines: list[str] = []
        old: dict[int, str] = {}
        superclasses: dict[int, int] = {}
        groups: dict[int, int] = {}
        for branch in branches:
            superclasses[len(lines) + 1], old[len(lines) + 1] = branch.index, branch.name
            lines.append(f"{len(lines) + 1}. {branch.name}")
            for index, name, members in branch.groups:
                groups[len(lines) + 1], old[len(lines) + 1] = index, name
                lines.append(f"  {len(lines) + 1}. {name} ({', '.join(members)})")

        def build(items: tuple[int, ...]) -> Request:
            about = {"names": {str(number): name for number, name in old.items()}}
            listed = {"taken": ", ".join(taken) or "no other", "nodes": "\n".join(lines)}
            return self._request("rename", about, 200 + 24 * len(lines), **listed)

        def read(text: str, items: tuple[int, ...]) -> Reading[NewNames]:
            names = {entry.node: _clean(entry.name) for entry in read_answer(text, Names).names}
            good = {number: name for number, name in names.items() if not name_fault(name)}
            value = NewNames(
                {index: good[number] for number, index in superclasses.items() if number in good},
                {index: good[number] for number, index in groups.items() if number in good},
            )
            return Reading(value, invented=len(set(names) - set(old)))

        return Question(tuple(old), build, read, halves=False)

    def _request(self, name: str, about: Mapping[str, Any], tokens: int, **values: str) -> Request:
        prompt = load_prompt(name)
        settings = {"max_tokens": tokens} | dict(self.plan.settings)
        schema = SCHEMAS[prompt.reply].model_json_schema()
        return Request(name, prompt.render(**values), schema, self.plan.model, settings, about)

    def _lines(self, numbers: Sequence[int]) -> str:
        return "\n".join(self._line(number) for number in numbers)

    def _line(self, number: int) -> str:
        name, definition = self.classes.names[number - 1], brief(self.classes.definitions[number - 1])
        return f"{number}. {name}" + (f": {definition}" if definition else "")


def brief(definition: str) -> str:
    """The first clause of a definition, cut between words if it is long.

    >>> brief("a seal with small external ears; lives in the sea")
    'a seal with small external ears'
    """
    clause = " ".join(definition.split(";")[0].split())  # a line break would begin another class's line
    if len(clause) <= BRIEF:
        return clause
    return clause[: BRIEF + 1].rpartition(" ")[0] or clause[:BRIEF]


def _shorten(source: str) -> str:
    """The name of a source without its folders, which are private."""
    return Path(source).stem or source


def _read_superclasses(text: str, wanted: int) -> list[Node]:
    nodes = [Node(_clean(s.name), " ".join(s.about.split())) for s in read_answer(text, Superclasses).superclasses]
    _check_names([node.name for node in nodes])
    if len(nodes) > MANY * wanted:
        raise UnreadableAnswer(f"it gave {len(nodes)} superclasses, where {wanted} were wanted")
    return nodes


def _read_placements(text: str, items: tuple[int, ...], nodes: Mapping[int, Found]) -> Reading[dict[int, Found]]:
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


def _read_groups(text: str, items: tuple[int, ...]) -> Reading[dict[int, str]]:
    """The name of each item's group, if the answer gives it exactly one; a later stage asks about the others."""
    groups = read_answer(text, Groups).groups
    uses = Counter(number for group in groups for number in set(group.ids))
    found = {number: _clean(group.name) for group in groups for number in group.ids}
    kept = {item: found[item] for item in items if uses[item] == 1}
    _check_names(list(kept.values()))
    return Reading(kept, invented=len(set(uses) - set(items)), twice=sum(uses[item] > 1 for item in items))


def _clean(name: str) -> str:
    return " ".join(name.replace("/", " and ").split())


def _check_names(names: Sequence[str]) -> None:
    faults = [f"name {name!r} {fault}" for name in names if (fault := name_fault(name))]
    if faults:
        raise UnreadableAnswer(faults[0])
    if not names:
        raise UnreadableAnswer("it named nothing")
