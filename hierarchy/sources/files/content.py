"""The content of a file with class names: its text, and what JSON, YAML or a literal of Python in it says."""

from __future__ import annotations

import ast
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, SourceError
from hierarchy.files import read_text

MOST_BYTES = 64 << 20  # the names of ImageNet-21k take 0.5 MB; a larger file holds annotations, too
MOST_LITERAL = 1 << 20  # characters that are tried as a literal of Python
DEEPEST = 50  # nested lists and mappings in YAML
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz")
ASSIGNED = re.compile(r"\A(?:\s*#[^\n]*\n)*\s*\w+\s*=\s*(?=[\[{(])")  # the beginning of TOML or Python
UNKNOWN = object()  # no data: the text is neither JSON nor YAML


class Content:
    """The text of a file, parsed on demand, and the lines of the names in it.

    Args:
        path: the file.

    Raises:
        SourceError: it is a pickle, another binary file, or too large.
        FormatError: it cannot be read, or is not UTF-8.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        _refuse_unsafe(Path(path))
        self.text = read_text(Path(path))
        self.ending = Path(path).suffix.lower()
        self._from = 0

    @cached_property
    def lines(self) -> list[tuple[str, str]]:
        """(its place, its text) of each line; empty lines at the end do not count."""
        text = self.text.rstrip()
        return [(f"{self.path}:{n}", line.strip()) for n, line in enumerate(text.split("\n"), 1)] if text else []

    @cached_property
    def data(self) -> Any:
        """What the file says if it is JSON, YAML or a literal of Python, else `UNKNOWN`.

        Raises:
            FormatError: it looks like one of these, and is broken, or has a key twice or aliases.
        """
        if self.ending in (".yaml", ".yml"):
            return parse_yaml(self.text, self.path)
        if self.ending == ".md" and self.text.startswith("---\n"):  # a dataset card
            return parse_yaml(self.text[4:].partition("\n---")[0], self.path)
        if self.ending == ".json":
            return _parse_rows(self.text, self.path) or parse_json(self.text, self.path)
        text = ASSIGNED.sub("", self.text)  # classes = ("tabby", "carp")
        start = text.lstrip()[:1]
        if start and start in "[{(" and self.ending not in (".csv", ".tsv"):
            try:
                return parse_json(text, self.path)
            except _NotJson:
                return _parse_rows(text, self.path) or _parse_literal(text)
        return UNKNOWN

    def place(self, word: str) -> str:
        """The place of a word, searched from the last one on: "names.json:3", or the file if it is not found."""
        for spelled in (json.dumps(word, ensure_ascii=False), json.dumps(word), f"'{word}'", word):
            at = self.text.find(spelled, self._from)
            if at >= 0:
                self._from = at + len(spelled)
                return f"{self.path}:{bisect_right(self._ends, at) + 1}"
        return self.path

    @cached_property
    def _ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self.text)]


class _NotJson(FormatError):
    """A text is not JSON."""


def parse_json(text: str, where: str) -> Any:
    """What a JSON text says.

    Raises:
        FormatError: it is not JSON, or an object has a key twice; the message has the line.
    """

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            key = next(key for i, key in enumerate(keys) if key in keys[:i])
            spelled = re.escape(json.dumps(key, ensure_ascii=False))
            uses = [found.start() for found in re.finditer(rf"{spelled}\s*:", text)]
            line = f":{text.count(chr(10), 0, uses[1]) + 1}" if len(uses) > 1 else ""
            raise FormatError(f"{where}{line}: key {key!r} occurs twice; remove one")
        return made

    try:
        return json.loads(text, object_pairs_hook=no_twins)
    except RecursionError:
        raise FormatError(f"{where} is nested too deeply to hold class names") from None
    except json.JSONDecodeError as error:
        reason = f"not JSON ({error.msg} at column {error.colno})"
        raise _NotJson(f"{where}:{error.lineno}: {reason}; is the file complete?") from None
    except FormatError:
        raise
    except ValueError:  # an integer of thousands of digits
        raise FormatError(f"{where} contains a number with too many digits; give class names") from None


def parse_yaml(text: str, where: str) -> Any:
    """What a YAML text says, with all values as strings: "no" and "2012" are names. No tag makes an object.

    Raises:
        FormatError: it is not YAML, has a key twice, or has aliases, by which a small file can grow without limit.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # events, not nodes: composing nodes recurses, and libyaml's code for it has no limit
        return _from_events(yaml.parse(text, Loader=loader), where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise FormatError(f"{where}{line}: not YAML ({getattr(error, 'problem', error)}); check the indents") from None


def _from_events(events: Iterable[Any], where: str) -> Any:
    root: list[Any] = []
    stack: list[Any] = [root]
    keys: list[Any] = [None]  # the key of each open mapping whose value comes next
    for event in events:
        kind = type(event).__name__
        if kind in ("SequenceEndEvent", "MappingEndEvent"):
            stack.pop()
            keys.pop()
        elif kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent", "AliasEvent"):
            place = f"{where}:{event.start_mark.line + 1}"
            if kind == "AliasEvent":
                raise FormatError(f"{place}: alias *{event.anchor} repeats another part of the file; write it out")
            value = event.value if kind == "ScalarEvent" else [] if kind == "SequenceStartEvent" else {}
            _put(value, stack, keys, place)
            if kind != "ScalarEvent":
                stack.append(value)
                keys.append(None)
        if len(stack) > DEEPEST:
            raise FormatError(f"{where}:{event.start_mark.line + 1}: nested too deeply to hold class names")
    if len(root) > 1:
        raise FormatError(f"{where} holds {len(root)} documents; give one")
    return root[0] if root else None


def _put(value: Any, stack: list[Any], keys: list[Any], place: str) -> None:
    """Adds a value to the innermost open list or mapping, there as a key and as a value in turn."""
    inside = stack[-1]
    if isinstance(inside, list):
        inside.append(value)
    elif keys[-1] is not None:
        inside[keys[-1]] = value
        keys[-1] = None
    elif not isinstance(value, str):
        raise FormatError(f"{place}: a key is a list or a mapping; give a name or a number")
    elif value in inside:
        raise FormatError(f"{place}: key {value!r} occurs twice; remove one")
    else:
        keys[-1] = value


def _parse_rows(text: str, where: str) -> list[Any] | None:
    """The objects of JSON Lines, one per line; None if the text is something else."""
    lines = text.strip().split("\n")
    if len(lines) < 2 or not all(line.startswith("{") and line.rstrip().endswith("}") for line in lines):
        return None
    return [parse_json(line, f"{where}:{number}") for number, line in enumerate(lines, 1)]


def _parse_literal(text: str) -> Any:
    """A list or a dict as Python writes it, ['tabby', 'carp']; nothing in it is run."""
    if len(text) > MOST_LITERAL:
        return UNKNOWN
    try:
        found = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return UNKNOWN
    return _listed(found) if isinstance(found, tuple | list | Mapping) else UNKNOWN


def _listed(value: Any) -> Any:
    """A value with lists for tuples."""
    if isinstance(value, Mapping):
        return {key: _listed(part) for key, part in value.items()}
    return [_listed(part) for part in value] if isinstance(value, tuple | list) else value


def _refuse_unsafe(path: Path) -> None:
    """Refuses what is not a text of a sensible size, before it is read as a whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return  # `read_text` says what is wrong
    if path.suffix.lower() in PICKLES or re.match(rb"\x80[\x02-\x05]", head):
        raise SourceError(
            f"{str(path)!r} may be a pickle, which can run code and is never read; give the names as text"
        )
    if size > MOST_BYTES:
        raise SourceError(
            f"{str(path)!r} has {size / 2**20:,.0f} MiB, but a list of classes has at most {MOST_BYTES >> 20};"
            " take the class names out of it, such as `categories` of a COCO file"
        )
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, which `read_text` refuses
        raise SourceError(f"{str(path)!r} is not a text file; give the class names as text")
