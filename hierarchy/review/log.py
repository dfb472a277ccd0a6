"""The decision log of a review, X.decisions.jsonl: what a person decided about a proposal, append-only.

The first line says which proposal it is about, each further line is one decision (docs/reference/formats.md):

    {"format": "decisions", "version": 1, "base": "<digest of the proposal>", "source": "imagenet-1k"}
    {"number": 1, "time": "2026-01-31T12:00:00Z", "who": "Ada", "what": "accept", "subject": "n01494475",
     "before": "marine animals/sharks"}
    {"number": 2, ..., "what": {"edit": "move", "id": "n01751748", "to": "reptiles/snakes"}, ...}
    {"number": 3, ..., "what": {"undo": 2}, ...}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from hierarchy.errors import EditError, FormatError, os_reason
from hierarchy.proposal import Edit, edit_from_dict, edit_to_dict

FORMAT = "decisions"
VERSION = 1


@dataclass(frozen=True)
class Accept:
    """Says that a class or a node stands well where it does."""

    def __str__(self) -> str:
        return "accept"


@dataclass(frozen=True)
class Undo:
    """Takes the decision of a number back."""

    of: int

    def __str__(self) -> str:
        return f"undo {self.of}"


What: TypeAlias = Accept | Undo | Edit


@dataclass(frozen=True)
class Decision:
    """One decision.

    Args:
        number: grows along the log.
        time: UTC, to the second, as 2026-01-31T12:00:00Z.
        who: who decided.
        what: an acceptance, an edit, or the undoing of an earlier decision.
        subject: the id of a class or the path of a node; "" where an edit is about many.
        before: where the subject stood: the group of a class ("" while unsettled), the path of a node.
        new: whether the edit moved into a group that was not there before.
        act: the number of the first of the decisions that were made by one act and are undone together.
        holds: of an accepted node, the digest of what it held (see `hierarchy.review.state.holding`).
    """

    number: int
    time: str
    who: str
    what: What
    subject: str = ""
    before: str = ""
    new: bool = False
    act: int = 0
    holds: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "act", self.act or self.number)

    def __str__(self) -> str:
        about = f" {self.subject} in {self.before}" if isinstance(self.what, Accept) else ""
        return f"{self.what}{about}"


@dataclass(frozen=True)
class Log:
    """A decision log: the digest and the source of the proposal it is about, and the decisions.

    >>> log = Log("c4c3", "pets.txt", (Decision(1, "2026-01-31T12:00:00Z", "Ada", Accept(), "n1", "mammals/cats"),))
    >>> parse(dumps(log).encode()) == (log, b"")
    True
    """

    base: str
    source: str
    decisions: tuple[Decision, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the log's text."""
        return hashlib.sha256(dumps(self).encode()).hexdigest()

    @property
    def in_effect(self) -> tuple[Decision, ...]:
        """The decisions that are not undone, without the undoings."""
        undone = {decision.what.of for decision in self.decisions if isinstance(decision.what, Undo)}
        return tuple(
            decision
            for decision in self.decisions
            if decision.number not in undone and not isinstance(decision.what, Undo)
        )


def dumps(log: Log) -> str:
    """The text of a decision log."""
    return header_line(log.base, log.source) + "".join(map(line, log.decisions))


def header_line(base: str, source: str) -> str:
    """The first line of a log."""
    return _text({"format": FORMAT, "version": VERSION, "base": base, "source": source})


def line(decision: Decision) -> str:
    """A decision as a line of a log."""
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
    return _text(content | ({"holds": decision.holds} if decision.holds else {}))


