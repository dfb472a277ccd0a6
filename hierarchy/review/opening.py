"""Opens a review session on a file, and writes the result when the session ends."""

from __future__ import annotations

import getpass
import itertools
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hierarchy.checks import consult, gather
from hierarchy.english import count
from hierarchy.errors import FormatError, ReviewError
from hierarchy.files import same_file, write_text
from hierarchy.io import folder, read, shipped
from hierarchy.names import name_fault
from hierarchy.proposal import Finding, Proposal
from hierarchy.review.log import Decision, Log, log_to_text, read_log
from hierarchy.review.questions import Witnesses
from hierarchy.review.result import check_is_new, check_result, is_result_of, write_result
from hierarchy.review.session import Session
from hierarchy.review.state import Conflict, replay
from hierarchy.review.storage import (
    Notify,
    Paths,
    append_to_log,
    hold_lock,
    keep_base,
    load_log,
    read_base,
    read_complete,
    read_findings,
    refuse,
)
from hierarchy.views import DEFAULT_EMBED


@contextmanager
def open_session(
    file: str, paths: Paths, *, by: str | None, notify: Notify, only: Sequence[str] = (), consult: bool = False
) -> Iterator[Session]:
    """A session of one person, who holds the lock; the result is written when it ends, even by an error.

    Args:
        file: the file to review, or the name of a shipped hierarchy.
        paths: where the review is kept.
        by: who decides; None for git's user.name, or the user's name.
        notify: hears what the person should know.
        only: kinds of questions to ask, all of each; if empty, the most doubtful.
        consult: whether both witnesses are asked about a hierarchy that comes without votes, which takes seconds.
    """
    who = find_reviewer(by)
    with hold_lock(paths, who):
        session = _load(file, paths, who=who, notify=notify, only=only, consult=consult)
        try:
            yield session
        finally:
            if session.log.decisions:
                write_result(paths, session)


def look_at(file: str, paths: Paths, *, notify: Notify, only: Sequence[str] = (), consult: bool = False) -> Session:
    """A read-only session, which needs no lock; arguments as of `open_session`."""
    return _load(file, paths, who="", notify=notify, only=only, consult=consult)


def _load(file: str, paths: Paths, *, who: str, notify: Notify, only: Sequence[str], consult: bool) -> Session:
    """A session of one person; read-only if that is ""."""
    base, findings = read_base(file, paths), read_findings(file)
    if consult and not base.votes and not findings:
        base, findings = _consult(base)
    log = load_log(paths, base, notify)
    check_is_new(log, paths.log, base)
    write = partial(append_to_log, paths=paths, base=base, findings=findings) if who else refuse
    witnesses = Witnesses(find_embedder(base))
    session = Session(base, log, write, who=who, only=only, findings=findings, witnesses=witnesses)
    check_result(paths, base, log, session.proposal)
    return session


def _consult(base: Proposal) -> tuple[Proposal, tuple[Finding, ...]]:
    """The proposal with the votes of WordNet and the embedding, and what the checks find with their help."""
    evidence = gather(base.classes)
    return consult(replace(base, classes=evidence.classes), evidence)


def find_embedder(proposal: Proposal) -> str:
    """The embedder whose vectors spoke about a proposal, by its provenance; TF-IDF if that does not say."""
    settings = proposal.provenance.get("settings")
    embed = settings.get("embed") if isinstance(settings, Mapping) else None
    return embed if isinstance(embed, str) else DEFAULT_EMBED


def replay_log(
    log: Path, file: str, paths: Paths, *, by: str | None, notify: Notify
) -> tuple[Session, tuple[Conflict, ...]]:
    """Applies the decisions of a log to the proposal of a file, and writes the result.

    Args:
        log: the log; the other arguments are as of `open_session`.

    Returns:
        A session after the decisions, and those that could not be applied.

    Raises:
        ReviewError: the file has other decisions already, or its result was changed by other means.
    """
    with hold_lock(paths, find_reviewer(by)):
        base = read_base(file, paths)
        old = read_complete(log, notify)
        if old is None:
            raise FormatError(f"{log} holds no decisions; give the log of a review")
        check_is_new(old, log, base)
        conflicts = _replace_log(old, paths, base, read_findings(file))
        session = look_at(file, paths, notify=notify)
        write_result(paths, session)
        return session, conflicts


