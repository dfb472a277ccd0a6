"""Reads a human-made reference to score against: a hierarchy file, or classes and their superclasses."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, in_one_sentence
from hierarchy.files import read_text
from hierarchy.io import COLUMNS, FORMAT, load
from hierarchy.tree import Hierarchy

PAIR = ("class", "superclass")  # the header of a reference table
Pair = tuple[int, str, Any]  # the line it was read from, class, superclass


def read_reference(source: str | os.PathLike[str]) -> Hierarchy | dict[str, str]:
    """Reads a reference for `score`.

    Args:
        source: the name of a shipped hierarchy, a hierarchy file (.json, .csv), a .json file with one object
            {class: superclass}, or a .csv file with the header class,superclass.

    Raises:
        FormatError: the file is missing, corrupt or in neither form; the message names the file and the lines.
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
        content = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (RecursionError, ValueError):
        return None  # `load` reports what is wrong, and where
    if not text.lstrip().startswith("{"):
        raise FormatError(f"{where} is a JSON {type(content).__name__}; give an object {{class: superclass}}")
    if any(key == "format" and value == FORMAT for key, value in content):
        return None
    places: defaultdict[str, list[int]] = defaultdict(list)
    line, at = 1, 0
    for found in re.finditer(r'("(?:[^"\\]|\\.)*")(\s*:)?', text):
        line, at = line + text.count("\n", at, found.start()), found.start()
        if found[2]:
            places[json.loads(found[1])].append(line)
    return [(places[key].pop(0), key, value) for key, value in content]


def _csv_pairs(text: str, where: str) -> list[Pair] | None:
    """The rows of a table class,superclass; None for the table of a hierarchy, which `load` reads."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    pairs: list[Pair] = []
    try:
        header = tuple(next(reader, []))
        if header == COLUMNS:
            return None
        if header != PAIR:
            raise FormatError(
                f"{where}:1: the header is {','.join(header)!r}; make it {','.join(PAIR)} or {','.join(COLUMNS)}"
            )
        for row in reader:
            if len(row) != len(PAIR):
                raise FormatError(
                    f"{where}:{reader.line_num}: {len(row)} fields, not {len(PAIR)}; quote one that holds a comma"
                )
            pairs.append((reader.line_num, row[0], row[1]))
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error})") from None
    return pairs


def _mapping(pairs: list[Pair], where: str) -> dict[str, str]:
    """Class -> superclass, with every problem of the file in one error."""
    problems = []
    lines: dict[str, int] = {}
    for line, key, value in pairs:
        if not key:
            problems.append(f"line {line}: the class has no name")
        elif key in lines:
            problems.append(
                f"line {line}: class {key!r} is already in line {lines[key]}; give each class one superclass"
            )
        if not isinstance(value, str) or not value:
            found = repr(value) if isinstance(value, (str, int, float)) else "a list or an object"
            problems.append(f"line {line}: the superclass of {key!r} is {found}; give it a name")
        lines.setdefault(key, line)
    if not pairs:
        problems.append("no classes; give one class and its superclass per line")
    if problems:
        raise FormatError(in_one_sentence(f"{where} is not a reference", tuple(problems)))
    return {key: value for _, key, value in pairs}
