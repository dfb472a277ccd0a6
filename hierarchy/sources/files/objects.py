"""Lists of objects that describe a class each: COCO, LVIS, Objects365, AudioSet, CVAT, Supervisely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content

NAMES = (
    "name",
    "title",
    "label",
    "class_name",
    "className",
    "display_name",
    "displayName",
    "value",
)  # what the name is called,
IDS = ("mid", "freebase_id", "wnid", "LabelName", "id", "index")  # its id or its number,
DEFINITIONS = ("def", "definition", "description")
SUPERCLASSES = ("supercategory", "super_category", "superclass")
NO_SUPERCLASS = ("", "none", "object", "root")  # what tools write where there is none


def read_coco(content: Content) -> list[Entry] | None:
    """`categories` of a COCO file: LVIS, Objects365 and iNaturalist have them, too."""
    data = content.data
    found = data.get("categories") if isinstance(data, Mapping) else None
    return read_rows(found, content)


def read_objects(content: Content) -> list[Entry] | None:
    """A list of objects with names, alone or under `labels` or `classes`."""
    data = content.data
    if not isinstance(data, Mapping) or all(str(key).isdigit() for key in data):
        return _read_ontology(data, content) or read_rows(data, content)
    return next((found for key in ("labels", "classes") if (found := read_rows(data.get(key), content))), None)


def read_rows(rows: Any, content: Content) -> list[Entry] | None:
    """The classes of a list of objects that have a name each, or of a mapping of numbers to such objects."""
    if isinstance(rows, Mapping) and rows and all(str(key).isdigit() for key in rows):  # {0: {"name": "tabby"}}
        rows = [{"id": key} | dict(row) if isinstance(row, Mapping) else row for key, row in rows.items()]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        return None
    if any("label_config" in row for row in rows):  # Label Studio's projects
        return None
    key = next((key for key in NAMES if all(isinstance(row.get(key), str) for row in rows)), None)
    if key is None:
        return None
    numbered = [_number(row) for row in rows]
    return [
        _entry(row, str(row[key]), content, number if None not in numbered else None)
        for row, number in zip(rows, numbered, strict=True)
    ]


def _entry(row: Mapping[str, Any], name: str, content: Content, index: int | None) -> Entry:
    stated = next((row[key] for key in IDS if isinstance(row.get(key), str) and not row[key].isdigit()), None)
    common = row.get("common_name")  # iNaturalist: {"name": "Turdus merula", "common_name": "Eurasian Blackbird"}
    known = f"{common} ({name})" if isinstance(common, str) and common and common != name else name
    above = next((row[key] for key in SUPERCLASSES if isinstance(row.get(key), str)), "")
    group = row.get("group")
    return Entry(
        content.place(name),
        stated or name,
        known,
        next((row[key].strip() for key in DEFINITIONS if isinstance(row.get(key), str)), ""),
        ("" if above.lower() in NO_SUPERCLASS else above, group if isinstance(group, str) else ""),
        index,
    )


def _number(row: Mapping[str, Any]) -> int | None:
    found = next((row[key] for key in ("id", "index", "class_id") if key in row), None)
    if isinstance(found, bool) or not isinstance(found, int | str) or not str(found).isdigit():
        return None
    return int(found)


def _read_ontology(rows: Any, content: Content) -> list[Entry] | None:
    """AudioSet's ontology.json: nodes with `child_ids`; abstract nodes are no classes."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        return None
    if not all(isinstance(row.get("id"), str) and isinstance(row.get("child_ids"), list) for row in rows):
        return None
    name_of = {row["id"]: str(row.get("name", row["id"])) for row in rows}
    parent = {child: row["id"] for row in reversed(rows) for child in row["child_ids"] if isinstance(child, str)}
    entries = read_rows([row for row in rows if "abstract" not in row.get("restrictions", ())], content) or []
    return [_below(entry, parent, name_of) for entry in entries]


def _below(entry: Entry, parent: Mapping[str, str], name_of: Mapping[str, str]) -> Entry:
    """A class with the names of the two uppermost nodes above it."""
    line: list[str] = [entry.id]
    while line[-1] in parent and parent[line[-1]] not in line:
        line.append(parent[line[-1]])
    top: Sequence[str] = [name_of[id] for id in reversed(line)]
    superclass, group = top[0], (top[1] if len(top) > 2 else "")
    return Entry(entry.place, entry.id, entry.name, entry.definition, (superclass, group))
