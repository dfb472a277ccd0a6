"""What a model may answer: the schemas that are sent, and strict reading of what comes back."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hierarchy.errors import HierarchyError


class UnreadableAnswer(HierarchyError):
    """An answer that is not one JSON object of the schema; the message can be sent back to who gave it."""


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


Answer = TypeVar("Answer", bound=BaseModel)
SCHEMAS: dict[str, type[BaseModel]] = {
    kind.__name__: kind for kind in (Superclasses, Placements, Groups, Names)
}  # by the names that prompts call them


def schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a kind of answer, as strict structured outputs want it: all fields required, none beside."""
    return kind.model_json_schema()


def read_answer(text: str, kind: type[Answer]) -> Answer:
    """Reads an answer, also from amid prose or a code fence, as long as it holds exactly one JSON object.

    Raises:
        UnreadableAnswer: no object, several, or one that is not of the schema.

    >>> read_answer('Here: {"placements": [{"id": 3, "node": 1}]}', Placements).placements[0].node
    1
    """
    try:
        return kind.model_validate(_only_object(text), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the object"
        raise UnreadableAnswer(f"at {place}: {first['msg'][:1].lower() + first['msg'][1:]}") from None


def _only_object(text: str) -> Any:
    start = text.find("{")
    if start < 0:
        raise UnreadableAnswer("it held no JSON object")
    try:
        found, end = json.JSONDecoder().raw_decode(text, start)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise UnreadableAnswer(f"it was not valid JSON ({reason})") from None
    except ValueError:  # an integer of thousands of digits
        raise UnreadableAnswer("it was not valid JSON (a number too long)") from None
    if "{" in text[end:]:
        raise UnreadableAnswer("it held more than one JSON object")
    return found
