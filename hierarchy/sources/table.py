"""CSV and TSV files whose header names some of the columns id, name and definition."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError
from hierarchy.files import read_text
from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_word


def read_table(source: str) -> list[Entry]:
    """The classes of a .csv or .tsv file.

    Raises:
        SourceError: there is no column id or name, or rows do not fit the header.
    """
    kind = Path(source).suffix[1:].lower()
    delimiter = "\t" if kind == "tsv" else ","
    reader = csv.DictReader(io.StringIO(read_text(Path(source)), newline=""), delimiter=delimiter, strict=True)
    try:
        columns = reader.fieldnames or []
        if not {"id", "name"} & set(columns):
            found = f"the header is {delimiter.join(columns)!r}" if columns else "there is no header"
            raise SourceError(f"{source}:1: {found}; give one with a column id or name")
        return [_from_row(row, f"{source}:{reader.line_num}") for row in reader]
    except csv.Error as error:
        line = reader.line_num + 1
        raise SourceError(f"{source}:{line}: not {kind.upper()} ({error}); check the quotes") from None


def _from_row(row: dict[Any, Any], place: str) -> Entry:
    if None in row or None in row.values():
        raise SourceError(f"{place}: the row and the header differ in length; quote fields that contain the separator")
    id: str = row["id"] if "id" in row else row["name"]
    return Entry(place, id, row.get("name") or from_word(id, place).name, row.get("definition", ""))
