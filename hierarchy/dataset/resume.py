"""A folder in the making that outlives a kill: the same work, begun again, goes on where it was stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hierarchy.dataset.loading import refuse_taken, reported
from hierarchy.errors import DataError, OutputError


@dataclass(frozen=True)
class Unfinished:
    """A hidden folder beside the one to be made: what is written so far, and which parts of it are finished."""

    place: Path

    @property
    def folder(self) -> Path:
        """Where parts are written; it becomes the folder to be made."""
        return self.place / "made"

    def mark(self, part: str) -> Path:
        """The file that is made when a part is finished, by whoever wrote it."""
        return self.place / "done" / part

    def begin(self, work: str) -> None:
        """Makes room for some work, or keeps what was done of it; what was done of other work is removed."""
        about = self.place / "work"
        if not about.is_file() or about.read_text(encoding="utf-8") != work:
            for child in self.place.iterdir():
                shutil.rmtree(child) if child.is_dir() else child.unlink()
            self.folder.mkdir()
            self.mark("").mkdir()
            about.write_text(work, encoding="utf-8")


@contextmanager
def resumed_folder(path: str | os.PathLike[str], work: str) -> Iterator[Unfinished]:
    """Gives a folder in the making, which gets its name when all is well.

    It stays, for the next try, where the process is killed, interrupted or out of room; it goes where the data are bad.

    Args:
        path: the folder to make.
        work: a digest of all that decides what is written; only equal work is taken up again.

    Raises:
        OutputError: there is such a file or folder already, none can be made, or another run is at it.
    """
    target = Path(path)
    made = Unfinished(target.parent / f".{target.name}.part")
    with reported(path, "; what is done is kept, and the same command goes on from there"):
        refuse_taken(target)
        with _alone(made.place, target):
            made.begin(work)
            try:
                yield made
            except DataError:
                shutil.rmtree(made.place)
                raise
            refuse_taken(target)  # made by another run, meanwhile
            made.folder.rename(target)
            shutil.rmtree(made.place)


@contextmanager
def _alone(place: Path, target: Path) -> Iterator[None]:
    """Keeps other runs away from a hidden folder; the kernel lets go of it when this process dies."""
    import fcntl

    place.mkdir(exist_ok=True)
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OutputError(f"cannot write {str(target)!r}: another run is writing it; wait for that one") from None
    finally:
        os.close(handle)
