"""The files of a review: X.json is the result, and next to it are

    X.proposal.json    the proposal the review starts from; never changed
    X.findings.json    what the checks found in it
    X.evidence.json    what the witnesses knew: synsets and nearest classes
    X.decisions.jsonl  the decision log, append-only; a replay replaces it and keeps the old one
    X.lock             exists while someone reviews

X.csv has its own: X.csv.proposal.json and so on, and X.csv.provenance.json, since a CSV file has no place for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hierarchy.errors import FormatError, HierarchyError, OutputError, ReviewError, os_reason
from hierarchy.files import lock, read_json, same_file
from hierarchy.io import read, shipped
from hierarchy.proposal import Finding, Proposal, edit_from_dict, read_proposal, save_findings, save_proposal
from hierarchy.review.log import Decision, Log, decision_to_line, log_to_text, read_log, utc_now

PROPOSED = ".proposal.json"
Notify: TypeAlias = Callable[[str], None]  # says something to the person


@dataclass(frozen=True)
class Paths:
    """The paths of a result and of the files that belong to it."""

    result: Path
    base: Path
    findings: Path
    log: Path
    lock: Path
    provenance: Path
    replies: Path
    evidence: Path

    @classmethod
    def of(cls, file: str | os.PathLike[str]) -> Paths:
        """The paths of a result, or of its proposal; of a link, those of the file it leads to."""
        linked = os.path.islink(file)  # noqa: PTH114, Path's raises where a name is too long for a file
        result = Path(os.path.realpath(file) if linked else file)
        if result.name.endswith(PROPOSED):
            name = result.name.removesuffix(PROPOSED)
            result = result.with_name(name if name.lower().endswith(".csv") else f"{name}.json")
        stem = result.name if result.suffix.lower() == ".csv" else result.stem
        endings = (
            "proposal.json",
            "findings.json",
            "decisions.jsonl",
            "lock",
            "provenance.json",
            "replies.sqlite",
            "evidence.json",
        )
        return cls(result, *(result.with_name(f"{stem}.{ending}") for ending in endings))

    @property
    def is_csv(self) -> bool:
        """Whether the result is a CSV file, which has no place for its provenance."""
        return self.result.suffix.lower() == ".csv"


def find_paths(file: str, out: Path | None = None) -> Paths:
    """The paths of the review of a file, or of its copy `out`.

    Raises:
        ReviewError: it is the name of a shipped hierarchy, or not a .json or .csv file.
    """
    target = str(out) if out is not None else file
    paths = Paths.of(target)
    if target in shipped():
        raise ReviewError(f"{target!r} is a shipped hierarchy; review a copy with --out {target}.json")
    if paths.result.suffix.lower() not in (".json", ".csv"):
        raise ReviewError(f"cannot review {target!r}; give a .json or .csv file")
    return paths


def hold_lock(paths: Paths, who: str) -> AbstractContextManager[None]:
    """Keeps others from reviewing the file while the block runs; raises Locked if someone does."""
    return lock(
        paths.lock,
        busy=f"{str(paths.result)!r} is being reviewed",
        holder=f"{who} (process {os.getpid()} on {socket.gethostname()}, since {utc_now()})",
        fix="wait, or look with --look",
    )


# What a review starts from


def read_base(file: str, paths: Paths | None = None) -> Proposal:
    """The proposal that a review of `file` starts from: X.proposal.json or, if there is none, the hierarchy X itself.

    Args:
        file: the file to review, or the name of a shipped hierarchy.
        paths: where the review is kept, if not at `file`.

    Raises:
        FormatError: neither file can be read.
        ReviewError: `paths` holds something else.
    """
    own = Paths.of(file)
    base = read_proposal(own.base) if file not in shipped() and own.base.exists() else _propose_itself(file, own)
    if paths is not None and (file in shipped() or not same_file(paths.result, file)):
        if paths.result.exists() and not paths.base.exists():
            raise ReviewError(f"{str(paths.result)!r} already exists; choose another name, or review it")
        if paths.base.exists() and read_proposal(paths.base).digest != base.digest:
            raise ReviewError(f"{str(paths.base)!r} is another proposal; choose another name")
    return base


def _propose_itself(file: str, paths: Paths) -> Proposal:
    held = read(file)
    provenance: Mapping[str, Any] = held.provenance
    if paths.is_csv and paths.provenance.exists():
        provenance = read_json(paths.provenance)
        if not isinstance(provenance, Mapping):
            raise FormatError(f"expected an object in {paths.provenance}, got {type(provenance).__name__}; delete it")
    settings = provenance.get("settings")
    source = settings.get("source") if isinstance(settings, Mapping) else None
    name = source if isinstance(source, str) else Path(file).name
    return Proposal.from_hierarchy(held.hierarchy, source=name, provenance=provenance)


def read_findings(file: str) -> tuple[Finding, ...]:
    """The findings about the proposal of a file, X.findings.json; none if that is missing or malformed."""
    try:
        return tuple(
            Finding(**{**entry, "edit": entry.get("edit") and edit_from_dict(entry["edit"])})
            for entry in read_json(Paths.of(file).findings)
            if isinstance(entry["node"], str) and isinstance(entry["message"], str)
        )
    except (HierarchyError, TypeError, KeyError, AttributeError):
        return ()


def keep_base(paths: Paths, base: Proposal, findings: Sequence[Finding]) -> None:
    """Writes what a review starts from, if it is not there yet."""
    if not paths.base.exists():
        if findings and not paths.findings.exists():
            save_findings(findings, paths.findings)
        save_proposal(base, paths.base)


# The log on the disk


def load_log(paths: Paths, base: Proposal, notify: Notify) -> Log:
    """The log of a file, or a new one about its proposal; raises FormatError if it cannot be read."""
    log = read_complete(paths.log, notify) if paths.log.exists() else None
    return log or Log(base.digest, base.classes.source)


def append_to_log(
    log: Log, decisions: Sequence[Decision], *, paths: Paths, base: Proposal, findings: Sequence[Finding]
) -> None:
    """Writes the last decisions of a log to the disk, and what the review starts from along with the first ones.

    Raises:
        OutputError: the log cannot be written; none of the decisions counts.
        ReviewError: the proposal has changed since the review began; none counts either.
    """
    first = len(log.decisions) == len(decisions)
    if first and paths.base.exists() and read_proposal(paths.base).digest != base.digest:
        raise ReviewError(f"{str(paths.base)!r} has changed since this review began; quit and start again")
    keep_base(paths, base, findings)
    text = log_to_text(log) if first else "".join(map(decision_to_line, decisions))
    try:
        _append(paths.log, text.encode(), replace=first)
    except OSError as error:
        raise OutputError(
            f"cannot write {str(paths.log)!r}: {os_reason(error)}; the decision was not saved, free some space and"
            " decide again"
        ) from None


def refuse(log: Log, decisions: Sequence[Decision]) -> None:
    """Writes nothing, for a session that only looks."""
    raise ReviewError("--look is read-only; review without it to decide")


def read_complete(path: Path, notify: Notify) -> Log | None:
    """Reads a log, and says so if its last line is incomplete: a crash cut it off, and it does not count."""
    log = read_log(path)
    if log and not path.read_bytes().endswith(b"\n"):
        notify(f"{path}: ignored the incomplete last line that a crash left")
    return log


def _append(path: Path, content: bytes, *, replace: bool) -> None:
    """Writes lines behind the last complete line of a file, or over it, all or none, and waits for the disk."""
    with path.open("a+b", buffering=0) as file:
        file.seek(0)
        end = 0 if replace else file.read().rfind(b"\n") + 1
        file.truncate(end)
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:  # the disk is full: half a line would be in the way of the next
            with suppress(OSError):
                file.truncate(end)
            raise
