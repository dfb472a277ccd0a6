"""Opens datasets (the Hub, saved folders, parquet, image folders) and saves them atomically."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hierarchy.dataset.images import find_missing_files
from hierarchy.dataset.rows import Data, Problems, list_splits
from hierarchy.errors import OutputError, SourceError, first_line, nearest
from hierarchy.files import unmasked
from hierarchy.sources import image_files, is_hub_name, is_saved, table_files

HIERARCHY_FILE = "hierarchy.json"  # in a saved folder: the hierarchy of its labels; dataset readers ignore it


def open_data(source: str, *, split: str | None = None, streaming: bool = False) -> Data:
    """Opens a dataset; images are neither moved nor decoded.

    Args:
        source: a folder written by `save_to_disk`, a .parquet file, a folder of .parquet files or of images, or the
            name of a Hugging Face dataset (`owner/name`, or `datasets:name`).
        split: opens only this split; `validation`, `val` and `valid` find each other, as do `train` and `training`.
        streaming: reads row by row, without a copy in the library's cache.

    Raises:
        SourceError: there is no such dataset or split.
    """
    data = _open(source, streaming)
    parts = list_splits(data)
    if split is None:
        return data
    alike = [name for name in parts if name == split] or [name for name in parts if _usual(name) == _usual(split)]
    if len(alike) != 1:
        known = ", ".join(name for name in parts if name) or "none"
        raise SourceError(f"{source} has no split {split!r}{nearest(split, parts)}; it has {known}")
    return parts[alike[0]]


def save_data(data: Data, folder: Path, *, num_proc: int = 1) -> None:
    """Writes a dataset into a folder for `open_data`; images in files are included.

    Raises:
        DataError: with all rows whose image files cannot be read.
    """
    problems = Problems()
    for name, part in list_splits(data).items():
        problems.add_rows(name, find_missing_files(part))
    problems.raise_all()
    rows = {name: len(part) for name, part in list_splits(data).items()}
    processes = min(num_proc, *rows.values(), num_proc)  # every process needs a row
    shards = {
        name: None if count else 1 for name, count in rows.items()
    }  # a split without shards could not be read again
    data.save_to_disk(
        str(folder),
        num_shards=shards if isinstance(data, Mapping) else shards[""],
        num_proc=processes if processes > 1 else None,
    )


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `path` if the block succeeds and removed if it fails.

    Raises:
        OutputError: the path exists, or the folder cannot be created.
    """
    target = Path(path)
    made: Path | None = None
    try:
        if target.is_symlink() or target.exists():
            raise OutputError(f"cannot write {str(target)!r}: it exists; remove it or choose another folder")
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
        made.chmod(unmasked(0o777))
        yield made
        made.rename(target)
        made = None
    except OSError as error:  # about a file elsewhere: of reading; any other: of writing
        reason = (os.strerror(error.errno) if error.errno else type(error).__name__).lower()
        where = Path(os.fsdecode(error.filename)).parts if isinstance(error.filename, str | bytes) else ()
        if where and not any(name.startswith(f".{target.name}.") for name in where):
            raise SourceError(f"cannot read {str(error.filename)!r}: {reason}; check the file") from None
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "free some disk space" if full else "choose a folder that can be created"
        raise OutputError(f"cannot write {str(path)!r}: {reason}; {fix}") from None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _usual(split: str) -> str:
    """The library's name of a split."""
    return {"training": "train", "val": "validation", "valid": "validation"}.get(split, split)


def _open(source: str, streaming: bool) -> Data:
    path = Path(source)
    if source.startswith("datasets:"):
        return _load(source.removeprefix("datasets:"), source, streaming)
    if path.is_dir():
        if is_saved(source):
            return _open_saved(path, streaming)
        tables = sorted(path.rglob("*.parquet"))
        if tables:
            return _load("parquet", source, streaming, data_files=table_files(tables, path))
        return _load("imagefolder", source, streaming, **image_files(path))
    if path.suffix == ".parquet" and path.is_file():
        return _load("parquet", source, streaming, data_files=table_files([path], path.parent))
    if is_hub_name(source) and path.suffix != ".parquet":
        return _load(source, source, streaming)
    raise SourceError(
        f"unknown dataset {source!r}; give a saved folder, a .parquet file, an image folder"
        " or a Hugging Face dataset (owner/name or datasets:name)"
    )


def _open_saved(path: Path, streaming: bool) -> Data:
    from datasets import DatasetDict, IterableDatasetDict, load_from_disk

    try:
        data = load_from_disk(str(path))
    except Exception as error:  # files that are missing or broken raise many kinds
        raise SourceError(f"cannot read the dataset in {str(path)!r}: {first_line(error)}; save it again") from error
    if not streaming:
        return data
    for name, part in list_splits(data).items():
        if not len(part):
            raise SourceError(f"{name or path} has no rows and cannot be streamed; omit --streaming")
    if isinstance(data, DatasetDict):
        return IterableDatasetDict({name: part.to_iterable_dataset() for name, part in data.items()})
    return data.to_iterable_dataset()


def _load(name: str, source: str, streaming: bool, **files: Any) -> Data:
    from datasets import load_dataset

    try:
        return load_dataset(name, streaming=streaming, **files)
    except Exception as error:  # the library raises many kinds: no network, no such dataset, broken files
        raise SourceError(f"cannot read the dataset {source!r}: {first_line(error)}; check the name") from error
