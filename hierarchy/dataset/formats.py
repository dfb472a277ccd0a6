"""Writes a dataset as an image folder, parquet files or WebDataset shards, with the bytes of images unchanged."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hierarchy.dataset.images import Unreadable, find_ending, find_image_column, image_bytes, run_jobs
from hierarchy.dataset.labels import Column, find_columns, read_numbers
from hierarchy.dataset.loading import HIERARCHY_FILE, new_folder
from hierarchy.dataset.rows import Bad, Data, Problems, is_streaming, iterate_tables, list_splits, read_features
from hierarchy.errors import DataError, nearest
from hierarchy.files import write_text
from hierarchy.names import join_path

ROWS = 4096  # of a shard; with ImageNet's images of 110 kB about 450 MB
BATCH = 128  # rows in memory at once


@dataclass(frozen=True)
class _Job:
    """Rows to write: a shard of a split, or a whole stream.

    Args:
        form, split, folder: the format, the name of the split ("" without splits), and the folder to write into.
        first, rows: the number of the first row, and the rows.
        label, image: the label column and the image column.
    """

    form: str
    split: str
    folder: Path
    first: int
    rows: Any
    label: Column
    image: str


def export(
    data: Data,
    out: str | os.PathLike[str],
    *,
    form: str,
    column: str | None = None,
    image: str | None = None,
    num_proc: int = 1,
    hierarchy: str | None = None,
) -> None:
    """Writes a dataset for other tools. The folder is written atomically. Accepts streams.

    Args:
        data: a dataset of images, as `label` or `subset` returns it.
        out: the folder to create; it must not exist.
        form: the format; a dataset without splits becomes the split `train`:
            - `image-folder`: `train/<class>/00000042.jpg`, with the name of the class and the number of the row; a "/"
              in the name is written `%2F`;
            - `parquet`: `train-00000.parquet` with all columns and their features;
            - `webdataset`: `train-000000.tar` with `00000042.jpg`, `.cls` (the label) and `.json` (the other columns,
              and the name of the class) for each row.
        column: the label column, as in `label`; for an image folder it may contain strings.
        image: the image column; None if there is only one.
        num_proc: number of threads that write shards; a stream is written by one.
        hierarchy: the text of a hierarchy file, to be saved with the rows as `hierarchy.json`.

    Raises:
        DataError: there is no such column, an image is unreadable, a label is bad, or the format cannot represent the
            data; with all bad rows.
        OutputError: the folder exists or cannot be written.
    """
    if form not in FORMS:
        raise DataError([f"unknown form {form!r}{nearest(form, FORMS)}; use one of {', '.join(FORMS)}"])
    problems = Problems()
    labels = find_columns(data, column, None, problems)
    images: dict[str, str] = {}
    for name, part in list_splits(data).items():
        try:
            images[name] = find_image_column(read_features(part), image)
        except DataError as error:
            problems.add(*error.problems)
    for name, part in list_splits(data).items():
        if name in labels and name in images:
            problems.add(*_find_misfits(form, labels[name], images[name], read_features(part)))
    if num_proc > 1 and is_streaming(data):
        problems.add("a stream is written by one thread; omit num_proc, or use a dataset that is not streamed")
    problems.raise_all()
    with new_folder(out) as folder:
        jobs = (
            job
            for name, part in list_splits(data).items()
            for job in _plan(form, name, part, folder, labels[name], images[name])
        )
        for split, bad in run_jobs(_write, jobs, num_proc):
            problems.add_rows(split, bad)
        problems.raise_all()
        if hierarchy is not None:
            write_text(folder / HIERARCHY_FILE, hierarchy)


def _find_misfits(form: str, label: Column, image: str, features: Mapping[str, Any]) -> Iterator[str]:
    """What a format cannot represent of the columns of a split."""
    from datasets import Image

    others = [name for name, feature in features.items() if isinstance(feature, Image) and name != image]
    if others and form != "image-folder":
        yield f"{form} holds one image per row; remove {', '.join(others)}"
    if form == "webdataset" and label.values is None:
        yield f"column {label.name!r} contains names, but .cls files contain numbers; use `label` first"
    if form == "image-folder":
        for value in label.values or ():
            if not _can_be_folder(value):
                yield f"class {value!r} cannot be the name of a folder; use parquet or webdataset"


def _can_be_folder(name: str) -> bool:
    """Whether readers of image folders find a class of this name, on any system; its "/" is written as in a path."""
    name = join_path(name)
    fits = name and len(name.encode(errors="replace")) < 250 and name == name.strip(" .") and name.isprintable()
    fits = fits and not name.startswith("__")  # the library ignores such folders
    return bool(fits) and not set(name) & set('/\\:*?"<>|')


def _plan(form: str, split: str, part: Any, folder: Path, label: Column, image: str) -> Iterator[_Job]:
    """The shards of a split; a stream is one job."""
    if is_streaming(part):
        yield _Job(form, split, folder, 0, part, label, image)
        return
    for first in range(0, max(len(part), 1), ROWS):
        rows = part.select(range(first, min(first + ROWS, len(part))))
        yield _Job(form, split, folder, first, rows, label, image)


def _write(job: _Job) -> tuple[str, Bad]:
    """Writes the rows of a job; returns the bad ones."""
    bad: dict[str, list[int]] = {}
    opened = _WRITERS[job.form]
    with ExitStack() as stack:
        row = job.first
        writer = stack.enter_context(opened(job, row // ROWS))
        for table in iterate_tables(job.rows, rows=BATCH):
            if row > job.first and row % ROWS == 0:  # the next shard of a stream
                stack.close()
                writer = stack.enter_context(opened(job, row // ROWS))
            batch, faults = _read(job, row, table)
            if not faults and not bad:  # after a bad row nothing is kept, so only more bad rows are collected
                faults = list(writer(batch))
            for fault, places in faults:
                bad.setdefault(fault, []).extend(row + place for place in places)
            row += table.num_rows
    return job.split, list(bad.items())


@dataclass(frozen=True)
class _Batch:
    """Some rows: the number of the first, the table, the images, and the labels as numbers and names."""

    first: int
    table: Any
    images: list[bytes]
    numbers: list[int]
    names: list[str]


def _read(job: _Job, row: int, table: Any) -> tuple[_Batch, list[tuple[str, Sequence[int]]]]:
    numbers, values, bad_labels = read_numbers(table.column(job.label.name), job.label)
    faults = list(bad_labels)
    images = []
    for place, stored in enumerate(table.column(job.image).to_pylist()):
        try:
            content = image_bytes(stored)
            if find_ending(content) == "avif" and job.form != "parquet":
                raise Unreadable(f"AVIF image, which readers of {job.form} files ignore; use parquet")
            images.append(content)
        except Unreadable as fault:
            faults.append((str(fault), [place]))
    bad = {place for _, places in faults for place in places}
    names = [] if bad else [values[number] for number in numbers]
    return _Batch(row, table, images, numbers.tolist(), names), faults


_Writer: TypeAlias = Callable[[_Batch], Bad]


@contextmanager
def _folders(job: _Job, number: int) -> Iterator[_Writer]:
    """One folder per class, one file per row."""
    at = job.folder / (job.split or "train")
    at.mkdir(exist_ok=True)

    def write(batch: _Batch) -> Bad:
        for place, (content, name) in enumerate(zip(batch.images, batch.names, strict=True)):
            if not _can_be_folder(name):
                yield f"class {name!r} cannot be the name of a folder", [place]
                continue
            inside = at / join_path(name)
            inside.mkdir(exist_ok=True)
            (inside / f"{batch.first + place:08}.{find_ending(content)}").write_bytes(content)

    yield write


@contextmanager
def _parquet(job: _Job, number: int) -> Iterator[_Writer]:
    """A parquet file with the features of the split."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    schema = Features(read_features(job.rows)).arrow_schema
    with pq.ParquetWriter(job.folder / f"{job.split or 'train'}-{number:05}.parquet", schema) as file:

        def write(batch: _Batch) -> Bad:
            paths = [(stored.get("path") or "") for stored in batch.table.column(job.image).to_pylist()]
            images = [
                {"bytes": content, "path": Path(path).name or None}
                for content, path in zip(batch.images, paths, strict=True)
            ]
            columns = [
                pa.array(images, type=schema.field(name).type) if name == job.image else batch.table.column(name)
                for name in schema.names
            ]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))
            return ()

        yield write


