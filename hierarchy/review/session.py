"""A sitting: one person holds a file under review, and its result is written when the sitting ends."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hierarchy.errors import ReviewError
from hierarchy.names import name_fault
from hierarchy.proposal import Proposal
from hierarchy.review.review import Review, utc_now
from hierarchy.review.reviewed import check_is_new, check_result, paths_of, read_base_for, read_findings, write_result
from hierarchy.review.state import Replayed, replay
from hierarchy.review.storage import LogFile, Looking, Paths, hold

Tell: TypeAlias = Callable[[str], None]  # says something to the person, beside what is asked for


@dataclass(frozen=True)
class Where:
    """What is reviewed, and where the review is kept."""

    file: str
    paths: Paths


@dataclass(frozen=True)
class Held:
    """A review that is open."""

    paths: Paths
    base: Proposal
    journal: LogFile
    review: Review


def where_of(file: str, out: Path | None = None) -> Where:
    """Where a review of a file, or of a copy of it, is kept; ReviewError if it cannot be."""
    return Where(file, paths_of(out if out is not None else file))


def open_review(where: Where, *, who: str, tell: Tell, look: bool = False, only: tuple[str, ...] = ()) -> Held:
    """Opens a review; whoever decides holds the lock."""
    base = read_base_for(where.file, where.paths)
    findings = read_findings(where.file)
    journal = LogFile(where.paths, base, findings, tell=tell)
    check_is_new(journal.log, where.paths.log, base)
    review = Review(base, Looking(journal) if look else journal, who=who, only=only, findings=findings)
    check_result(where.paths, base, journal.log, review.proposal)
    return Held(where.paths, base, journal, review)


@contextmanager
def sitting(
    where: Where, by: str | None, *, tell: Tell, look: bool = False, only: tuple[str, ...] = ()
) -> Iterator[Held]:
    """A review that one person holds; the result is written when it ends, however that is."""
    if look:
        yield open_review(where, who="", tell=tell, look=True, only=only)
        return
    who = who_decides(by)
    with hold(where.paths, who, utc_now()):
        held = open_review(where, who=who, tell=tell, only=only)
        try:
            yield held
        finally:
            if held.journal.log.decisions:
                write_result(held.paths, held.base, held.journal.log)


def who_decides(by: str | None) -> str:
    """The name of who decides: the given one, else git's, else the user's."""
    if by is not None:
        fault = name_fault(by.replace("/", ""))
        if fault:
            raise ReviewError(f"--by {by!r} {fault}")
        return by
    try:
        found = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False).stdout
    except (OSError, UnicodeDecodeError):
        found = ""
    try:
        name = found.strip() or getpass.getuser()
    except (OSError, KeyError):
        name = ""
    if name_fault(name.replace("/", "")):
        raise ReviewError("nobody knows who decides; say it with --by NAME")
    return name


def summary(paths: Paths, replayed: Replayed) -> dict[str, Any]:
    """How a review stands, for a script."""
    unsettled = replayed.proposal.unsettled
    return {
        "file": str(paths.result),
        "written": not unsettled,
        "digest": replayed.proposal.digest,
        "decisions": len(replayed.decisions),
        "reviewed": len(replayed.standings[-1].classes),
        "classes": len(replayed.proposal.classes),
        "unsettled": list(unsettled),
    }


def written(paths: Paths, replayed: Replayed) -> str:
    """How a review stands, for a person."""
    count = len(replayed.decisions)
    decided = f"{count} decision{'s' * (count != 1)}, {len(replayed.standings[-1].classes)} of"
    decided += f" {len(replayed.proposal.classes)} classes reviewed"
    unsettled = replayed.proposal.unsettled
    if not unsettled:
        return f"{paths.result}: {decided}"
    first = ", ".join(map(repr, unsettled[:6])) + (f" and {len(unsettled) - 6} more" if len(unsettled) > 6 else "")
    return f"{paths.result} waits: unsettled {first}; {paths.log} keeps {decided}"


def report(held: Held) -> tuple[dict[str, Any], str]:
    """How a review stands at the end of a sitting, for a script and for a person, who is told nothing of nothing."""
    log = held.journal.log
    replayed = replay(log, held.base)
    about = {**summary(held.paths, replayed), "disputed": held.review.position.disputed}
    return about, written(held.paths, replayed) if log.decisions else ""
