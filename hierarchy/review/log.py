"""The decision log of a review, X.decisions.jsonl: what people decided about a proposal, append-only.

The first line names the proposal, and each further line is one decision (docs/format.md):

    {"format": "decisions", "version": 1, "base": "<digest of the proposal>", "source": "imagenet-1k"}
    {"number": 1, "time": "2026-01-31T12:00:00Z", "who": "Ada", "what": "accept", "subject": "n01494475",
     "before": "marine animals/sharks"}
    {"number": 2, ..., "what": {"edit": "move", "id": "n01751748", "to": "reptiles/snakes"}, ...}
    {"number": 3, ..., "what": {"undo": 2}, ...}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hierarchy.errors import EditError, FormatError, os_reason, validation_problems
from hierarchy.io import check_format
from hierarchy.proposal import Edit, edit_from_dict, edit_to_dict

FORMAT = "decisions"
VERSION = 1


@dataclass(frozen=True)
class Accept:
    """Accepts a class (by id) or a node (by path) as it is."""

    subject: str

    def __str__(self) -> str:
        return f"accept {self.subject}"


@dataclass(frozen=True)
class Undo:
    """Undoes the decision with a number."""

    of: int

    def __str__(self) -> str:
        return f"undo {self.of}"


@dataclass(frozen=True)
class Decision:
    """One decision.

    Args:
        number: grows along the log.
        time: UTC, to the second, such as 2026-01-31T12:00:00Z.
        who: who decided.
        what: an acceptance, an edit, or the undoing of an earlier decision.
        subject: the id of a class or the path of a node; "" for an edit of many.
        before: where the subject was: the group of a class ("" while unsettled), the path of a node.
        new: whether the edit moves the class into a group that did not exist before.
        act: the number of the first of the decisions that were made, and are undone, together.
        holds: of an accepted node, the digest of its classes (`hierarchy.review.state.digest_members`).
    """

    number: int
    time: str
    who: str
    what: Accept | Undo | Edit
    subject: str = ""
    before: str = ""
    new: bool = False
    act: int = 0
    holds: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "act", self.act or self.number)

    def __str__(self) -> str:
        of_class = isinstance(self.what, Accept) and self.before != self.subject
        return f"{self.what} in {self.before}" if of_class else str(self.what)


@dataclass(frozen=True)
class Log:
    """A decision log: digest and source of the proposal it is about, and the decisions.

    >>> log = Log("c4c3", "pets.txt", (Decision(1, "2026-01-31T12:00:00Z", "Ada", Accept("n1"), "n1", "mammals/cats"),))
    >>> parse_log(log_to_text(log)) == log
    True
    """

    base: str
    source: str
    decisions: tuple[Decision, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the log's text, in hexadecimal."""
        return hashlib.sha256(log_to_text(self).encode()).hexdigest()

    @property
    def next_number(self) -> int:
        """The number of the next decision."""
        return self.decisions[-1].number + 1 if self.decisions else 1

    @property
    def in_effect(self) -> tuple[Decision, ...]:
        """The decisions that are not undone, without the undoings."""
        undone = {decision.what.of for decision in self.decisions if isinstance(decision.what, Undo)}
        return tuple(d for d in self.decisions if d.number not in undone and not isinstance(d.what, Undo))

    def find_beginning(self, digest: str) -> Log | None:
        """The beginning of this log that has a digest."""
        text = hashlib.sha256(_header(self).encode())
        for size, decision in enumerate(self.decisions, 1):
            text.update(decision_to_line(decision).encode())
            if text.hexdigest() == digest:
                return replace(self, decisions=self.decisions[:size])
        return None


# Writing


