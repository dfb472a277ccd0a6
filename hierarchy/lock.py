"""One reviewer at a time: a lock beside the file, of which the kernel lets go when its holder dies."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from hierarchy.errors import OutputError, ReviewError, os_reason
from hierarchy.review.storage import Paths


class Lock:  # a context manager
    """Keeps a second person from reviewing a file meanwhile; the kernel lets go of it when its holder dies.

    Args:
        paths: where the files lie.
        who: who reviews.
        since: the time, for whom it keeps out.

    Raises:
        ReviewError: somebody else reviews; it is said who, where and since when.
    """

    def __init__(self, paths: Paths, who: str, since: str) -> None:
        self._paths = paths
        self._about = {"who": who, "host": socket.gethostname(), "pid": os.getpid(), "since": since}

    def __enter__(self) -> None:
        import fcntl

        path = self._paths.lock
        while True:
            try:
                self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                reason = os_reason(error)
                raise OutputError(f"cannot write {str(path)!r}: {reason}; name a file in a writable folder") from None
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(self._handle, 4096, 0)
                os.close(self._handle)
                raise ReviewError(_held(self._paths.result, holder)) from None
            with suppress(FileNotFoundError):  # the holder before may have removed the file we opened
                if os.fstat(self._handle).st_ino == path.stat().st_ino:
                    break
            os.close(self._handle)
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(self._about).encode(), 0)

    def __exit__(self, *error: object) -> None:
        self._paths.lock.unlink(missing_ok=True)
        os.close(self._handle)


def _held(result: Path, about: bytes) -> str:
    try:
        content = json.loads(about)
        holder = f"{content['who']} (process {content['pid']} on {content['host']}, since {content['since']})"
    except (ValueError, TypeError, KeyError):  # just between its being opened and written
        holder = "somebody"
    return f"{str(result)!r} is being reviewed by {holder}; wait, or look with --look"
