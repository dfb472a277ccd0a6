"""A superclass as an indented text, edited by a person in their editor and parsed back into edits."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hierarchy.errors import FormatError, InvalidHierarchy, ReviewError
from hierarchy.files import read_text
from hierarchy.names import name_fault, split_path
from hierarchy.proposal import Edit, Place, Proposal, find_edits

HEAD = """\
# Move lines between groups, rename headings, add new ones: "superclass" at the margin, "    group" indented by 4,
# "        class" by 8. Order does not matter, and a heading without classes disappears, but keep every class.
# Lines that start with # are ignored. Leave the text as it is to change nothing.
"""
GROUP, CLASS = 1, 8  # the least indents


def revise(proposal: Proposal, superclass: str, edit_text: Callable[[str], str]) -> tuple[Edit, ...]:
    """Lets a person edit a superclass as text, again with the problems on top until it can be parsed.

    Args:
        proposal: the proposal under review.
        superclass: the path of one of its superclasses.
        edit_text: shows a text in an editor and returns the edited text.

    Raises:
        ReviewError: the text comes back unchanged, with its problems.
    """
    (superclass,) = split_path(superclass)
    shown = first = to_text(proposal, superclass)
    while True:
        text = edit_text(shown)
        if text == first or not _content(text):
            return ()
        try:
            return from_text(text, proposal, superclass)
        except ReviewError as error:
            if _content(text) == _content(shown):
                raise ReviewError(f"the text still has problems ({error}); nothing changed") from None
            problems = "".join(f"# ! {problem}\n" for problem in str(error).split("; "))
            kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
            shown = HEAD + problems + kept


def to_text(proposal: Proposal, superclass: str) -> str:
    """The text of a superclass: headings, and a line for each class, its id first."""
    inside: dict[str, list[tuple[str, str]]] = {}
    for id, name, place in zip(proposal.classes.ids, proposal.classes.names, proposal.places, strict=True):
        if place and place[0] == superclass:
            inside.setdefault(place[1], []).append((name, id))
    lines = [_quote(superclass)]
    for group in sorted(inside):
        lines.append(f"    {_quote(group)}")
        for name, id in sorted(inside[group]):
            lines.append(f"        {_quote(id, spaces=False)}" + (f"  {name}" if name != id else ""))
    return HEAD + "\n".join(lines) + "\n"


def from_text(text: str, proposal: Proposal, superclass: str) -> tuple[Edit, ...]:
    """The edits that make a superclass what a text says.

    Raises:
        ReviewError: the text has problems; all are named.
    """
    places = zip(proposal.classes.ids, proposal.classes.names, proposal.places, strict=True)
    own = {id: name for id, name, place in places if place and place[0] == superclass}
    problems: list[str] = []
    placed = dict(_parse(text, own, superclass, problems))
    if not problems:
        missing = [id for id in own if id not in placed]
        problems += [f"class {id!r} ({own[id]}) is missing, keep every class" for id in missing]
    if problems:
        raise ReviewError(_join(problems))
    rows = zip(proposal.classes.ids, proposal.places, strict=True)
    try:
        after = Proposal(proposal.classes, tuple(placed.get(id, old) for id, old in rows))
    except InvalidHierarchy as error:
        raise ReviewError(_join(error.problems)) from None
    return find_edits(proposal, after)


def _parse(text: str, own: dict[str, str], superclass: str, problems: list[str]) -> Iterator[tuple[str, Place]]:
    """The id and place of each class in a text; adds the problems of its lines."""
    top = group = ""
    seen = set[str]()
    for number, indent, line in _lines(text):
        fault = None
        word = _unquote(line, whole=indent < CLASS)
        if word is None:
            fault = f"{line!r} has an unclosed quote"
        elif indent < CLASS:
            top, group = (top, word) if indent >= GROUP else (word, "")
            bad = name_fault(word)
            fault = f"heading {word!r} {bad}" if bad else None if top else f"group {word!r} has no superclass above it"
        elif word not in own:
            fault = f"no class {word!r} in {superclass!r}"
        elif word in seen:
            fault = f"class {word!r} appears twice"
        elif not group:
            fault = f"class {word!r} has no group above it"
        else:
            seen.add(word)
            yield word, (top, group)
        problems += [f"line {number}: {fault}"] if fault else []


def edit_in_editor(text: str) -> str:
    """Opens a text in $VISUAL, $EDITOR or vi, and returns the edited text.

    Raises:
        ReviewError: the editor cannot be started, fails, or leaves a text that is not UTF-8.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    handle, name = tempfile.mkstemp(prefix="superclass-", suffix=".txt")
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        try:
            code = subprocess.run([*shlex.split(editor), name], check=False).returncode
        except (OSError, ValueError):
            raise ReviewError(f"cannot start the editor {editor!r}; set EDITOR to another one") from None
        if code:
            raise ReviewError(f"the editor {editor!r} exited with {code}; nothing changed")
        try:
            return read_text(path)
        except FormatError:
            raise ReviewError("the edited text is not UTF-8; nothing changed") from None
    finally:
        path.unlink(missing_ok=True)


def _lines(text: str) -> Iterator[tuple[int, int, str]]:
    """Number, indent and content of the lines that are neither empty nor comments."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r").expandtabs(4)
        content = line.strip()
        if content and not line.startswith("#"):
            yield number, len(line) - len(line.lstrip(" ")), content


def _join(problems: Iterable[str]) -> str:
    """Problems in one message, which `revise` takes apart again at its semicolons."""
    return "; ".join(problem.replace("; ", ", ") for problem in problems)


def _content(text: str) -> list[tuple[int, str]]:
    return [(indent, line) for _, indent, line in _lines(text)]


def _quote(name: str, *, spaces: bool = True) -> str:
    """A name, in quotes if it could be misread."""
    odd = name[0] in '#"' or (not spaces and any(letter.isspace() for letter in name))
    return json.dumps(name, ensure_ascii=False) if odd else name


def _unquote(line: str, *, whole: bool) -> str | None:
    """A heading, or the id at the start of a line; None if its quote is not closed."""
    if line.startswith('"'):
        try:
            return str(json.JSONDecoder().raw_decode(line)[0])
        except ValueError:
            return None
    return line if whole else line.split()[0]