@contextmanager
def _tar(job: _Job, number: int) -> Iterator[_Writer]:
    """A tar file with the files of each row next to each other, as WebDataset requires."""
    with tarfile.open(job.folder / f"{job.split or 'train'}-{number:06}.tar", "w") as file:

        def add(name: str, content: bytes) -> None:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            file.addfile(about, io.BytesIO(content))

        def write(batch: _Batch) -> Bad:
            rows = batch.table.drop_columns([job.image]).to_pylist()
            for place, (content, row) in enumerate(zip(batch.images, rows, strict=True)):
                try:
                    about = json.dumps({**row, job.label.name: batch.names[place]}, ensure_ascii=False, allow_nan=False)
                except (TypeError, ValueError) as error:  # bytes and dates; NaN and infinity
                    what = "value" if isinstance(error, TypeError) else "number"
                    yield f"a {what} that JSON cannot represent; remove its column or use parquet", [place]
                    continue
                key = f"{batch.first + place:08}"
                add(f"{key}.{find_ending(content)}", content)
                add(f"{key}.cls", str(batch.numbers[place]).encode())
                add(f"{key}.json", about.encode())

        yield write


_WRITERS: dict[str, Callable[[_Job, int], AbstractContextManager[_Writer]]] = {
    "image-folder": _folders,
    "parquet": _parquet,
    "webdataset": _tar,
}
FORMS = tuple(_WRITERS)
