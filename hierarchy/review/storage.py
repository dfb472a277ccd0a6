"""The decision log on the disk, and where it lies: appended to, flushed, and whole after any crash."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from hierarchy.errors import OutputError, ReviewError, os_reason
from hierarchy.files import lock
from hierarchy.proposal import Finding, Proposal, read_proposal, save_findings, save_proposal
from hierarchy.review.log import Decision, Log, header_line, line, read_log


@dataclass(frozen=True)
class Paths:
    """Where a result lies, and beside it what it was made from and the files of its review."""

    result: Path

    @classmethod
    def of(cls, file: str | os.PathLike[str]) -> Paths:
        """Those of a file: beside the file itself where a link to it is given."""
        linked = os.path.islink(file)  # noqa: PTH114, Path's raises where a name is too long for a file
        return cls(Path(os.path.realpath(file) if linked else file))

    @property
    def base(self) -> Path:
        return self.result.with_suffix(".proposal.json")

    @property
    def log(self) -> Path:
        return self.result.with_suffix(".decisions.jsonl")

    @property
    def lock(self) -> Path:
        return self.result.with_suffix(".lock")

    @property
    def findings(self) -> Path:
        return self.result.with_suffix(".findings.json")

    @property
    def provenance(self) -> Path:
        return self.result.with_suffix(".provenance.json")  # of a .csv, which has no place for it

    @property
    def replies(self) -> Path:
        return self.result.with_suffix(".replies.sqlite")


def hold(paths: Paths, who: str, since: str) -> AbstractContextManager[None]:
    """Keeps a second reviewer out while a block runs.

    Raises:
        Locked: someone else is reviewing; the message says who, where and since when.
    """
    return lock(
        paths.lock,
        busy=f"{str(paths.result)!r} is being reviewed",
        fix="wait, or look with --look",
        holder=f"{who} (process {os.getpid()} on {socket.gethostname()}, since {since})",
    )


class LogFile:
    """The decision log of a file, on the disk: what is appended is there before `append` returns.

    Args:
        paths: where the files lie.
        base: the proposal; it is written beside the log with the first decision, if it is not there.
        findings: what the checks found of it; written together with it.
        tell: hears of what had to be set aside.

    Raises:
        FormatError: the log cannot be read.
    """

    def __init__(
        self,
        paths: Paths,
        base: Proposal,
        findings: Sequence[Finding] = (),
        *,
        tell: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.paths, self.base, self._findings, self._tell = paths, base, findings, tell
        self._log, self._torn = Log(base.digest, base.classes.source), b""
        if paths.log.exists():
            log, self._torn = read_log(paths.log)
            self._log = log or self._log
            if self._torn:
                size = len(self._torn)
                tell(
                    f"{paths.log}: its last line is torn ({size} bytes of a write that was cut off) and does not count"
                )

    @property
    def log(self) -> Log:
        """What is in the log."""
        return self._log

    def append(self, decisions: Sequence[Decision]) -> None:
        """Writes decisions at the end of the log.

        Raises:
            OutputError: the log cannot be written; none of the decisions counts.
            ReviewError: the proposal was made anew since the review began; none counts either.
        """
        if not self.log.decisions:
            self._check_base()
        keep_base(self.paths, self.base, self._findings)
        text = "".join(map(line, decisions))
        if not self.log.decisions and not self._header_stands():
            text = header_line(self._log.base, self._log.source) + text
        try:
            self._set_aside()
            _append(self.paths.log, text.encode())
        except OSError as error:
            reason = os_reason(error)
            raise OutputError(
                f"cannot write {str(self.paths.log)!r}: {reason}; nothing was decided, make room and decide again"
            ) from None
        self._log = Log(self._log.base, self._log.source, (*self._log.decisions, *decisions))

    def _check_base(self) -> None:
        """Makes sure that the proposal is still what the review started from."""
        if self.paths.base.exists() and read_proposal(self.paths.base).digest != self.base.digest:
            raise ReviewError(
                f"{str(self.paths.base)!r} was made anew since this review began; nothing was decided, quit and begin"
                " again"
            )

    def _header_stands(self) -> bool:
        return self.paths.log.exists() and self.paths.log.stat().st_size > len(self._torn)

    def _set_aside(self) -> None:
        """Moves the torn end of the log into a file of its own, before anything is written behind it."""
        if self._torn:
            beside = self.paths.log.with_suffix(".torn")
            with beside.open("ab") as file:
                file.write(self._torn + b"\n")
            os.truncate(self.paths.log, self.paths.log.stat().st_size - len(self._torn))
            self._torn = b""
            self._tell(f"the torn line of {self.paths.log} was moved to {beside}")


def keep_base(paths: Paths, base: Proposal, findings: Sequence[Finding]) -> None:
    """Writes what a review starts from beside its log, if it is not there."""
    if not paths.base.exists():
        if findings and not paths.findings.exists():
            save_findings(findings, paths.findings)
        save_proposal(base, paths.base)


def _append(path: Path, content: bytes) -> None:
    """Writes lines at the end of a file, all or none, and waits until they are on the disk."""
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
            content = content if file.read(1) == b"\n" else b"\n" + content
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:  # the disk is full: half a line would stand in the way of the next
            with suppress(OSError):
                file.truncate(size)
            raise


class Looking:
    """The journal of somebody who only looks.

    Args:
        held: the log that is looked at.
    """

    def __init__(self, held: LogFile) -> None:
        self._held = held

    @property
    def log(self) -> Log:
        """What is in the log."""
        return self._held.log

    def append(self, decisions: Sequence[Decision]) -> None:
        """Refuses."""
        raise ReviewError("only looking, nothing is decided here; review without --look to decide")
