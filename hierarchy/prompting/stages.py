"""What is asked at each stage, in words, and how the answer is read: classes and nodes go by numbers, never by text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hierarchy.llm import Request
from hierarchy.names import name_fault
from hierarchy.prompting.answers import (
    SCHEMAS,
    Groups,
    Names,
    Placements,
    Superclasses,
    UnreadableAnswer,
    read_answer,
    schema,
)
from hierarchy.prompting.prompts import load_prompt
from hierarchy.prompting.retry import Question, Read
from hierarchy.sources import ClassList

MANY = 2  # times the wanted number of superclasses are too many
BRIEF = 60  # characters of a definition that are sent; the mean of WordNet's first clauses
Found = TypeVar("Found")


@dataclass(frozen=True)
class Node:
    """A superclass as a model proposes it: its name, and what belongs there."""

    name: str
    about: str


@dataclass(frozen=True)
class Branch:
    """A superclass with its groups: its index and name, and of each group its index, name and the classes' names."""

    index: int
    name: str
    groups: tuple[tuple[int, str, tuple[str, ...]], ...]

    @property
    def size(self) -> int:
        """How many classes it has."""
        return sum(len(names) for _, _, names in self.groups)


@dataclass(frozen=True)
class Wording:
    """Makes the questions about some classes.

    Args:
        classes: with definitions, as far as there are any; class number n has label n - 1.
        model: what the server calls it.
        settings: sent with every request; "max_tokens" is set by the size of the answer unless it is among them.
    """

    classes: ClassList
    model: str
    settings: Mapping[str, Any]

    def superclasses(self, part: tuple[int, ...], wanted: int, *, alone: bool) -> Question[list[Node]]:
        """Proposes superclasses for a part of the classes, or, `alone`, for all of them."""
        least, most = (wanted, wanted) if alone else (max(1, wanted // 2), wanted + wanted // 4)

        def build(items: tuple[int, ...]) -> Request:
            return self._request(
                "superclasses",
                {"wanted": wanted, "classes": list(items)},
                200 + 40 * most,
                source=_plain(self.classes.source),
                wanted=str(wanted),
                least=str(least),
                most=str(most),
                count=str(len(items)),
                classes=self._lines(items),
            )

        return Question(part, build, lambda text, items: Read(_nodes(text, wanted)))

    def merge(self, suggested: Sequence[Node], wanted: int) -> Question[list[Node]]:
        """Makes one top level of several."""

        def build(items: tuple[int, ...]) -> Request:
            return self._request(
                "merge",
                {"suggested": [node.name for node in suggested], "wanted": wanted},
                200 + 40 * wanted,
                source=_plain(self.classes.source),
                wanted=str(wanted),
                suggestions="\n".join(f"- {node.name}: {node.about}" for node in suggested),
            )

        return Question(
            tuple(range(len(suggested))), build, lambda text, items: Read(_nodes(text, wanted)), halves=False
        )

    def assign(self, part: tuple[int, ...], nodes: Sequence[Node]) -> Question[dict[int, str]]:
        """Puts classes into a closed list of superclasses; what fits none gets ""."""
        names = ("", *(node.name for node in nodes))
        listed = "\n".join(f"{number}. {node.name}: {node.about}" for number, node in enumerate(nodes, 1))

        def build(items: tuple[int, ...]) -> Request:
            about = {"classes": list(items), "nodes": names}
            tokens = 100 + 16 * len(items)
            return self._request("assign", about, tokens, nodes=listed, classes=self._lines(items))

        def read(text: str, items: tuple[int, ...]) -> Read[dict[int, str]]:
            return _placements(text, items, dict(enumerate(names)))

        return Question(part, build, read)

    def groups(
        self, part: tuple[int, ...], superclass: str, siblings: Sequence[str], share: float
    ) -> Question[dict[int, str]]:
        """Divides the classes of a superclass into groups, `share` groups a class; some may be left out."""

        def build(items: tuple[int, ...]) -> Request:
            wanted = max(1, min(round(share * len(items)), len(items) // 2))
            return self._request(
                "groups",
                {"classes": list(items)},
                200 + 8 * len(items) + 24 * wanted,
                superclass=superclass,
                siblings=", ".join(siblings) or "none",
                wanted=str(wanted),
                classes=self._lines(items),
            )

        return Question(part, build, _groups)

    def again(
        self, part: tuple[int, ...], choices: Mapping[int, Sequence[int]], listed: Mapping[int, str]
    ) -> Question[dict[int, int | None]]:
        """Has classes choose among groups.

        Args:
            part: the classes.
            choices: of each, the indices of the groups it may belong to.
            listed: of each group, its path and some of its classes, for the reader.
        """

        def build(items: tuple[int, ...]) -> Request:
            lines = []
            for item in items:
                lines.append(self._line(item))
                lines += [f"  node {group + 1}. {listed[group]}" for group in choices[item]]
            about = {
                "classes": list(items),
                "choices": {item: [group + 1 for group in choices[item]] for item in items},
            }
            return self._request("again", about, 100 + 16 * len(items), classes="\n".join(lines))

        def read(text: str, items: tuple[int, ...]) -> Read[dict[int, int | None]]:
            nodes: dict[int, int | None] = {0: None} | {group + 1: group for group in listed}
            found = _placements(text, items, nodes)
            strange = {item for item, group in found.value.items() if group is not None and group not in choices[item]}
            kept = {item: group for item, group in found.value.items() if item not in strange}
            missing = tuple(item for item in items if item not in kept)
            return Read(kept, missing, found.invented + len(strange), found.twice)

        return Question(part, build, read)

    def rename(
        self, branches: Sequence[Branch], taken: Sequence[str]
    ) -> Question[tuple[dict[int, str], dict[int, str]]]:
        """Checks the names of superclasses and their groups, beside those `taken` elsewhere; new names by indices."""
        lines: list[str] = []
        supers: dict[int, int] = {}
        groups: dict[int, int] = {}
        for branch in branches:
            supers[len(lines) + 1] = branch.index
            lines.append(f"{len(lines) + 1}. {branch.name}")
            for index, name, members in branch.groups:
                groups[len(lines) + 1] = index
                lines.append(f"  {len(lines) + 1}. {name} ({', '.join(members)})")
        old = {number: branch.name for number, branch in zip(supers, branches, strict=True)}
        old |= dict(zip(groups, (name for branch in branches for _, name, _ in branch.groups), strict=True))

        def build(items: tuple[int, ...]) -> Request:
            tokens = 200 + 24 * len(lines)
            return self._request(
                "rename", {"names": old}, tokens, taken=", ".join(taken) or "no other", nodes="\n".join(lines)
            )

        def read(text: str, items: tuple[int, ...]) -> Read[tuple[dict[int, str], dict[int, str]]]:
            names = {entry.node: _clean(entry.name) for entry in read_answer(text, Names).names}
            good = {number: name for number, name in names.items() if not name_fault(name)}
            return Read(
                (
                    {index: good[number] for number, index in supers.items() if number in good},
                    {index: good[number] for number, index in groups.items() if number in good},
                ),
                invented=len(set(names) - set(old)),
            )

        return Question(tuple(old), build, read, halves=False)

    def _request(self, name: str, about: Any, tokens: int, **values: str) -> Request:
        prompt = load_prompt(name)
        settings = {"max_tokens": tokens} | dict(self.settings)
        return Request(name, prompt.render(**values), schema(SCHEMAS[prompt.reply]), self.model, settings, about)

    def _lines(self, numbers: Sequence[int]) -> str:
        return "\n".join(self._line(number) for number in numbers)

    def _line(self, number: int) -> str:
        name, definition = self.classes.names[number - 1], brief(self.classes.definitions[number - 1])
        return f"{number}. {name}" + (f": {definition}" if definition else "")


def brief(definition: str) -> str:
    """The first clause of a definition, cut between words where it is long.

    >>> brief("a seal with small external ears; lives in the sea")
    'a seal with small external ears'
    """
    clause = " ".join(definition.split(";")[0].split())  # a line break would begin another class's line
    if len(clause) <= BRIEF:
        return clause
    return clause[: BRIEF + 1].rpartition(" ")[0] or clause[:BRIEF]


def _plain(source: str) -> str:
    """The name of a source without the way to it, which is nobody's business."""
    return Path(source).stem or source


def _nodes(text: str, wanted: int) -> list[Node]:
    nodes = [Node(_clean(s.name), " ".join(s.about.split())) for s in read_answer(text, Superclasses).superclasses]
    _refuse_bad_names([node.name for node in nodes])
    if len(nodes) > MANY * wanted:
        raise UnreadableAnswer(f"it gave {len(nodes)} superclasses, where {wanted} were wanted")
    return nodes


def _placements(text: str, items: tuple[int, ...], nodes: Mapping[int, Found]) -> Read[dict[int, Found]]:
    """Where an answer puts each item; an item placed in two nodes, or in one that is not listed, is missing."""
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
    return Read(kept, tuple(item for item in items if item not in kept), invented, len(twice))


def _groups(text: str, items: tuple[int, ...]) -> Read[dict[int, str]]:
    """The name of each item's group, where the answer gives it just one; the others may be asked about again."""
    groups = read_answer(text, Groups).groups
    uses = Counter(number for group in groups for number in set(group.ids))
    found = {number: _clean(group.name) for group in groups for number in group.ids}
    kept = {item: found[item] for item in items if uses[item] == 1}
    _refuse_bad_names(list(kept.values()))
    return Read(kept, invented=len(set(uses) - set(items)), twice=sum(uses[item] > 1 for item in items))


def _clean(name: str) -> str:
    return " ".join(name.replace("/", " and ").split())


def _refuse_bad_names(names: Sequence[str]) -> None:
    faults = [f"name {name!r} {fault}" for name in names if (fault := name_fault(name))]
    if faults:
        raise UnreadableAnswer(faults[0])
    if not names:
        raise UnreadableAnswer("it named nothing")