def utc_now() -> str:
    """The time as a log states it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def log_to_text(log: Log) -> str:
    """The text of a decision log."""
    return _header(log) + "".join(map(decision_to_line, log.decisions))


def decision_to_dict(decision: Decision) -> dict[str, Any]:
    """A decision as plain values for JSON."""
    what: Any = "accept"
    if isinstance(decision.what, Undo):
        what = {"undo": decision.what.of}
    elif not isinstance(decision.what, Accept):
        what = edit_to_dict(decision.what)
    content = {
        "number": decision.number,
        "time": decision.time,
        "who": decision.who,
        "what": what,
        "subject": decision.subject,
        "before": decision.before,
    }
    content |= {"new": True} if decision.new else {}
    content |= {"act": decision.act} if decision.act != decision.number else {}
    return content | ({"holds": decision.holds} if decision.holds else {})


def decision_to_line(decision: Decision) -> str:
    """A decision as a line of a log."""
    return _to_line(decision_to_dict(decision))


def _header(log: Log) -> str:
    return _to_line({"format": FORMAT, "version": VERSION, "base": log.base, "source": log.source})


def _to_line(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in a name that is not UTF-8
        text = json.dumps(content)
    return text + "\n"


# Reading


class _Header(BaseModel):
    model_config = ConfigDict(strict=True)

    base: str
    source: str


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    number: int
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    who: str
    what: Any
    subject: str
    before: str
    new: bool = False
    act: int = 0
    holds: str = ""


def read_log(path: Path) -> Log | None:
    """Reads a decision log; None if not even its first line is complete.

    Raises:
        FormatError: the file cannot be read, or a complete line is not a decision; the message names the line.
    """
    try:
        return parse_log(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise FormatError(f"no such file: {str(path)!r}; check the name and the folder") from None
    except OSError as error:
        raise FormatError(f"cannot read {str(path)!r}: {os_reason(error)}; give a readable file") from None


def parse_log(content: bytes | str, where: str = "the log") -> Log | None:
    """The log in a file's content; an incomplete last line, which a crash leaves, is ignored. Raises as `read_log`."""
    lines = (content.encode() if isinstance(content, str) else content).split(b"\n")[:-1]
    if not lines:
        return None
    header = check_format(_parse_json(lines[0], f"{where}:1"), where, FORMAT, VERSION, written_by="hierarchy review")
    try:
        about = _Header.model_validate(header)
    except ValidationError as error:
        raise FormatError(f"{where}:1: {'; '.join(validation_problems(error))}") from None
    return Log(about.base, about.source, tuple(_parse_decisions(lines[1:], where)))


def _parse_decisions(lines: list[bytes], where: str) -> Iterator[Decision]:
    last, in_effect = 0, set[int]()
    for number, text in enumerate(lines, 2):
        place = f"{where}:{number}"
        decision = _parse_decision(_parse_json(text, place), place)
        if decision.number <= last:
            raise FormatError(f"{place}: decision {decision.number} follows {last}; numbers must grow")
        if not 1 <= decision.act <= decision.number:
            raise FormatError(f"{place}: decision {decision.number} has act {decision.act}; use an earlier number")
        if isinstance(decision.what, Undo):
            if decision.what.of not in in_effect:
                raise FormatError(f"{place}: cannot undo {decision.what.of}: no such decision is in effect")
            in_effect.remove(decision.what.of)
        else:
            in_effect.add(decision.number)
        last = decision.number
        yield decision


def _parse_decision(content: Any, place: str) -> Decision:
    try:
        line = _Line.model_validate(content)
        return Decision(**{**vars(line), "what": _parse_what(line)})
    except ValidationError as error:
        raise FormatError(f"{place}: {'; '.join(validation_problems(error))[:300]}") from None
    except EditError as error:
        raise FormatError(f"{place}: {str(error)[:300]}") from None


def _parse_what(line: _Line) -> Accept | Undo | Edit:
    what = line.what
    if what == "accept":
        return Accept(line.subject)
    if isinstance(what, Mapping) and set(what) == {"undo"} and type(what["undo"]) is int:
        return Undo(what["undo"])
    if isinstance(what, Mapping) and "edit" in what:
        return edit_from_dict(what)
    raise EditError(f"cannot decide {what!r:.80}; use 'accept', an edit, or {{'undo': NUMBER}}")


def _parse_json(text: bytes, place: str) -> Any:
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError):  # not UTF-8, not JSON, nested too deeply, a number of thousands of digits
        raise FormatError(f"{place}: not a line of JSON in UTF-8; delete or fix it") from None
