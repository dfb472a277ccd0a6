"""Files: text and JSON read with clear errors, atomic writes, and locks between processes."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, Locked, OutputError, os_reason

FORMULA = r"[=+\-@\t\r＝＋－＠]"  # how what a spreadsheet computes begins; some take the full-width forms, too


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file atomically: to a temporary file in the same folder, which is then renamed.

    Keeps the permissions of the old file and follows links.

    Raises:
        OutputError: the folder does not exist, is not writable, or the disk is full.
    """
    try:
        with replacing(path) as temporary:
            # Half a surrogate pair, as in a file name that is not UTF-8, is escaped as in JSON.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        reason = os_reason(error)
        raise OutputError(f"cannot write {str(path)!r}: {reason}; name a file in a writable folder") from None


def check_writable(path: Path) -> None:
    """Makes sure that a file can be written, before minutes of work and not after.

    Raises:
        OutputError: the path is a folder, or its folder is read-only or cannot be made.
    """
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {str(path)!r}: it is a folder; name a file")
        above = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {os_reason(error)}; choose another name") from None
    if not above.is_dir():
        raise OutputError(f"cannot write {str(path)!r}: {above.name!r} is a file, not a folder; choose another name")
    if not os.access(above, os.W_OK):
        raise OutputError(f"cannot write {str(path)!r}: {str(above)!r} is read-only; choose another folder")


def same_file(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two paths name the same place, after links are followed; the files need not exist.

    >>> same_file("data/../pets.csv", "./pets.csv"), same_file("pets.csv", "pets.json")
    (True, False)
    """
    try:
        return Path(one).samefile(other)
    except OSError:  # one of them does not exist or cannot be read
        return os.path.realpath(one) == os.path.realpath(other)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary file that replaces `path` if the block succeeds and is deleted if it fails.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(21, "it is a folder")
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        publish(temporary, target)
    except BaseException:
        temporary.unlink()
        raise


def publish(made: Path, target: Path) -> None:
    """Flushes a file to the disk and renames it to `target`, with the permissions of the file it replaces."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    made.chmod(target.stat().st_mode & 0o7777 if target.exists() else unmasked(0o666))
    made.replace(target)


def unmasked(mode: int) -> int:
    """The permissions a new file gets under this process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


def read_text(path: Path) -> str:
    """Reads a UTF-8 file, with or without a byte order mark.

    Raises:
        FormatError: the file does not exist, is not readable or is not UTF-8; the message names the line.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FormatError(f"no such file: {str(path)!r}; check the name and the folder") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise FormatError(
            f"{path}:{line}: not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8"
        ) from None
    except OSError as error:
        reason = os_reason(error)
        raise FormatError(f"cannot read {str(path)!r}: {reason}; give a readable file") from None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        FormatError: as in `read_text`, or the file is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except RecursionError:
        raise FormatError(f"{path} is nested too deeply; give a file written by `save`") from None
    except json.JSONDecodeError as error:
        raise FormatError(
            f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno}); is the file complete?"
        ) from None
    except ValueError:  # an integer of thousands of digits, which Python refuses to read
        raise FormatError(f"{path} contains a number with too many digits; give a file written by `save`") from None


def to_cell(text: str) -> str:
    """A text as a spreadsheet shall show it: with a quote before what the spreadsheet would compute.

    >>> to_cell("=1+1"), to_cell("tabby"), from_cell(to_cell("=1+1"))
    ("'=1+1", 'tabby', '=1+1')
    """
    return f"'{text}" if re.match(f"'*{FORMULA}", text) else text


def from_cell(cell: str) -> str:
    """The text that `to_cell` made a cell of."""
    return cell[1:] if re.match(f"'+{FORMULA}", cell) else cell


@contextmanager
def lock(
    path: str | os.PathLike[str],
    *,
    busy: str,
    fix: str = "wait until it has finished",
    holder: str = "another process",
) -> Iterator[None]:
    """Holds a lock file while the block runs; the system frees the lock if this process dies.

    Args:
        path: the lock file; it is removed afterwards.
        busy, fix: the message for a process that finds the file locked: "BUSY by HOLDER; FIX".
        holder: who holds the lock, for that message.

    Raises:
        Locked: another process holds the lock.
        OutputError: the lock file cannot be written.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    file = Path(path)
    held = FileLock(file)
    try:
        held.acquire(blocking=False)
    except Timeout:
        named = "another process" if isinstance(held, SoftFileLock) else _holder(file)
        raise Locked(f"{busy} by {named}; {fix}") from None
    except OSError as error:
        reason = os_reason(error)
        raise OutputError(f"cannot write {str(file)!r}: {reason}; name a file in a writable folder") from None
    try:
        # on a system without locks filelock keeps its own record in the file, by which it frees a dead process's lock
        if not isinstance(held, SoftFileLock):
            with suppress(OSError):  # only a message depends on it
                file.write_text(holder, encoding="utf-8")
        yield
    finally:
        with suppress(OSError):  # Windows does not remove an open file
            file.unlink()
        held.release()


def _holder(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):  # Windows does not read a locked file
        return "another process"
