"""Where data sets come from and go to: the Hub, saved folders, parquet, image folders; folders that appear whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hierarchy.dataset.images import missing_files
from hierarchy.dataset.labels import Data, Problems, parts_of
from hierarchy.errors import OutputError, SourceError, nearest
from hierarchy.files import unmasked
from hierarchy.sources import image_files, table_files

BESIDE = "hierarchy.json"  # the hierarchy of a folder's labels; readers of data sets pass over it


def open_data(source: str, *, split: str | None = None, streaming: bool = False) -> Data:
    """Opens a data set; images stay where they are and as they are.

    Args:
        source: a folder written by `save_to_disk`, a .parquet file, a folder of them or of images, or the name of a
            Hugging Face data set (`owner/name`, or `datasets:name`).
        split: the only one to open; its data set is given alone. `validation` is also found as `val` or `valid`, and
            `train` as `training`, and the other way round.
        streaming: row by row, without a copy in the library's cache.

    Raises:
        SourceError: there is no such data set, or no such split of it.
    """
    data = _opened(source, streaming)
    parts = parts_of(data)
    if split is None:
        return data
    alike = [name for name in parts if name == split] or [name for name in parts if _usual(name) == _usual(split)]
    if len(alike) != 1:
        known = ", ".join(name for name in parts if name) or "none"
        raise SourceError(f"{source} has no split {split!r}{nearest(split, parts)}; it has {known}")
    return parts[alike[0]]


def save_data(data: Data, folder: Path, *, num_proc: int = 1) -> None:
    """Writes a data set into a folder, as `open_data` opens it; images that lie in files are taken in.

    Raises:
        DataError: with all rows whose files are gone.
    """
    problems = Problems()
    for name, part in parts_of(data).items():
        problems.add_rows(name, missing_files(part))
    problems.settle()
    rows = {name: len(part) for name, part in parts_of(data).items()}
    processes = min(num_proc, *rows.values(), num_proc)  # no process without rows
    shards = {name: None if count else 1 for name, count in rows.items()}  # without one, it could not be read again
    data.save_to_disk(
        str(folder / "data"),
        num_shards=shards if isinstance(data, Mapping) else shards[""],
        num_proc=processes if processes > 1 else None,
    )
    for path in (folder / "data").iterdir():
        path.rename(folder / path.name)
    (folder / "data").rmdir()


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary folder that gets its name when all is well, and else is gone.

    Raises:
        OutputError: there is such a file or folder already, or none can be made.
    """
    target = Path(path)
    made: Path | None = None
    try:
        with reported(path):
            refuse_taken(target)
            made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
            made.chmod(unmasked(0o777))
            yield made
            made.rename(target)
            made = None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def refuse_taken(target: Path) -> None:
    """Raises OutputError where there is such a file or folder already."""
    if target.is_symlink() or target.exists():
        raise OutputError(f"cannot write {str(target)!r}: it is there already; remove it, or name another folder")


@contextmanager
def reported(path: str | os.PathLike[str], kept: str = "") -> Iterator[None]:
    """Makes errors of the system ours.

    Args:
        path: what is being written; an error about a file that lies elsewhere is one of reading.
        kept: what to add where only room is missing.
    """
    try:
        yield
    except OSError as error:
        reason = (os.strerror(error.errno) if error.errno else type(error).__name__).lower()
        where = Path(os.fsdecode(error.filename)).parts if isinstance(error.filename, str | bytes) else ()
        if where and not any(name.startswith(f".{Path(path).name}.") for name in where):
            raise SourceError(f"cannot read {str(error.filename)!r}: {reason}; see to the file") from None
        fix = f"make room{kept}" if error.errno in _NO_ROOM else "name a folder that can be made"
        raise OutputError(f"cannot write {str(path)!r}: {reason}; {fix}") from None


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _usual(split: str) -> str:
    """What the library calls a split, whose folder is often called otherwise."""
    return {"training": "train", "val": "validation", "valid": "validation"}.get(split, split)


def _opened(source: str, streaming: bool) -> Data:
    path = Path(source)
    if source.startswith("datasets:"):
        return _load(source.removeprefix("datasets:"), source, streaming)
    if path.is_dir():
        if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            return _saved(path, streaming)
        tables = sorted(path.rglob("*.parquet"))
        if tables:
            return _load("parquet", source, streaming, data_files=table_files(tables, path))
        return _load("imagefolder", source, streaming, **image_files(path))
    if path.suffix == ".parquet" and path.is_file():
        return _load("parquet", source, streaming, data_files=table_files([path], path.parent))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not source.startswith(".") and path.suffix != ".parquet":
        return _load(source, source, streaming)
    raise SourceError(
        f"no data set {source!r}; give a saved folder, .parquet, a folder of images,"
        " or a Hugging Face data set (owner/name or datasets:name)"
    )


def _saved(path: Path, streaming: bool) -> Data:
    from datasets import DatasetDict, IterableDatasetDict, load_from_disk

    try:
        data = load_from_disk(str(path))
    except Exception as error:  # files that are missing or broken raise many kinds
        raise SourceError(f"cannot read the data set in {str(path)!r}: {_first_line(error)}; save it again") from error
    if not streaming:
        return data
    for name, part in parts_of(data).items():
        if not len(part):
            raise SourceError(f"{name or path} holds no rows, and cannot be streamed; leave --streaming out")
    if isinstance(data, DatasetDict):
        return IterableDatasetDict({name: part.to_iterable_dataset() for name, part in data.items()})
    return data.to_iterable_dataset()


def _load(name: str, source: str, streaming: bool, **files: Any) -> Data:
    from datasets import load_dataset

    try:
        return load_dataset(name, streaming=streaming, **files)
    except Exception as error:  # the library raises many kinds: no network, no such data set, broken files
        raise SourceError(f"cannot read the data set {source!r}: {_first_line(error)}; check the name") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
