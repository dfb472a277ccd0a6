"""A review as a sheet for a spreadsheet: written as CSV, and read back as edits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from hierarchy.errors import FormatError, InvalidHierarchy, ReviewError, in_one_sentence, nearest
from hierarchy.files import from_cell, read_text, to_cell
from hierarchy.names import name_fault
from hierarchy.proposal import Edit, Place, Proposal, Vote, Witness, find_edits
from hierarchy.review.questions import current_votes, measure_dispute
from hierarchy.review.state import State

WITNESSES: tuple[Witness, ...] = get_args(Witness)
COLUMNS = ("id", "name", "definition", "superclass", "group", "dispute", *WITNESSES, "proposal")
NEEDED = ("id", "superclass", "group")

Rows: TypeAlias = list[tuple[int, Mapping[str, str]]]  # with their line numbers


def to_sheet(state: State) -> str:
    """The proposal as CSV, one class per line in label order; only superclass and group may be changed.

    A name that a spreadsheet would compute, such as "=1+1", has a quote before it.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    classes, places = state.proposal.classes, state.proposal.places
    for id, name, definition, place in zip(classes.ids, classes.names, classes.definitions, places, strict=True):
        votes = current_votes(id, state)
        dispute = f"{measure_dispute('/'.join(place), votes):.2f}" if place else "unsettled"
        cells = [_describe_votes(votes, witness) for witness in WITNESSES]
        texts = (id, name, definition, *(place or ("", "")), dispute, *cells, _mark(state.proposal))
        writer.writerow(map(to_cell, texts))
    return text.getvalue()


def from_sheet(text: str, proposal: Proposal, where: str) -> tuple[Edit, ...]:
    """The edits that turn a proposal into what a sheet says; rows may be in any order, and further columns are ignored.

    Args:
        text: the content of the file.
        proposal: the proposal under review.
        where: the name of the file, for messages.

    Raises:
        FormatError: the file is not CSV with the columns id, superclass and group.
        ReviewError: classes are missing, unknown or repeated, or names are invalid (all problems are named); or the
            sheet was exported before the last decisions and would revert them.
    """
    rows = _read(text, where)
    problems = list(_find_problems(rows, proposal, where))
    if problems:
        raise ReviewError(in_one_sentence("", tuple(problems)))
    placed: dict[str, Place | None] = {
        row["id"]: (row["superclass"], row["group"]) if row["superclass"] else None for _, row in rows
    }
    try:
        after = Proposal(proposal.classes, tuple(placed[id] for id in proposal.classes.ids))
    except InvalidHierarchy as error:
        raise ReviewError(in_one_sentence(where, error.problems)) from None
    stale = sorted({row.get("proposal", "") for _, row in rows} - {"", _mark(proposal)})
    if stale and after.places != proposal.places:
        raise ReviewError(
            f"{where} was exported before the last decisions (it says {stale[0][:40]!r}, the proposal is now"
            f" {_mark(proposal)!r}) and would revert them; export it again, or delete the column 'proposal' to let the"
            " sheet win"
        )
    return find_edits(proposal, after)


def is_replaceable(path: Path) -> bool:
    """Whether a sheet may be written to a path: it is free, empty or an earlier sheet.

    The column `dispute` distinguishes a sheet from a list of classes or a hierarchy, which have the other columns too.
    """
    if not path.is_file():
        return True  # writing to a folder fails later
    try:
        text = read_text(path)
        return not text or {*NEEDED, "dispute"}.issubset(next(_reader(text), []))
    except (FormatError, csv.Error):
        return False


def _mark(proposal: Proposal) -> str:
    """Which proposal a sheet was made from, as words that no spreadsheet takes for a number."""
    return f"digest {proposal.digest[:16]}"


def _describe_votes(votes: Sequence[Vote], witness: Witness) -> str:
    return "; ".join(f"{vote.node} ({vote.strength:.2f}: {vote.why})" for vote in votes if vote.witness == witness)


def _reader(text: str) -> Any:
    """A CSV reader; spreadsheets may save a sheet with semicolons or tabs."""
    first = text.partition("\n")[0]
    return csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)


def _read(text: str, where: str) -> Rows:
    reader = _reader(text)
    rows: Rows = []
    try:
        header: list[str] = next(reader, [])
        missing = [column for column in NEEDED if column not in header]
        if missing:
            raise FormatError(f"{where}:1: the header has no column {', '.join(missing)}; export the sheet again")
        if len(set(header)) < len(header):
            raise FormatError(f"{where}:1: the header has a column twice; export the sheet again")
        for values in reader:
            if any(values) and len(values) != len(header):
                raise FormatError(
                    f"{where}:{reader.line_num}: expected {len(header)} fields, got {len(values)}; quote fields that"
                    " contain a comma"
                )
            if any(values):
                rows.append((reader.line_num, dict(zip(header, map(from_cell, values), strict=True))))
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num}: not CSV ({error}); check the quotes") from None
    return rows


def _find_problems(rows: Rows, proposal: Proposal, where: str) -> Iterator[str]:
    known = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    seen: dict[str, int] = {}
    for number, row in rows:
        id, place = row["id"], f"{where}:{number}"
        if id not in known:
            yield f"{place}: no class {id!r}{nearest(id, known)}"
            continue
        if id in seen:
            yield f"{place}: class {id!r} is already in line {seen[id]}"
        seen.setdefault(id, number)
        if row.get("name", known[id]) != known[id]:
            yield f"{place}: {id!r} is named {known[id]!r}, got {row['name']!r}; do not change the name of a class"
        if bool(row["superclass"]) != bool(row["group"]):
            yield f"{place}: {id!r} has only a superclass or only a group; give both, or neither to leave it unsettled"
            continue
        for column in ("superclass", "group"):
            fault = name_fault(row[column]) if row[column] else None
            if fault:
                yield f"{place}: {column} {row[column]!r} {fault}"
    for id in known:
        if id not in seen:
            yield f"{where}: class {id!r} ({known[id]}) is missing"
