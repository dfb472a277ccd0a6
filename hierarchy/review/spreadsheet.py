"""A review as a table for a spreadsheet: written as CSV, and read back into edits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from hierarchy.errors import FormatError, InvalidHierarchy, ReviewError, in_one_sentence, nearest
from hierarchy.files import read_text
from hierarchy.names import name_fault
from hierarchy.proposal import Edit, Place, Proposal, Vote, Witness, difference
from hierarchy.review.queue import Votes, dispute, said_now
from hierarchy.review.state import Standing

WITNESSES: tuple[Witness, ...] = get_args(Witness)
COLUMNS = ("id", "name", "definition", "superclass", "group", "dispute", *WITNESSES, "proposal")
NEEDED = ("id", "superclass", "group")


def to_sheet(standing: Standing, votes: Votes) -> str:
    """The proposal as CSV, one class a line in label order; all others than superclass and group are for reading."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    proposal = standing.proposal
    classes = proposal.classes
    for id, name, definition, place in zip(
        classes.ids, classes.names, classes.definitions, proposal.places, strict=True
    ):
        said = said_now(id, standing, votes)
        weight = f"{dispute('/'.join(place), said):.2f}" if place else "unsettled"
        views = [_views(said, witness) for witness in WITNESSES]
        writer.writerow([id, name, definition, *(place or ("", "")), weight, *views, _mark(proposal)])
    return text.getvalue()


def _mark(proposal: Proposal) -> str:
    """Which proposal a sheet was made of, as a word that no spreadsheet takes for a number."""
    return f"digest {proposal.digest[:16]}"


def _views(said: Sequence[Vote], witness: Witness) -> str:
    return "; ".join(f"{vote.node} ({vote.strength:.2f}: {vote.why})" for vote in said if vote.witness == witness)


def from_sheet(text: str, proposal: Proposal, where: str) -> tuple[Edit, ...]:
    """The edits that turn a proposal into what a sheet says; rows may come in any order, with any further columns.

    Args:
        text: the content of the file.
        proposal: the proposal that is reviewed.
        where: the name of the file, for messages.

    Raises:
        FormatError: it is no CSV with the columns id, superclass and group.
        ReviewError: classes are missing, unknown or stand twice, or names are bad; all problems are told. Or the sheet
            is of an earlier proposal, so that what was decided since would be taken back without a word.
    """
    rows = _read(text, where)
    problems = list(_problems(rows, proposal, where))
    if problems:
        raise ReviewError(in_one_sentence("", tuple(problems)))
    places: dict[str, Place | None] = {}
    for _, row in rows:
        places[row["id"]] = (row["superclass"], row["group"]) if row["superclass"] else None
    try:
        after = replace(proposal, places=tuple(places[id] for id in proposal.classes.ids))
    except InvalidHierarchy as error:
        raise ReviewError(in_one_sentence(where, error.problems)) from None
    stale = sorted({row.get("proposal", "") for _, row in rows} - {"", _mark(proposal)})
    if stale and after != proposal:
        raise ReviewError(
            f"{where} was exported before the last decisions (its proposal has {stale[0][:40]!r}, now it is"
            f" {_mark(proposal)!r}) and would take them back; export again and change that sheet, or delete the column"
            " 'proposal' to let this one win"
        )
    return difference(proposal, after)


def may_be_replaced(path: Path) -> bool:
    """Whether a sheet can be written to a file without loss: a sheet stands there, or nothing.

    The column `dispute` tells a sheet from a list of classes or a hierarchy, which have the others.
    """
    if not path.is_file():
        return True  # a folder is refused where it is written to
    try:
        text = read_text(path)
        return not text or {*NEEDED, "dispute"}.issubset(next(_reader(text), []))
    except (FormatError, csv.Error):
        return False


Rows = list[tuple[int, Mapping[str, str]]]


def _reader(text: str) -> Any:
    """Reads a CSV line by line; a sheet may have been saved with semicolons or tabs."""
    first = text.partition("\n")[0]
    return csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)


def _read(text: str, where: str) -> Rows:
    """The rows of a CSV with their lines."""
    reader = _reader(text)
    rows: Rows = []
    try:
        header: list[str] = next(reader, [])
        lacking = [column for column in NEEDED if column not in header]
        if lacking or len(set(header)) < len(header):
            twice = "columns that stand twice" if not lacking else f"no column {', '.join(lacking)}"
            raise FormatError(f"{where}:1: the header has {twice}; export the sheet again and change that")
        for values in reader:
            if not any(values):
                continue
            if len(values) != len(header):
                raise FormatError(
                    f"{where}:{reader.line_num}: {len(values)} fields, not {len(header)}; quote one that holds a comma"
                )
            rows.append((reader.line_num, dict(zip(header, values, strict=True))))
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error}); check the quotes") from None
    return rows


def _problems(rows: Rows, proposal: Proposal, where: str) -> Iterator[str]:
    known = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    seen: dict[str, int] = {}
    for number, row in rows:
        id, place = row["id"], f"{where}:{number}"
        if id not in known:
            yield f"{place}: no class {id!r}{nearest(id, known)}"
            continue
        if id in seen:
            yield f"{place}: class {id!r} stands already in line {seen[id]}"
        seen.setdefault(id, number)
        if row.get("name", known[id]) != known[id]:
            yield f"{place}: {id!r} is called {known[id]!r}, not {row['name']!r}; the name of a class stays as it is"
        if bool(row["superclass"]) != bool(row["group"]):
            yield f"{place}: {id!r} has a superclass or a group alone; give both, or none to leave it unsettled"
            continue
        for column in ("superclass", "group"):
            fault = name_fault(row[column]) if row[column] else None
            if fault:
                yield f"{place}: {column} {row[column]!r} {fault}"
    for id in known:
        if id not in seen:
            yield f"{where}: class {id!r} ({known[id]}) is missing"
