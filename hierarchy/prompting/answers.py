"""What a model may answer: the schemas that are sent, strict reading of the replies, and what they say of a class."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hierarchy.errors import HierarchyError
from hierarchy.llm import Reply, Request


class UnreadableAnswer(HierarchyError):
    """An answer that is not one JSON object of the schema; the message is sent back to the model."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Superclass(_Strict):
    """One proposed superclass."""

    name: str
    about: str


class Superclasses(_Strict):
    """The top level, or a part of it."""

    superclasses: list[Superclass]


class Placement(_Strict):
    """One class (by number) into one node (by number; 0 is none)."""

    id: int
    node: int


class Placements(_Strict):
    """Where each of the classes asked about belongs."""

    placements: list[Placement]


class Group(_Strict):
    """A group and the numbers of its classes."""

    name: str
    ids: list[int]


class Groups(_Strict):
    """One superclass, divided."""

    groups: list[Group]


class Name(_Strict):
    """A node (by number) and what it shall be called."""

    node: int
    name: str


class Names(_Strict):
    """Names of the nodes asked about."""

    names: list[Name]


Kind = TypeVar("Kind", bound=BaseModel)
SCHEMAS: dict[str, type[BaseModel]] = {
    kind.__name__: kind for kind in (Superclasses, Placements, Groups, Names)
}  # by the names in the prompts' heads


def read_answer(text: str, kind: type[Kind]) -> Kind:
    """Reads an answer, also from amid prose or a code fence, as long as it holds exactly one JSON object.

    Raises:
        UnreadableAnswer: there is no object, or several, or one that does not fit the schema.

    >>> read_answer('Here: {"placements": [{"id": 3, "node": 1}]}', Placements).placements[0].node
    1
    """
    try:
        return kind.model_validate(_find_object(text), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the object"
        raise UnreadableAnswer(f"at {place}: {first['msg'][:1].lower() + first['msg'][1:]}") from None


def describe_answer(request: Request, reply: Reply, number: int) -> str:
    """What a reply says of the class with this number, for a person.

    >>> asked = Request("assign", (), {}, "m", about={"classes": [3], "nodes": {"1": "fish"}})
    >>> describe_answer(asked, Reply('{"placements": [{"id": 3, "node": 1}]}'), 3)
    'node 1 (fish)'
    """
    nodes = request.about.get("nodes")
    try:
        if nodes is not None:
            placed = [entry.node for entry in read_answer(reply.text, Placements).placements if entry.id == number]
            said = [f"node {node} ({nodes.get(str(node)) or 'none'})" for node in placed]
        else:
            said = [repr(group.name) for group in read_answer(reply.text, Groups).groups if number in group.ids]
    except UnreadableAnswer:
        return "an unreadable answer"
    return " and ".join(said) or "nothing about it"


def _find_object(text: str) -> Any:
    start = text.find("{")
    if start < 0:
        raise UnreadableAnswer("it held no JSON object")
    try:
        found, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise UnreadableAnswer(f"it was not valid JSON ({error.msg.lower()})") from None
    except (ValueError, RecursionError):
        raise UnreadableAnswer("it was not valid JSON (a number too long, or nested too deeply)") from None
    if "{" in text[end:]:
        raise UnreadableAnswer("it held more than one JSON object")
    return found
