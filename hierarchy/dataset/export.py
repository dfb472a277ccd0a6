"""Writes a data set as an image folder, parquet files or WebDataset shards, the bytes of images as they are."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from hierarchy.dataset.images import Unreadable, ending, image_bytes, image_column, in_processes
from hierarchy.dataset.labels import (
    Bad,
    Column,
    Data,
    Problems,
    features_of,
    find_columns,
    is_streaming,
    parts_of,
    read_numbers,
    tables_of,
)
from hierarchy.dataset.loading import BESIDE, new_folder
from hierarchy.dataset.resume import Unfinished, resumed_folder
from hierarchy.errors import DataError, nearest

ROWS = 4096  # of a shard: with ImageNet's images of 110 kB about 450 MB
BATCH = 128  # rows in memory at once


@dataclass(frozen=True)
class _Job:
    """A shard to be written: some rows of a split, the number of the first, the folder, what the columns are.

    Its mark is a file that says, once it is there, that the shard is written; a stream, which is one job, has none.
    """

    form: str
    split: str
    number: int
    rows: Any
    first: int
    folder: Path
    mark: Path | None
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
    beside: str | None = None,
) -> None:
    """Writes a data set for other tools. The folder appears whole or not at all; takes streams.

    Where it is stopped half-way, the same call goes on with the shards that are missing; of a stream it begins anew.

    Args:
        data: a data set of images, as `label` or `subset` gives it.
        out: the folder to make; it must not be there.
        form: what is written, the split being `train` where there is none:
            - `image-folder`: `train/<class>/00000042.jpg`, by name of the class and number of the row;
            - `parquet`: `train-00000.parquet` with all columns and what `datasets` knows of them;
            - `webdataset`: `train-000000.tar` with `00000042.jpg`, `.cls` (the label) and `.json` (the other columns,
              and the class by name) for each row.
        column: the label column, as in `label`; for an image folder a column of strings will do.
        image: the column of images; the only one by default.
        num_proc: processes that write shards; a stream is written by one.
        beside: the text of a file of the labels' hierarchy, to lie beside the rows as `hierarchy.json`.

    Raises:
        DataError: no such column, an unreadable image, a bad label, or what a form cannot hold; with all bad rows.
        OutputError: the folder is there already, or cannot be written.
    """
    if form not in FORMS:
        raise DataError([f"no form {form!r}{nearest(form, FORMS)}; there are {', '.join(FORMS)}"])
    problems = Problems()
    labels = find_columns(data, column, None, problems)
    images: dict[str, str] = {}
    for name, part in parts_of(data).items():
        try:
            images[name] = image_column(features_of(part), image)
        except DataError as error:
            problems.add(*error.problems)
    for name, part in parts_of(data).items():
        if name in labels and name in images:
            problems.add(*_form_faults(form, labels[name], images[name], features_of(part)))
    if num_proc > 1 and is_streaming(data):
        problems.add("a stream is written by one process; leave num_proc out, or take a data set that is at hand")
    problems.settle()
    with ExitStack() as stack:
        made: Unfinished | None = None
        if is_streaming(data):
            folder = stack.enter_context(new_folder(out))
        else:
            made = stack.enter_context(resumed_folder(out, _work(data, form, labels, images)))
            folder = made.folder
        jobs = (
            job
            for name, part in parts_of(data).items()
            for job in _jobs(form, name, part, folder, made, labels[name], images[name])
        )
        done: Iterable[tuple[str, Bad]] = map(_write, jobs) if num_proc == 1 else in_processes(_write, jobs, num_proc)
        for split, bad in done:
            problems.add_rows(split, bad)
        problems.settle()
        if beside is not None:
            (folder / BESIDE).write_text(beside, encoding="utf-8")


def _work(data: Data, form: str, labels: Mapping[str, Column], images: Mapping[str, str]) -> str:
    """A digest of all that decides what is written of a data set at hand."""
    splits = [
        (name, part._fingerprint, len(part), str(part.features), labels[name].name, labels[name].values, images[name])
        for name, part in parts_of(data).items()  # the library's digest of the rows has no public name
    ]
    return hashlib.sha256(json.dumps([version("timm-nhl"), form, ROWS, splits]).encode()).hexdigest()


def _form_faults(form: str, label: Column, image: str, features: Mapping[str, Any]) -> Iterator[str]:
    """What keeps the columns of a split from being written in a form."""
    from datasets import Image

    others = [name for name, feature in features.items() if isinstance(feature, Image) and name != image]
    if others and form != "image-folder":
        yield f"{form} is written with one image a row; remove {', '.join(others)}"
    if form == "webdataset" and label.values is None:
        yield f"column {label.name!r} holds names, and a .cls is a number; `label` gives numbers"
    if form == "image-folder":
        for value in label.values or ():
            if not _can_be_folder(value):
                yield f"class {value!r} cannot be the name of a folder; write parquet or webdataset"


def _can_be_folder(name: str) -> bool:
    """Whether readers of image folders find a class of this name, wherever the folder is taken."""
    fits = name and len(name.encode(errors="replace")) < 250 and name == name.strip(" .") and name.isprintable()
    fits = fits and not name.startswith("__")  # which the library passes over
    return bool(fits) and not set(name) & set('/\\:*?"<>|')


def _jobs(
    form: str, split: str, part: Any, folder: Path, made: Unfinished | None, label: Column, image: str
) -> Iterator[_Job]:
    """The shards of a split that are not written yet."""
    if made is None:
        yield _Job(form, split, 0, part, 0, folder, None, label, image)
        return
    for number, first in enumerate(range(0, max(len(part), 1), ROWS)):
        mark = made.mark(f"{split or 'train'}-{number:06}")
        if not mark.exists():
            rows = part.select(range(first, min(first + ROWS, len(part))))
            yield _Job(form, split, number, rows, first, folder, mark, label, image)


def _write(job: _Job) -> tuple[str, Bad]:
    """Writes the rows of a job; gives those that are bad."""
    bad: dict[str, list[int]] = {}
    opened = _WRITERS[job.form]
    with ExitStack() as stack:
        writer = stack.enter_context(opened(job, job.number))
        row = job.first
        for table in tables_of(job.rows, rows=BATCH):
            if row > job.first and (row - job.first) % ROWS == 0:  # of a stream; else a job is a shard
                stack.close()
                writer = stack.enter_context(opened(job, job.number + (row - job.first) // ROWS))
            batch, faults = _read(job, row, table)
            if not faults and not bad:  # else nothing will be kept, and only more bad rows are sought
                faults = list(writer(batch))
            for fault, places in faults:
                bad.setdefault(fault, []).extend(row + place for place in places)
            row += table.num_rows
    if job.mark is not None and not bad:
        job.mark.touch()
    return job.split, list(bad.items())


@dataclass(frozen=True)
class _Batch:
    """Some rows, the first of which has a number, their images and classes."""

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
            if ending(content) == "avif" and job.form != "parquet":
                raise Unreadable(f"an AVIF image, which readers of {job.form} files pass over; write parquet")
            images.append(content)
        except Unreadable as fault:
            faults.append((str(fault), [place]))
    bad = {place for _, places in faults for place in places}
    names = [] if bad else [values[number] for number in numbers]
    return _Batch(row, table, images, numbers.tolist(), names), faults


_Writer: TypeAlias = Callable[[_Batch], Bad]


@contextmanager
def _folders(job: _Job, number: int) -> Iterator[_Writer]:
    """A folder a class, a file a row."""
    at = job.folder / (job.split or "train")
    at.mkdir(exist_ok=True)

    def write(batch: _Batch) -> Bad:
        for place, (content, name) in enumerate(zip(batch.images, batch.names, strict=True)):
            if not _can_be_folder(name):
                yield f"class {name!r}, which cannot be the name of a folder", [place]
                continue
            (at / name).mkdir(exist_ok=True)
            (at / name / f"{batch.first + place:08}.{ending(content)}").write_bytes(content)

    yield write


@contextmanager
def _parquet(job: _Job, number: int) -> Iterator[_Writer]:
    """A parquet file with the features of the split."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    schema = Features(features_of(job.rows)).arrow_schema
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
    """A tar file with the files of a row side by side, as WebDataset wants them."""
    with tarfile.open(job.folder / f"{job.split or 'train'}-{number:06}.tar", "w") as file:

        def add(name: str, content: bytes) -> None:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            file.addfile(about, io.BytesIO(content))

        def write(batch: _Batch) -> Bad:
            rows = batch.table.drop_columns([job.image]).to_pylist()
            for place, (content, row) in enumerate(zip(batch.images, rows, strict=True)):
                try:
                    told = json.dumps({**row, job.label.name: batch.names[place]}, ensure_ascii=False, allow_nan=False)
                except (TypeError, ValueError) as error:  # bytes and dates; NaN and infinity
                    what = "value" if isinstance(error, TypeError) else "number"
                    yield f"a {what} that JSON cannot hold; remove its column or write parquet", [place]
                    continue
                key = f"{batch.first + place:08}"
                add(f"{key}.{ending(content)}", content)
                add(f"{key}.cls", str(batch.numbers[place]).encode())
                add(f"{key}.json", told.encode())

        yield write


_WRITERS: dict[str, Callable[[_Job, int], AbstractContextManager[_Writer]]] = {
    "image-folder": _folders,
    "parquet": _parquet,
    "webdataset": _tar,
}
FORMS = tuple(_WRITERS)