def read_log(path: Path) -> tuple[Log | None, bytes]:
    """Reads a decision log: the log (None where not even its first line is whole), and the torn end of a write that
    was cut off, of which the log knows nothing.

    Raises:
        FormatError: the file cannot be read, or a line that is not its end is no decision; the message names it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FormatError(f"no file {str(path)!r}; check the name and the folder") from None
    except OSError as error:
        reason = os_reason(error)
        raise FormatError(f"cannot read {str(path)!r}: {reason}; give a file that can be read") from None
    return parse(content, str(path))


def parse(content: bytes, where: str = "the log") -> tuple[Log | None, bytes]:
    """The log that a file's content holds, and its torn end; arguments and errors as in `read_log`."""
    lines = content.split(b"\n")
    torn = lines.pop()  # b"" behind the line break that ends a whole log
    if torn and _is_whole(torn):  # only the line break was lost
        lines, torn = [*lines, torn], b""
    if not lines:
        return None, torn
    header = _object(lines[0], f"{where}:1")
    if header.get("format") != FORMAT:
        raise FormatError(
            f'{where} is no decision log: its first line has no "format": "{FORMAT}"; give one of a review'
        )
    version = header.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(f'{where}:1: "version" is {version!r}, not a whole number from 1; give a log of a review')
    if version > VERSION:
        raise FormatError(f"{where} has format version {version}, this release reads up to {VERSION}; upgrade timm-nhl")
    for name in ("base", "source"):
        if not isinstance(header.get(name), str):
            raise FormatError(f"{where}:1: {name!r} is a {type(header.get(name)).__name__}, not a string; mend it")
    known = _Known()
    for number, text in enumerate(lines[1:], 2):
        known.take(_decision(_object(text, f"{where}:{number}"), f"{where}:{number}"), f"{where}:{number}")
    return Log(header["base"], header["source"], tuple(known.decisions)), torn


@dataclass
class _Known:
    """The decisions read so far, and which of them can be undone."""

    decisions: list[Decision] = field(default_factory=list)
    live: set[int] = field(default_factory=set)

    def take(self, decision: Decision, place: str) -> None:
        last = self.decisions[-1].number if self.decisions else 0
        if decision.number <= last:
            raise FormatError(f"{place}: decision {decision.number} stands behind {last}; numbers grow along a log")
        if not 1 <= decision.act <= decision.number:
            raise FormatError(f"{place}: decision {decision.number} has act {decision.act}; give an earlier number")
        if isinstance(decision.what, Undo):
            if decision.what.of not in self.live:
                raise FormatError(f"{place}: undoes {decision.what.of}, which is no decision in effect")
            self.live.remove(decision.what.of)
        else:
            self.live.add(decision.number)
        self.decisions.append(decision)


_FIELDS: Mapping[str, type] = {"number": int, "time": str, "who": str, "subject": str, "before": str}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _decision(content: Mapping[str, Any], place: str) -> Decision:
    wanted = {*_FIELDS, "what"}
    if not wanted <= set(content) <= {*wanted, "new", "act", "holds"}:
        fields = ", ".join(map(str, content))[:200]
        raise FormatError(
            f"{place}: a decision with the fields {fields or 'none'}; give {', '.join([*_FIELDS, 'what'])}"
        )
    for name, kind in {**_FIELDS, "new": bool, "act": int, "holds": str}.items():
        value = content.get(name, kind())
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            needed = {int: "a whole number", str: "a string", bool: "true"}[kind]
            raise FormatError(f"{place}: {name!r} is {str(value)[:80]!r}, not {needed}; mend it")
    if not _TIME.fullmatch(content["time"]):
        raise FormatError(f"{place}: the time is {content['time'][:80]!r}; give it as 2026-01-31T12:00:00Z")
    values = {name: value for name, value in content.items() if name != "what"}
    return Decision(**values, what=_what(content["what"], place))


def _what(content: Any, place: str) -> What:
    if content == "accept":
        return Accept()
    if not isinstance(content, Mapping):
        raise FormatError(f"{place}: decides {str(content)[:80]!r}; give 'accept', an edit, or {{'undo': number}}")
    if set(content) == {"undo"}:
        if not isinstance(content["undo"], int) or isinstance(content["undo"], bool):
            raise FormatError(f"{place}: undoes {str(content['undo'])[:80]!r}; give the number of a decision")
        return Undo(content["undo"])
    try:
        return edit_from_dict(content)
    except EditError as error:
        raise FormatError(f"{place}: {str(error)[:300]}") from None


def _object(text: bytes, place: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise FormatError(f"{place}: not UTF-8 (byte {text[error.start]:#04x}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"{place}: not JSON ({error.msg} at column {error.colno}); delete or mend the line") from None
    except (RecursionError, ValueError):
        raise FormatError(f"{place}: nests too deeply or holds a number too long; delete or mend the line") from None
    if not isinstance(content, Mapping):
        raise FormatError(f"{place}: a {type(content).__name__}, not an object; delete or mend the line")
    return content


def _is_whole(text: bytes) -> bool:
    """Whether a line is a whole object; no piece of one is."""
    try:
        _object(text, "")
    except FormatError:
        return False
    return True


def _text(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, as in a name that is not UTF-8
        text = json.dumps(content)
    return text + "\n"


def numbered(log: Sequence[Decision]) -> int:
    """The number of the next decision of a log."""
    return log[-1].number + 1 if log else 1
