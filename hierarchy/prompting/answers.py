"""What a model may answer: the schemas that are sent, the shapes that prompts show, and tolerant reading of replies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from hierarchy.errors import HierarchyError
from hierarchy.llm import Reply, Request


class UnreadableAnswer(HierarchyError):
    """An answer without JSON of the wanted shape; the message is sent back to the model."""


def _to_number(value: Any) -> Any:
    """A number that was written as a string, alone or at the head of its line ("12", "12. tabby"), as a number."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted")
    found = re.fullmatch(r"\s*#?(\d{1,9})(?:\.0*)?(?:[.:)]? \D.*)?\s*", value) if isinstance(value, str) else None
    return int(found[1]) if found else value


def _keep_numbers(value: Any) -> Any:
    """The items of a list that are numbers; one that is not costs only itself."""
    return [number for item in value if (number := _number(item)) is not None] if isinstance(value, list) else value


def _number(value: Any) -> int | None:
    try:
        return _NUMBER.validate_python(value)
    except ValidationError:
        return None


Number = Annotated[int, BeforeValidator(_to_number)]
_NUMBER: TypeAdapter[int] = TypeAdapter(Number)


class _Content(BaseModel):
    """Sent as a strict schema and read leniently: further keys are ignored."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})


class Superclass(_Content):
    """One proposed superclass."""

    name: str = Field(description="short plural name")
    about: str = Field(description="what belongs there, at most ten words")


class Meaning(_Content):
    """What a class (by number) means, where its definition is wrong or its name misleads."""

    id: Number = Field(description="number of a class")
    meaning: str = Field(description="what it means here, at most ten words")


class Superclasses(_Content):
    """The top level."""

    superclasses: list[Superclass]


class TopLevel(_Content):
    """The top level, or a part of it, and what some classes mean."""

    superclasses: list[Superclass]
    meanings: list[Meaning]


class Placement(_Content):
    """One class (by number) into one node (by number; 0 is none)."""

    id: Number = Field(description="number of a class")
    node: Number = Field(description="number of a node")


class Placements(_Content):
    """Where each of the classes asked about belongs."""

    placements: list[Placement]


class Group(_Content):
    """A group and the numbers of its classes."""

    name: str = Field(description="short plural name")
    ids: Annotated[list[Number], BeforeValidator(_keep_numbers)] = Field(description="numbers of its classes")


class Misfit(_Content):
    """A class (by number) that belongs into a sibling (by number; 0 is none) of the superclass it is in."""

    id: Number = Field(description="number of a class")
    sibling: Number = Field(description="number of a sibling")


class Groups(_Content):
    """One superclass, divided."""

    groups: list[Group]
    misfits: list[Misfit]


class Name(_Content):
    """A node (by number) and what it shall be called."""

    node: Number = Field(description="number of a node")
    name: str = Field(description="its new name")


class Names(_Content):
    """New names of some nodes."""

    names: list[Name]


Kind = TypeVar("Kind", bound=BaseModel)
SCHEMAS: dict[str, type[BaseModel]] = {
    kind.__name__: kind for kind in (TopLevel, Superclasses, Placements, Groups, Names)
}  # by the names in the prompts' heads


def show_shape(kind: type[BaseModel]) -> str:
    """The JSON of a kind of answer as a prompt shows it, made from the schema.

    >>> show_shape(Placements)
    '{"placements": [{"id": <number of a class>, "node": <number of a node>}, ...]}'
    """
    schema = kind.model_json_schema()
    return _show(schema, schema.get("$defs", {}))


def _show(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _show(known[schema["$ref"].rpartition("/")[2]], known)
    if schema["type"] == "object":
        return "{" + ", ".join(f'"{name}": {_show(part, known)}' for name, part in schema["properties"].items()) + "}"
    words = f"<{schema['description']}>" if "description" in schema else ""
    if schema["type"] == "array":
        return f"[{words or _show(schema['items'], known)}, ...]"
    return words if schema["type"] == "integer" else f'"{words}"'


def read_answer(text: str, kind: type[Kind]) -> Kind:
    """Reads an answer: the last JSON of the wanted shape in it, whatever is around.

    A model may think aloud, before the answer or in <think>. A list alone is read as the first list of the answer, an
    object in an object as itself; a further list that is left out is empty; entries that do not fit are left out.

    Raises:
        UnreadableAnswer: no JSON in it has the shape.

    >>> read_answer('<think>{3?}</think> Here: {"placements": [{"id": "3", "node": 1.0}]}', Placements).placements[0]
    Placement(id=3, node=1)
    """
    found = list(_find_json(_drop_thoughts(text)))
    faults = []
    for content in reversed([content for content in found if not isinstance(content, str)]):
        try:
            return _fit(content, kind)
        except UnreadableAnswer as error:
            faults.append(str(error))
    raise UnreadableAnswer(
        next(iter([*faults, *(fault for fault in found if isinstance(fault, str))]), "it held no JSON")
    )


_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_REST_OF_THOUGHTS = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
MOST_STARTS = 1000  # brackets that begin no JSON, after which no more are tried: a megabyte of them takes no minutes


def _drop_thoughts(text: str) -> str:
    """The text without what is marked as thoughts; some templates leave out the mark that begins them."""
    return _REST_OF_THOUGHTS.sub("", _THOUGHTS.sub("", text))


def _find_json(text: str) -> Iterator[Any]:
    """Each outermost JSON object or list in a text, in order; a string says why one cannot be read."""
    decoder = json.JSONDecoder(strict=False)  # a line break in a string is no reason to ask again
    at, failed = 0, 0
    while failed < MOST_STARTS and (start := _BRACKET.search(text, at)):
        try:
            found, at = decoder.raw_decode(text, start.start())
            yield found
        except json.JSONDecodeError as error:
            at, failed = start.end(), failed + 1
            yield f"it was not valid JSON ({error.msg.lower()})"
        except (ValueError, RecursionError):
            at, failed = start.end(), failed + 1
            yield "it was not valid JSON (a number too long, or nested too deeply)"


_BRACKET = re.compile(r"[\[{]")


def _fit(found: Any, kind: type[Kind]) -> Kind:
    """JSON as an answer of a kind.

    Raises:
        UnreadableAnswer: its main list is missing, or no entry of it fits.
    """
    fields = kind.model_fields
    main = next(iter(fields))
    while isinstance(found, Mapping) and main not in found:  # {"thoughts": "...", "answer": {...}}
        inside = [value for value in found.values() if isinstance(value, Mapping | list)]
        if len(inside) != 1:
            break
        found = inside[0]
    if isinstance(found, list):
        found = {main: found}
    if not isinstance(found, Mapping) or main not in found:
        raise UnreadableAnswer(f"it had no list {main!r}")
    lists = {name: _fit_list(name, found.get(name, []), get_args(fields[name].annotation)[0]) for name in fields}
    return kind.model_validate(lists)


def _fit_list(name: str, found: Any, item: type[BaseModel]) -> Sequence[BaseModel]:
    """The entries of a list that fit; a map {12: 3} is read as a list of pairs."""
    if isinstance(found, Mapping):
        keys = tuple(item.model_fields)
        pairs = [dict(zip(keys, pair, strict=True)) for pair in found.items()]
        found = [found] if found.keys() >= set(keys) else pairs
    if not isinstance(found, list):
        raise UnreadableAnswer(f"at {name}: a list is wanted")
    kept, fault = [], ""
    for place, entry in enumerate(found):
        try:
            kept.append(item.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, (name, place, *first["loc"])))
            fault = fault or f"at {where}: {first['msg'][:1].lower() + first['msg'][1:]}"
    if fault and not kept:
        raise UnreadableAnswer(fault)
    return kept


def describe_answer(request: Request, reply: Reply, number: int) -> str:
    """What a reply says of the class with this number, for a person.

    >>> asked = Request("assign", (), {}, "m", about={"classes": [3], "nodes": {"1": "fish"}})
    >>> describe_answer(asked, Reply('{"placements": [{"id": 3, "node": 1}]}'), 3)
    'node 1 (fish)'
    """
    nodes, siblings = request.about.get("nodes"), request.about.get("siblings", {})
    try:
        if nodes is not None:
            placed = [entry.node for entry in read_answer(reply.text, Placements).placements if entry.id == number]
            said = [f"node {node} ({nodes.get(str(node)) or 'none'})" for node in placed]
        else:
            read = read_answer(reply.text, Groups)
            said = [repr(group.name) for group in read.groups if number in group.ids]
            homes = [siblings.get(str(misfit.sibling)) or "none" for misfit in read.misfits if misfit.id == number]
            said += [f"a misfit, which belongs to {home}" for home in homes]
    except UnreadableAnswer:
        return "an unreadable answer"
    return " and ".join(said) or "nothing about it"
