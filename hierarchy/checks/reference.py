"""Reads a human-made reference to score against: a hierarchy file, or classes and their superclasses."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, in_one_sentence
from hierarchy.files import read_text
from hierarchy.io import COLUMNS, FORMAT, load
from hierarchy.tree import Hierarchy

PAIR = ("class", "superclass")  # the header of a reference table
Pair = tuple[str, Any]  # class, superclass


def read_reference(source: str | os.PathLike[str]) -> Hierarchy | dict[str, str]:
    """Reads a reference for `score`.

    Args:
        source: the name of a shipped hierarchy, a hierarchy file (.json, .csv), a .json file with one object
            {class: superclass} or {superclass: [classes]}, or a .csv file with the header class,superclass.

    Raises:
        FormatError: the file is missing, corrupt or in neither form; the message names the file and all its faults.
        UnknownNode: a bare name that is not a shipped hierarchy.
    """
    path = Path(source)
    ending = path.suffix.lower()
    if ending == ".json":
        pairs = _json_pairs(read_text(path), str(path))
    elif ending == ".csv":
        pairs = _csv_pairs(read_text(path), str(path))
    else:
        pairs = None
    return load(source) if pairs is None else _mapping(pairs, str(path))


def _json_pairs(text: str, where: str) -> list[Pair] | None:
    """The entries of a JSON object, repeated ones included; None for a hierarchy file, which `load` reads."""
    try:
        content: Any = json.loads(text, object_pairs_hook=list)
    except (RecursionError, ValueError):
        return None  # `load` reports what is wrong, and where
    if not text.lstrip().startswith("{"):
        raise FormatError(f"{where} is a JSON {type(content).__name__}; give an object {{class: superclass}}")
    pairs: list[Pair] = content
    if ("format", FORMAT) in pairs:
        return None
    if pairs and all(isinstance(value, list) for _, value in pairs):  # {superclass: [classes]}
        return [(name if isinstance(name, str) else "", above) for above, names in pairs for name in names]
    return pairs


def _csv_pairs(text: str, where: str) -> list[Pair] | None:
    """The rows of a table class,superclass; None for the table of a hierarchy, which `load` reads."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header, *rows = list(reader) or [[]]
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error}); check the quotes") from None
    if tuple(header) == COLUMNS:
        return None
    if tuple(header) != PAIR:
        raise FormatError(
            f"{where}:1: the header is {','.join(header)!r}; make it {','.join(PAIR)} or {','.join(COLUMNS)}"
        )
    for row in rows:
        if len(row) != len(PAIR):
            raise FormatError(
                f"{where}: expected {len(PAIR)} fields, got {len(row)} in {','.join(row)!r}; quote fields that contain"
                " commas"
            )
    return [(row[0], row[1]) for row in rows]


def _mapping(pairs: list[Pair], where: str) -> dict[str, str]:
    """Class -> superclass, with every problem of the file in one error."""
    problems = [] if pairs else ["no classes; give one class and its superclass per line"]
    for key, uses in Counter(key for key, _ in pairs).items():
        if uses > 1:
            problems.append(f"class {key!r} occurs {uses} times; give each class one superclass")
    for key, value in pairs:
        if not key:
            problems.append("a class has no name; give it one")
        elif not isinstance(value, str) or not value:
            problems.append(f"the superclass of {key!r} is {value!r:.80}; give it a name")
    if problems:
        raise FormatError(in_one_sentence(f"{where} is not a reference", tuple(problems)))
    return dict(pairs)
