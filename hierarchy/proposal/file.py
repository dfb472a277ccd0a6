"""The file a proposal is kept in, X.proposal.json, from which a review starts; parsed once, here.

It is one JSON object (docs/reference/formats.md) with one class per line:

    {"format": "proposal", "version": 1, "digest": "...", "source": "imagenet-1k", "provenance": {...},
     "classes": [{"id": "n01494475", "name": "hammerhead", "definition": "...", "superclass": "marine animals",
                  "group": "sharks", "votes": [{"witness": "llm", "node": "marine animals/sharks", "strength": 1.0,
                  "why": "2 of 3 votes"}], "replies": ["5d1f..."],
                  "doubts": [{"kind": "split", "weight": 0.33, "why": "2 of 3 votes for marine animals, 1 for fish"}]},
                 ...]}
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hierarchy.errors import FormatError, InvalidHierarchy, in_one_sentence
from hierarchy.files import read_json, write_text
from hierarchy.io import check_format, json_table
from hierarchy.proposal.findings import Finding
from hierarchy.proposal.proposal import Doubt, Proposal, Vote
from hierarchy.sources import ClassList

if TYPE_CHECKING:
    from hierarchy.proposal.schema import ProposalContent

FORMAT = "proposal"
VERSION = 1
COLUMNS = ("id", "name", "definition", "superclass", "group", "votes", "replies")  # then "doubts", where there are any


def read_proposal(path: str | os.PathLike[str]) -> Proposal:
    """Reads a proposal file.

    Raises:
        FormatError: the file is missing, corrupt, of a newer version or not a proposal; all its faults are named.
    """
    from hierarchy.proposal.schema import parse

    where = str(path)
    content = check_format(read_json(Path(path)), where, FORMAT, VERSION, written_by="generate")
    parsed = parse(content, where)
    repeated = sorted(id for id, uses in Counter(row.id for row in parsed.classes).items() if uses > 1)
    if repeated:
        raise FormatError(f"{where}: {in_one_sentence('', tuple(f'class {id!r} is repeated' for id in repeated))}")
    try:
        proposal = _to_proposal(parsed)
    except InvalidHierarchy as error:
        raise FormatError(f"{where}: {error}") from None
    if parsed.digest != proposal.digest:
        raise FormatError(
            f"{where} says digest {parsed.digest[:12]!r}, but its classes have {proposal.digest[:12]!r}; a proposal"
            " must not be edited by hand: use `hierarchy review`, or generate it again"
        )
    return proposal


def save_proposal(proposal: Proposal, path: str | os.PathLike[str]) -> None:
    """Writes a proposal file atomically.

    Raises:
        OutputError: it cannot be written, or the provenance does not fit JSON.
    """
    write_text(path, to_json(proposal))


def save_findings(findings: Iterable[Finding], path: str | os.PathLike[str]) -> None:
    """Writes the findings about a proposal, X.findings.json, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    content = [finding.to_dict() for finding in findings]
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def to_json(proposal: Proposal) -> str:
    """The text of a proposal file."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "digest": proposal.digest,
        "source": proposal.classes.source,
        "provenance": dict(proposal.provenance),
    }
    classes = proposal.classes
    table = zip(classes.ids, classes.names, classes.definitions, proposal.places, strict=True)
    rows = []
    for id, name, definition, place in table:
        votes = [asdict(vote) for vote in proposal.votes.get(id, ())]
        values = (id, name, definition, *(place or (None, None)), votes, list(proposal.replies.get(id, ())))
        row = dict(zip(COLUMNS, values, strict=True))
        doubts = [asdict(doubt) for doubt in proposal.doubts.get(id, ())]
        rows.append(row | ({"doubts": doubts} if doubts else {}))
    return json_table(head, rows)


def _to_proposal(parsed: ProposalContent) -> Proposal:
    rows = parsed.classes
    classes = ClassList(
        tuple(row.id for row in rows),
        tuple(row.name for row in rows),
        tuple(row.definition for row in rows),
        parsed.source,
    )
    places = tuple(None if row.superclass is None or row.group is None else (row.superclass, row.group) for row in rows)
    votes = {row.id: tuple(Vote(**vars(vote)) for vote in row.votes) for row in rows if row.votes}
    replies = {row.id: tuple(row.replies) for row in rows if row.replies}
    doubts = {row.id: tuple(Doubt(**vars(doubt)) for doubt in row.doubts) for row in rows if row.doubts}
    return Proposal(classes, places, votes, replies, parsed.provenance, doubts)
