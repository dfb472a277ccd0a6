"""Tables with and without a header: comma, semicolon or tab between the cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from hierarchy.errors import SourceError
from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.imagenet import from_word

COLUMNS = {  # what a column holds -> its names in the headers of known data sets, in lower case without _ and spaces
    "id": ("id", "mid", "labelname", "wnid", "synset", "freebaseid"),
    "name": (
        "name",
        "displayname",
        "class",
        "classname",
        "label",
        "names",
        "category",
        "title",
        "tag",
        "classes",
        "labels",
    ),
    "definition": ("definition", "description", "def", "gloss"),
    "superclass": ("superclass", "supercategory", "superclasses", "coarse", "coarselabel", "coarsename", "supername"),
    "group": ("group", "subcategory", "family"),
    "number": ("index", "idx", "classidx", "classindex", "labelid", "labelindex", "classid", "number", "no", "target"),
}
ID = re.compile(r"/[a-z]/\w+|n\d{8}|Q\d+")  # Open Images, WordNet, Wikidata
Row = tuple[int, list[str]]  # its line, its cells


class Layout(NamedTuple):
    """Which column holds what; -1 for none."""

    id: int
    name: int
    definition: int
    superclass: int
    group: int
    number: int


def read_table(content: Content) -> list[Entry] | None:
    """The classes of a .csv or .tsv file, or of a text whose lines all have tabs.

    Raises:
        SourceError: there is no column of ids or names, or rows differ in length.
    """
    tabs = content.ending not in (".csv", ".tsv")
    if tabs and not (content.lines and all("\t" in line for line in content.text.strip().split("\n"))):
        return None
    rows = _rows(content, "\t" if tabs else _delimiter(content))
    if not rows:
        raise SourceError(f"{content.path}:1: there is no header; give one with a column id or name")
    layout = _headed([cells for _, cells in rows])
    if layout:
        rows = rows[1:]
    else:
        layout = _headless([cells for _, cells in rows])
    if layout is None:
        if tabs:
            return None
        if len(rows) == 1 and len(rows[0][1]) > 2:  # all names in one line
            return [from_word(cell.strip(), f"{content.path}:{rows[0][0]}") for cell in rows[0][1]]
        header = ",".join(rows[0][1])
        raise SourceError(f"{content.path}:1: the header is {header!r}; give one with a column id or name")
    return [_entry(cells, layout, f"{content.path}:{line}") for line, cells in rows]


def _rows(content: Content, delimiter: str) -> list[Row]:
    """The rows that are not empty, all as long as the first."""
    reader = csv.reader(io.StringIO(content.text, newline=""), delimiter=delimiter, strict=True)
    kind = "TSV" if delimiter == "\t" else "CSV"
    rows: list[Row] = []
    last = 0  # line of the last row that was read
    try:
        for cells in reader:
            last = reader.line_num
            if not cells:
                continue
            if rows and len(cells) != len(rows[0][1]):
                raise SourceError(
                    f"{content.path}:{reader.line_num}: the row and the header differ in length; quote fields that"
                    " contain the separator"
                )
            rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise SourceError(f"{content.path}:{last + 1}: not {kind} ({error}); check the quotes") from None
    return rows


def _delimiter(content: Content) -> str:
    """What separates the cells: a tab in a .tsv; in a .csv a semicolon or a tab if the first line has no comma."""
    if content.ending == ".tsv":
        return "\t"
    first = content.text.lstrip("\n").partition("\n")[0]
    return max(",;\t|", key=first.count) if "," not in first else ","


def _headed(rows: Sequence[Sequence[str]]) -> Layout | None:
    """The layout that a header describes, if it names a column of ids or names. A column of numbers is no name."""
    words = [re.sub(r"[\s_-]", "", cell).lower() for cell in rows[0]]
    numbers = {i for i in range(len(words)) if len(rows) > 1 and all(_is_number(cells[i]) for cells in rows[1:])}
    found = {}
    for what, names in COLUMNS.items():
        places = [words.index(name) for name in names if name in words]
        if what == "name":
            numbered = [i for i in places if i in numbers]
            places = [i for i in places if i not in numbers] or (numbered if "name" in words else [])
        found[what] = places[0] if places else -1
    if found["number"] < 0 and found["name"] not in numbered:
        found["number"] = next(iter(numbered), -1)
    if found["number"] >= 0 and found["number"] not in numbers:
        found["number"] = -1
    if found["id"] < 0 and found["name"] < 0 and found["number"] >= 0:  # GTSRB: ClassId, SignName
        others = [i for i in range(len(words)) if i not in numbers and i not in found.values()]
        found["name"] = others[0] if len(others) == 1 else -1
    named = [cells[found["name"]].strip() for cells in rows[1:]] if found["name"] >= 0 else []
    if found["id"] in numbers and found["number"] < 0 and len(set(named)) == len(rows) - 1:
        found["id"], found["number"] = -1, found["id"]  # COCO's categories as a table: the names tell classes apart
    return Layout(**found) if found["id"] >= 0 or found["name"] >= 0 else None


def _headless(rows: Sequence[Sequence[str]]) -> Layout | None:
    """The layout of a table without a header: names alone, or next to numbers or to ids of a known kind."""
    columns = list(zip(*rows, strict=True))
    numbers = [i for i, cells in enumerate(columns) if all(map(_is_number, cells))]
    ids = [i for i, cells in enumerate(columns) if all(ID.fullmatch(cell.strip()) for cell in cells)]
    names = [i for i in range(len(columns)) if i not in numbers and i not in ids]
    if len(names) != 1 or len(columns) > 3 or len(numbers) > 1 or len(ids) > 1:
        return None
    return Layout(ids[0] if ids else -1, names[0], -1, -1, -1, numbers[0] if numbers else -1)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*\d{1,9}\s*", cell) is not None


def _entry(cells: Sequence[str], layout: Layout, place: str) -> Entry:
    def cell(column: int) -> str:
        return cells[column].strip() if column >= 0 else ""

    index = int(cell(layout.number)) if layout.number >= 0 else None
    id, name = cell(layout.id if layout.id >= 0 else layout.name), cell(layout.name)
    above = (cell(layout.superclass), cell(layout.group))
    return Entry(place, id, name or from_word(id, place).name, cell(layout.definition), above, index)
