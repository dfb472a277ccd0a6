"""The question of each stage: how it is put. Classes and nodes go by number, never by name.

A class's number is its label + 1. What an answer says is in readings.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hierarchy.english import count
from hierarchy.llm import Request
from hierarchy.prompting.answers import SCHEMAS
from hierarchy.prompting.prompts import load_prompt
from hierarchy.prompting.readings import (
    NONE,
    Home,
    NewNames,
    Node,
    Suggested,
    read_choices,
    read_groups,
    read_names,
    read_placements,
    read_superclasses,
    read_top_level,
)
from hierarchy.prompting.retry import Question, Reading
from hierarchy.sources import ClassList

BRIEF = 60  # characters of a definition that are sent; the mean of WordNet's first clauses
THOUGHTS = 4000  # tokens that an answer may have beyond its content: a model that thinks aloud needs them
PER_PLACEMENT = 24  # tokens of {"id": 12, "node": 3}, indented and with a line for each bracket
PER_NAME = 40  # tokens of a name with what belongs to it, indented too


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
class Option:
    """A group that a class may belong to: its index, its path and some of its other classes."""

    group: int
    path: str
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"node {self.group + 1}. {self.path} ({', '.join(self.examples) or 'no other class'})"


@dataclass(frozen=True)
class Branch:
    """A superclass with its groups: its index and name, and for each group its index, name and the classes' names."""

    index: int
    name: str
    groups: tuple[tuple[int, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Questions:
    """Builds the questions about some classes; names come with their definitions, if there are any.

    Args:
        classes: all of them.
        plan: how they are asked about.
        guessed: numbers of the classes whose definition was looked up, and may be that of a namesake.
    """

    classes: ClassList
    plan: Plan
    guessed: frozenset[int] = frozenset()

    def superclasses(self, part: tuple[int, ...]) -> Question[Suggested]:
        """Asks for superclasses of all classes, or of a part of them, and for what the list says wrongly of them."""
        wanted, total = self.plan.superclasses, len(self.classes)
        least, most = max(1, wanted // 2), wanted + wanted // 4

        def build(items: tuple[int, ...]) -> Request:
            extent, number = f"These are all its {total:,} classes.", f"exactly {count(wanted, 'superclass')}"
            if len(items) < total:
                extent = f"It has {total:,} classes and gets about {count(wanted, 'superclass')} in all."
                extent += f" This is a sample of {len(items):,} classes."
                number = f"the {least} to {most} superclasses that these classes need"
            tokens = PER_NAME * most + PER_PLACEMENT * len(items) // 2
            return self._request(
                "superclasses",
                {"classes": list(items)},
                tokens,
                extent=extent,
                number=number,
                classes=self._lines(items),
            )

        return Question(part, build, lambda text, items: read_top_level(text, items, wanted))

    def merge(self, suggested: Sequence[Node]) -> Question[Suggested]:
        """Merges the suggestions into one top level."""
        wanted = self.plan.superclasses

        def build(items: tuple[int, ...]) -> Request:
            lines = "\n".join(f"- {node.name}: {node.about}" for node in suggested)
            about = {"suggested": [node.name for node in suggested]}
            return self._request("merge", about, PER_NAME * wanted, wanted=str(wanted), suggestions=lines)

        items = tuple(range(len(suggested)))
        return Question(items, build, lambda text, items: read_superclasses(text, wanted), least=len(items))

    def assign(self, part: tuple[int, ...], nodes: Sequence[Node], order: Sequence[int]) -> Question[dict[int, int]]:
        """Asks for the superclass of each class, from a closed list in this order; the value is its index, or NONE."""
        listed = [nodes[index] for index in order]
        lines = "\n".join(f"{number}. {node.name}: {node.about}" for number, node in enumerate(listed, 1))
        names = {str(number): node.name for number, node in enumerate(listed, 1)}

        def build(items: tuple[int, ...]) -> Request:
            about = {"classes": list(items), "nodes": names}
            tokens, total = PER_PLACEMENT * len(items), len(self.classes)
            extent = f"all {total:,} of them" if len(items) == total else f"{len(items):,} of {total:,}"
            return self._request("assign", about, tokens, nodes=lines, extent=extent, classes=self._lines(items))

        def read(text: str, items: tuple[int, ...]) -> Reading[dict[int, int]]:
            return read_placements(text, items, dict(enumerate((NONE, *order))))

        return Question(part, build, read)

    def divide(self, part: tuple[int, ...], nodes: Sequence[Node], home: int, size: int) -> Question[dict[int, Home]]:
        """Asks to divide a superclass into groups.

        Args:
            part: its classes, or a part of them.
            nodes: all superclasses.
            home: its index.
            size: how many classes it has.
        """
        listed = dict(enumerate((other for other in range(len(nodes)) if other != home), 1))
        lines = "\n".join(f"{number}. {nodes[other].name}" for number, other in listed.items()) or "none"
        names = {str(number): nodes[other].name for number, other in listed.items()}
        share = self.plan.groups / len(self.classes)

        def build(items: tuple[int, ...]) -> Request:
            wanted = min(round(share * len(items)), len(items) // 2)
            extent = f"These are all of its {size:,} classes." if len(items) == size else ""
            return self._request(
                "groups",
                {"classes": list(items), "superclass": nodes[home].name, "siblings": names},
                8 * len(items) + PER_NAME * max(1, wanted),
                superclass=nodes[home].name,
                siblings=lines,
                extent=extent or f"These are {len(items):,} of its {size:,} classes.",
                number=f"about {wanted} groups" if wanted > 1 else "one group or two",
                classes=self._lines(items),
            )

        def read(text: str, items: tuple[int, ...]) -> Reading[dict[int, Home]]:
            return read_groups(text, items, nodes[home].name, listed)

        return Question(part, build, read, least=max(4, round(2 / share)))

    def choose(self, part: tuple[int, ...], choices: Mapping[int, Sequence[Option]]) -> Question[dict[int, int]]:
        """Asks which of its groups each class belongs to; the value is the group's index, or NONE."""

        def build(items: tuple[int, ...]) -> Request:
            lines = []
            for item in items:
                lines += [self._line(item), *(f"  {option}" for option in choices[item])]
            about = {
                "classes": list(items),
                "nodes": {str(option.group + 1): option.path for item in items for option in choices[item]},
                "choices": [[option.group + 1 for option in choices[item]] for item in items],
            }
            return self._request("again", about, PER_PLACEMENT * len(items), classes="\n".join(lines))

        def read(text: str, items: tuple[int, ...]) -> Reading[dict[int, int]]:
            return read_choices(text, items, {item: [option.group for option in choices[item]] for item in items})

        return Question(part, build, read)

    def rename(self, branches: Sequence[Branch], taken: Sequence[str]) -> Question[NewNames]:
        """Asks to check the names of superclasses and their groups, given those `taken` elsewhere.

        The value has the new names by the indices of superclasses and of groups.
        """
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
            listed = {"taken": ", ".join(taken) or "none", "nodes": "\n".join(lines)}
            return self._request("rename", about, PER_PLACEMENT * len(lines), **listed)

        def read(text: str, items: tuple[int, ...]) -> Reading[NewNames]:
            read = read_names(text, old)
            value = NewNames(
                {index: read.value[number] for number, index in superclasses.items() if number in read.value},
                {index: read.value[number] for number, index in groups.items() if number in read.value},
            )
            return Reading(value, invented=read.invented, fault=read.fault)

        return Question(tuple(old), build, read, least=len(old))

    def _request(self, name: str, about: Mapping[str, Any], tokens: int, **values: str) -> Request:
        prompt = load_prompt(name)
        settings = {"max_tokens": THOUGHTS + tokens} | dict(self.plan.settings)
        schema = SCHEMAS[prompt.reply].model_json_schema()
        messages = prompt.render(source=_shorten(self.classes.source), **values)
        return Request(name, messages, schema, self.plan.model, settings, about)

    def _lines(self, numbers: Sequence[int]) -> str:
        return "\n".join(self._line(number) for number in numbers)

    def _line(self, number: int) -> str:
        name, definition = self.classes.names[number - 1], brief(self.classes.definitions[number - 1])
        if definition and number in self.guessed:
            return f"{number}. {name} ({definition}?)"
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
