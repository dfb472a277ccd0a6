"""The file formats of a hierarchy, JSON and CSV, and the hierarchies shipped with the package.

A hierarchy file is one JSON object (docs/reference/formats.md, data/hierarchy.schema.json):

    {"format": "hierarchy", "version": 1, "digest": "...", "provenance": {...},
     "classes": [{"id": "n01494475", "name": "hammerhead", "superclass": "marine animals", "group": "sharks"}, ...]}
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, InvalidHierarchy, OutputError, UnknownNode, nearest
from hierarchy.files import read_json, read_text, write_text
from hierarchy.tree import Hierarchy, Row

FORMAT = "hierarchy"
VERSION = 1
COLUMNS = ("id", "name", "superclass", "group")


@dataclass(frozen=True)
class HierarchyFile:
    """The content of a hierarchy file: the hierarchy, and its provenance (command, versions, settings)."""

    hierarchy: Hierarchy
    provenance: Mapping[str, Any] = field(default_factory=dict)


def load(source: str | os.PathLike[str] | Mapping[str, Any] | Hierarchy) -> Hierarchy:
    """Loads a hierarchy.

    Args:
        source: the name of a shipped hierarchy (`shipped()` lists them), a path to a .json or .csv file, the content
            of such a JSON file as a dict, or a `Hierarchy`, which is returned unchanged.

    Raises:
        FormatError: the file is missing, corrupt, of a newer version, or not a hierarchy.
        UnknownNode: no hierarchy of this name is shipped.

    >>> load("imagenet100").sizes[2]
    100
    """
    if isinstance(source, Hierarchy):
        return source
    return read(source).hierarchy


def read(source: str | os.PathLike[str] | Mapping[str, Any]) -> HierarchyFile:
    """Loads a hierarchy together with its provenance; arguments and errors as in `load`."""
    where, table = _table(source)
    try:
        hierarchy = Hierarchy.from_rows(table.rows)
    except InvalidHierarchy as error:
        raise FormatError(f"{where}: {error}; `hierarchy check` lists the details") from None
    if table.digest is not None and table.digest != hierarchy.digest:
        raise FormatError(
            f"{where}: the digest is {table.digest[:12]!r}, but the classes have {hierarchy.digest[:12]!r}: the file"
            ' was edited; if that was on purpose, delete its "digest" line'
        )
    return HierarchyFile(hierarchy, table.provenance)


def read_rows(source: str | os.PathLike[str]) -> tuple[Row, ...]:
    """Reads the rows (id, name, superclass, group) of a file that may not be a valid hierarchy.

    Raises:
        FormatError, UnknownNode: as in `load`, but not for duplicate classes or bad names.
    """
    return _table(source)[1].rows


@dataclass(frozen=True)
class _Table:
    """A file's content before it is validated as a hierarchy."""

    rows: tuple[Row, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None


def _table(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[str, _Table]:
    """The place a table was read from, for messages, and the table."""
    if isinstance(source, Mapping):
        return "the given dict", _from_json(source, "the given dict")
    path = _find(source)
    if path.suffix.lower() == ".csv":
        return str(path), _Table(_from_csv(read_text(path), str(path)))
    return str(path), _from_json(read_json(path), str(path))


def save(hierarchy: Hierarchy, path: str | os.PathLike[str], *, provenance: Mapping[str, Any] | None = None) -> None:
    """Writes a hierarchy to a .json file (with its provenance) or a .csv file (id, name, superclass, group).

    The file is written atomically.

    Raises:
        OutputError: the file cannot be written, it does not end in .json or .csv, or the provenance is not valid JSON.
    """
    ending = Path(path).suffix.lower()
    if ending == ".json":
        write_text(path, dumps(hierarchy, provenance=provenance))
    elif ending == ".csv":
        write_text(path, to_csv(hierarchy))
    else:
        raise OutputError(f"cannot save a hierarchy as {str(path)!r}; end the name in .json or .csv")


def to_dict(hierarchy: Hierarchy, *, provenance: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON object of a hierarchy, as plain lists, dicts and strings; `load` accepts it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "digest": hierarchy.digest,
        "provenance": dict(provenance or {}),
        "classes": [dict(zip(COLUMNS, row, strict=True)) for row in hierarchy.rows],
    }


def dumps(hierarchy: Hierarchy, *, provenance: Mapping[str, Any] | None = None) -> str:
    """The text of a hierarchy file: JSON with one class per line, so that a changed class is a changed line."""
    content = to_dict(hierarchy, provenance=provenance)
    classes = content.pop("classes")
    return json_table(content, classes)


def json_table(head: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> str:
    """The text of a JSON object that ends in a list "classes", one class per line.

    Raises:
        OutputError: the head contains values that JSON cannot represent.
    """
    try:
        start = json.dumps(head, ensure_ascii=False, allow_nan=False, indent=1).removesuffix("\n}")
    except (RecursionError, TypeError, ValueError) as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise OutputError(
            f"cannot write the provenance as JSON ({reason}); use strings, numbers, lists and dicts"
        ) from None
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in classes)
    return f'{start},\n "classes": [\n{lines}\n ]\n}}\n'


def to_csv(hierarchy: Hierarchy) -> str:
    """The table as CSV with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(hierarchy.rows)
    return text.getvalue()


def shipped() -> tuple[str, ...]:
    """Names of the hierarchies shipped with the package."""
    return tuple(sorted(path.stem for path in folder("data").glob("*.json") if "." not in path.stem))  # no .schema.json


def folder(name: str) -> Path:
    """The folder `data/` or `prompts/`: inside the installed package, or next to it in a checkout."""
    inside = Path(__file__).parent / "_shipped" / name
    return inside if inside.is_dir() else Path(__file__).parent.parent / name


def _find(source: str | os.PathLike[str]) -> Path:
    """The path of a file or of a shipped hierarchy."""
    path = Path(source)
    if path.suffix.lower() in (".json", ".csv"):
        return path
    if len(path.parts) != 1:
        raise FormatError(f"{str(path)!r} is not a hierarchy file; give a .json or .csv file")
    known = shipped()
    if str(source) not in known:
        raise UnknownNode(
            f"no hierarchy {str(source)!r} is shipped{nearest(str(source), known)}; use one of {', '.join(known)},"
            " or a path that ends in .json or .csv"
        )
    return folder("data") / f"{source}.json"


def check_format(content: Any, where: str, form: str, newest: int, *, written_by: str) -> Mapping[str, Any]:
    """The content of a JSON file if it has this format, in a version that this release knows.

    Args:
        where: the file, for messages.
        form, newest: the format, and its newest version.
        written_by: the command or function that writes such files, for messages.

    Raises:
        FormatError: the content has another format or a newer version.

    >>> check_format({"format": "proposal", "version": 2}, "pets.json", "proposal", 1, written_by="generate")
    Traceback (most recent call last):
    hierarchy.errors.FormatError: pets.json has format version 2, but this release reads up to 1; upgrade timm-nhl
    """
    fix = f"give a file written by `{written_by}`"
    if not isinstance(content, Mapping) or content.get("format") != form:
        raise FormatError(f'{where} is not a {form} file: "format": "{form}" is missing; {fix}')
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FormatError(f'{where}: "version" is {version!r}, not a positive integer; {fix}')
    if version > newest:
        raise FormatError(
            f"{where} has format version {version}, but this release reads up to {newest}; upgrade timm-nhl"
        )
    return content


def _from_json(content: Any, where: str) -> _Table:
    content = check_format(content, where, FORMAT, VERSION, written_by="save")
    provenance, digest = content.get("provenance", {}), content.get("digest")
    if not isinstance(provenance, Mapping):
        raise FormatError(
            f'{where}: "provenance" is a {type(provenance).__name__}, not an object; delete or correct it'
        )
    if digest is not None and not isinstance(digest, str):
        raise FormatError(f'{where}: "digest" is a {type(digest).__name__}, not a string; delete it')
    return _Table(_json_rows(content.get("classes"), where), dict(provenance), digest)


def _json_rows(classes: Any, where: str) -> tuple[Row, ...]:
    if not isinstance(classes, list):
        raise FormatError(
            f'{where}: "classes" is a {type(classes).__name__}, not a list; give a file written by `save`'
        )
    rows: list[Row] = []
    for label, entry in enumerate(classes):
        fields = entry if isinstance(entry, Mapping) else {}
        if set(fields) != set(COLUMNS) or not all(isinstance(value, str) for value in fields.values()):
            raise FormatError(f"{where}: class {label} is {entry!r:.80}; give it the strings {', '.join(COLUMNS)}")
        rows.append((entry["id"], entry["name"], entry["superclass"], entry["group"]))
    return tuple(rows)


def _from_csv(text: str, where: str) -> tuple[Row, ...]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise FormatError(f"{where}:1: the header is {','.join(header)!r}; it must be {','.join(COLUMNS)}")
        for row in reader:
            if len(row) != len(COLUMNS):
                raise FormatError(
                    f"{where}:{reader.line_num}: expected {len(COLUMNS)} fields, got {len(row)};"
                    " quote fields that contain commas"
                )
            rows.append((row[0], row[1], row[2], row[3]))
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error}); check the quotes") from None
    return tuple(rows)
