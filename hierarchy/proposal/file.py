"""The file a proposal is kept in, X.proposal.json: who would put which class where; the base a review starts from.

It is one JSON object (docs/reference/formats.md), a class a line:

    {"format": "proposal", "version": 1, "digest": "...", "source": "imagenet-1k", "provenance": {...},
     "classes": [{"id": "n01494475", "name": "hammerhead", "definition": "...", "superclass": "marine animals",
                  "group": "sharks", "opinions": [{"witness": "llm", "node": "marine animals/sharks", "strength": 1.0,
                  "why": "3 of 3 votes"}], "replies": ["5d1f..."]}, ...]}
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from hierarchy.errors import FormatError, InvalidHierarchy, in_one_sentence
from hierarchy.files import read_json, write_text
from hierarchy.io import check_format, json_table
from hierarchy.proposal.draft import Draft, Place
from hierarchy.proposal.proposal import Finding, Opinion, Witness
from hierarchy.sources import ClassList

FORMAT = "proposal"
VERSION = 1
COLUMNS = ("id", "name", "definition", "superclass", "group", "opinions", "replies")


@dataclass(frozen=True)
class ProposalFile:
    """What a proposal file holds.

    Args:
        draft: the classes and their places; a class may have none yet.
        opinions: class id -> what the witnesses say of it; a class that is not there was not asked about.
        replies: class id -> the keys of the replies of an LLM that placed it.
        provenance: how the proposal came to be (commands, versions, settings).

    >>> draft = Draft(ClassList(("n1",), ("tabby",), ("a cat",), "pets.txt"), (("mammals", "cats"),))
    >>> held = ProposalFile(draft, {"n1": (Opinion("llm", "mammals/cats", 1.0, "3 of 3 votes"),)})
    >>> held.opinions["n1"][0].why
    '3 of 3 votes'
    """

    draft: Draft
    opinions: Mapping[str, tuple[Opinion, ...]] = field(default_factory=dict)
    replies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("opinions", "replies"):
            said = {id: tuple(values) for id, values in getattr(self, name).items() if values}
            strangers = set(said).difference(self.draft.classes.ids)
            if strangers:
                raise InvalidHierarchy(f"{name} about {id!r}, which is no class here" for id in sorted(strangers))
            object.__setattr__(self, name, said)


def read_proposal(path: str | os.PathLike[str]) -> ProposalFile:
    """Reads a proposal file.

    Raises:
        FormatError: the file is missing, corrupt, of a newer version or no proposal; all its faults are told.
    """
    where = str(path)
    content = check_format(read_json(Path(path)), where, FORMAT, VERSION, written_by="generate")
    for name, kind, needed in (
        ("provenance", dict, "an object"),
        ("source", str, "a string"),
        ("classes", list, "a list"),
    ):
        if not isinstance(content.get(name), kind):
            raise FormatError(f"{where}: {name!r} is a {type(content.get(name)).__name__}, not {needed}; mend it")
    problems = tuple(_problems(content["classes"]))
    if problems:
        raise FormatError(f"{where}: {in_one_sentence('', problems)}")
    return _parsed(content, where)


def save_proposal(proposal: ProposalFile, path: str | os.PathLike[str]) -> None:
    """Writes a proposal file, whole or not at all.

    Raises:
        OutputError: it cannot be written, or the provenance is not for JSON.
    """
    write_text(path, dumps(proposal))


def save_findings(findings: Iterable[Finding], path: str | os.PathLike[str]) -> None:
    """Writes what the checks found of a proposal, X.findings.json, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    content = [finding.to_dict() for finding in findings]
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def dumps(proposal: ProposalFile) -> str:
    """The text of a proposal file."""
    draft = proposal.draft
    head = {
        "format": FORMAT,
        "version": VERSION,
        "digest": draft.digest,
        "source": draft.classes.source,
        "provenance": dict(proposal.provenance),
    }
    table = zip(draft.classes.ids, draft.classes.names, draft.classes.definitions, draft.places, strict=True)
    rows = []
    for id, name, definition, place in table:
        opinions = [asdict(opinion) for opinion in proposal.opinions.get(id, ())]
        values = (id, name, definition, *(place or (None, None)), opinions, list(proposal.replies.get(id, ())))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return json_table(head, rows)


def _parsed(content: Mapping[str, Any], where: str) -> ProposalFile:
    """The proposal of a content whose fields have the right types."""
    rows = content["classes"]
    ids, names, definitions = (tuple(row[column] for row in rows) for column in COLUMNS[:3])
    places: tuple[Place | None, ...] = tuple(
        None if row["superclass"] is None else (row["superclass"], row["group"]) for row in rows
    )
    doubles = sorted(id for id, uses in Counter(ids).items() if uses > 1)
    if doubles:
        raise FormatError(f"{where}: {in_one_sentence('', tuple(f'class {id!r} stands twice' for id in doubles))}")
    try:
        draft = Draft(ClassList(ids, names, definitions, content["source"]), places)
    except InvalidHierarchy as error:
        raise FormatError(f"{where}: {error}") from None
    digest = content.get("digest")
    if digest != draft.digest:
        raise FormatError(
            f"{where} says digest {str(digest)[:12]!r}, its classes have {draft.digest[:12]!r}: a proposal stays as it"
            " was made; change it by `hierarchy review`, or make it anew"
        )
    opinions = {row["id"]: tuple(Opinion(**opinion) for opinion in row["opinions"]) for row in rows}
    return ProposalFile(draft, opinions, {row["id"]: tuple(row["replies"]) for row in rows}, content["provenance"])


def _problems(classes: Sequence[Any]) -> Iterator[str]:
    if not classes:
        yield "no classes; give at least one"
    for label, entry in enumerate(classes):
        if not isinstance(entry, Mapping) or set(entry) != set(COLUMNS):
            found = f"the fields {', '.join(map(str, entry))}" if isinstance(entry, Mapping) and entry else "no fields"
            yield f"class {label} has {found[:200]}; give it {', '.join(COLUMNS)}"
            continue
        for column in COLUMNS[:3]:
            if not isinstance(entry[column], str):
                yield f"the {column} of class {label} is {str(entry[column])[:80]!r}, not a string"
        place = (entry["superclass"], entry["group"])
        if place != (None, None) and not all(isinstance(name, str) for name in place):
            yield f"class {label} has superclass and group {str(place)[:80]}; give two strings, or null twice"
        if not isinstance(entry["opinions"], list) or not all(map(_is_opinion, entry["opinions"])):
            names, witnesses = ", ".join(field.name for field in fields(Opinion)), ", ".join(get_args(Witness))
            yield f"the opinions of class {label} are no list of {names} (witness one of {witnesses})"
        if not isinstance(entry["replies"], list) or not all(isinstance(key, str) for key in entry["replies"]):
            yield f"the replies of class {label} are no list of strings"


def _is_opinion(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {field.name for field in fields(Opinion)}
        and value["witness"] in get_args(Witness)
        and isinstance(value["node"], str)
        and isinstance(value["why"], str)
        and isinstance(value["strength"], int | float)
        and not isinstance(value["strength"], bool)
        and 0 <= value["strength"] <= 1
    )