def _replace_log(old: Log, paths: Paths, base: Proposal, findings: Sequence[Finding]) -> tuple[Conflict, ...]:
    """Makes the decisions of a log that can be applied to a proposal the log of a file; gives the others."""
    own = read_log(paths.log) if paths.log.exists() else None
    known = own if own and own.decisions else old
    check_result(paths, base, known, replay(known, base).proposal)
    conflicts = replay(old, base).conflicts
    left_out = {conflict.decision.number for conflict in conflicts}
    decisions = tuple(decision for decision in old.decisions if decision.number not in left_out)
    source = old.source if old.base == base.digest else base.classes.source
    kept = replace(old, base=base.digest, source=source, decisions=decisions)
    if own and own.decisions and own not in (old, kept):
        raise ReviewError(
            f"{str(paths.log)!r} already holds {count(len(own.decisions), 'decision')}; move it away to replay another"
            " log"
        )
    if own and own.decisions and own != kept:
        number = next(i for i in itertools.count(1) if not paths.log.with_suffix(f".{i}.jsonl").exists())
        paths.log.rename(paths.log.with_suffix(f".{number}.jsonl"))
    keep_base(paths, base, findings)
    write_text(paths.log, log_to_text(kept))
    return conflicts


def read_reviewed(file: str) -> tuple[Proposal, Proposal, tuple[Decision, ...]]:
    """The proposal of a file, the proposal after the decisions of its review, and these decisions.

    A result, such as a shipped hierarchy, already includes the decisions of the log next to it.
    """
    base = read_base(file)
    paths = Paths.of(folder("data") / f"{file}.json" if file in shipped() else file)
    log = read_log(paths.log) if paths.log.is_file() else None
    if log is None:
        return base, base, ()
    return base, base if is_result_of(base, log) else replay(log, base).proposal, log.in_effect


def is_proposal(file: str) -> bool:
    """Whether a file is X.proposal.json, or X.json that is not written yet and has only that beside it."""
    paths = Paths.of(file)
    if file in shipped() or not paths.base.exists():
        return False
    return same_file(paths.base, file) or not paths.result.exists()


def read_current(file: str) -> Proposal:
    """What a file says now: a hierarchy, or a proposal after the decisions of its review, which may be incomplete.

    Raises:
        FormatError: it cannot be read.
        ReviewError: no class has a place yet.
    """
    if not is_proposal(file):
        held = read(file)
        return Proposal.from_hierarchy(held.hierarchy, source=file, provenance=held.provenance)
    _, now, _ = read_reviewed(file)
    if not any(now.places):
        result = Paths.of(file).result
        raise ReviewError(f"no class of {file!r} has a place yet; place some with `hierarchy review {result}`")
    return now


def find_reviewer(by: str | None) -> str:
    """The name of the person who decides: as given, or git's user.name, or the user's name.

    Raises:
        ReviewError: the given name is not valid, or there is none.
    """
    if by is not None:
        fault = name_fault(by)
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
    if name_fault(name):
        raise ReviewError("cannot find out who you are; give a name with --by")
    return name


def summarize(session: Session, paths: Paths) -> dict[str, Any]:
    """The outcome of a session as plain values, for scripts."""
    unsettled = session.proposal.unsettled
    return {
        "file": str(paths.result),
        "written": not unsettled,
        "digest": session.proposal.digest,
        "decisions": len(session.history.decisions),
        "reviewed": len(session.state.classes),
        "classes": len(session.proposal.classes),
        "unsettled": list(unsettled),
        "questions": session.position.of,
        "open": session.left,
    }


def describe_outcome(session: Session, paths: Paths) -> str:
    """The outcome of a session in words."""
    decided = f"{count(len(session.history.decisions), 'decision')}, {len(session.state.classes):,} of"
    decided += f" {count(len(session.proposal.classes), 'class')} reviewed"
    unsettled = session.proposal.unsettled
    if not unsettled:
        return f"{paths.result}: {decided}"
    first = ", ".join(map(repr, unsettled[:6])) + (f" and {len(unsettled) - 6} more" if len(unsettled) > 6 else "")
    return f"{paths.result} is not written yet: {first} unsettled; {paths.log} holds {decided}"
