"""A superclass as an indented text, edited by a person in an editor of theirs and read back into edits."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hierarchy.errors import FormatError, InvalidHierarchy, ReviewError
from hierarchy.files import read_text
from hierarchy.names import name_fault
from hierarchy.proposal import Edit, Place, Proposal, difference

HEAD = """\
# Move lines between groups, rename headings, add new ones: "superclass" at the margin, "    group" by 4 spaces,
# "        class" by 8. The order does not matter, a heading without classes goes, but every class stays somewhere.
# Lines that begin with # do not count. Leave the text as it is to change nothing.
"""
MOST_ROUNDS = 20  # of complaints; a person gives up before


def revise(proposal: Proposal, superclass: str, edit_text: Callable[[str], str]) -> tuple[Edit, ...]:
    """Lets a person edit a superclass as a text, again with the complaints on top until it can be read.

    Args:
        proposal: the proposal under review.
        superclass: which of its superclasses.
        edit_text: shows a text and gives back what became of it.

    Raises:
        ReviewError: a text that cannot be read comes back as it was.
    """
    shown, seen = to_text(proposal, superclass), list[list[tuple[int, str]]]()
    while True:
        text = edit_text(shown)
        if (text == shown and not seen) or not _lines(text):
            return ()
        try:
            return from_text(text, proposal, superclass)
        except ReviewError as error:
            content = [(indent, line) for _, indent, line in _lines(text)]
            if content in seen or len(seen) == MOST_ROUNDS:  # no person: a script, which would never end
                raise ReviewError(f"the text cannot be read still ({error}); nothing was changed") from None
            seen.append(content)
            complaints = "".join(f"# ! {problem}\n" for problem in error.args[0].split("; "))
            kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
            shown = HEAD + complaints + kept


def to_text(proposal: Proposal, superclass: str) -> str:
    """The text of a superclass: headings, and a line for each class, its id first."""
    names = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    inside: dict[str, list[str]] = {}
    for id, place in zip(proposal.classes.ids, proposal.places, strict=True):
        if place and place[0] == superclass:
            inside.setdefault(place[1], []).append(id)
    lines = [_word(superclass)]
    for group in sorted(inside):
        lines.append(f"    {_word(group)}")
        for id in sorted(inside[group], key=lambda id: (names[id], id)):
            shown = _word(id, spaces=False)
            lines.append(f"        {shown}" + (f"  {names[id]}" if names[id] != id else ""))
    return HEAD + "\n".join(lines) + "\n"


def from_text(text: str, proposal: Proposal, superclass: str) -> tuple[Edit, ...]:
    """The edits that make of a superclass what a text says.

    Raises:
        ReviewError: the text cannot be read; all complaints are told.
    """
    own = [
        id for id, place in zip(proposal.classes.ids, proposal.places, strict=True) if place and place[0] == superclass
    ]
    names = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    problems: list[str] = []
    places: dict[str, Place] = {}
    top = group = ""
    for number, indent, line in _lines(text):
        word = _read(line, whole=indent < 8)
        if word is None:
            problems.append(f"line {number}: {line!r} has an open quote")
        elif indent < 8:
            top, group = (top, word) if indent else (word, "")
            fault = name_fault(word)
            problems += [f"line {number}: heading {word!r} {fault}".replace("; ", ", ")] if fault else []
            problems += [f"line {number}: group {word!r} stands below no superclass"] if not top else []
        elif word not in own:
            there = f" of {superclass!r}" if word in names else ""
            problems.append(f"line {number}: no class {word!r}{there}")
        elif word in places:
            problems.append(f"line {number}: class {word!r} stands twice")
        elif not group:
            problems.append(f"line {number}: class {word!r} stands below no group")
        else:
            places[word] = (top, group)
    if not problems:
        problems += [
            f"class {id!r} ({names[id]}) is gone, every class stays somewhere" for id in own if id not in places
        ]
    if problems:
        raise ReviewError("; ".join(problems))
    try:
        after = replace(
            proposal, places=tuple(places.get(id, old) for id, old in zip(names, proposal.places, strict=True))
        )
    except InvalidHierarchy as error:
        raise ReviewError("; ".join(problem.replace("; ", ", ") for problem in error.problems)) from None
    return difference(proposal, after)


def in_editor(text: str) -> str:
    """Shows a text in $VISUAL or $EDITOR, or in vi, and gives back what became of it.

    Raises:
        ReviewError: the editor cannot be started, ends with an error, or leaves a text that cannot be read.
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
            raise ReviewError(f"the editor {editor!r} cannot be started; set EDITOR to one that can") from None
        if code:
            raise ReviewError(f"the editor {editor!r} ended with {code}; nothing was changed")
        try:
            return read_text(path)
        except FormatError:
            raise ReviewError("the editor left no UTF-8 text; nothing was changed") from None
    finally:
        path.unlink(missing_ok=True)


def _lines(text: str) -> list[tuple[int, int, str]]:
    """Number, indent and content of the lines that count."""
    return list(_counted(text))


def _counted(text: str) -> Iterator[tuple[int, int, str]]:
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r").expandtabs(4)
        content = line.strip()
        if content and not line.startswith("#"):
            yield number, len(line) - len(line.lstrip(" ")), content


def _word(name: str, *, spaces: bool = True) -> str:
    """A name as it is written: quoted where it could be taken for something else."""
    odd = name[0] in '#"' or (not spaces and any(letter.isspace() for letter in name))
    return json.dumps(name, ensure_ascii=False) if odd else name


def _read(line: str, *, whole: bool) -> str | None:
    """A heading, or the id at the start of a line; None if its quote is open."""
    if line.startswith('"'):
        try:
            return str(json.JSONDecoder().raw_decode(line)[0])
        except ValueError:
            return None
    return line if whole else line.split()[0]
