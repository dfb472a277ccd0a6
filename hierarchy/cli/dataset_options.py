"""Options that the commands `hierarchy dataset ...` share, and what they mean to the library."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hierarchy.errors import DataError

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A saved folder, .parquet, an image folder, or a Hub name (owner/name, datasets:name)."
    ),
]
Tree = Annotated[str, typer.Argument(metavar="HIERARCHY", help="A .json or .csv file, or the name of a shipped one.")]
Out = Annotated[Path, typer.Option(help="The folder to create.")]
ColumnName = Annotated[str | None, typer.Option(help="The label column; by default 'label' or the only one.")]
Names = Annotated[
    str | None, typer.Option(help="The class names of a column of numbers: a source of classes, as for generate.")
]
SplitName = Annotated[str | None, typer.Option("--split", help="Use only this split.")]
CheckImages = Annotated[bool, typer.Option("--check-images", help="Decode every image once to find bad ones.")]
ImageName = Annotated[str | None, typer.Option(help="The image column; by default the only one.")]
Workers = Annotated[int, typer.Option(help="Number of workers that decode and write.", min=1)]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read row by row, without a copy in a cache.")]
BadRows = Annotated[Path | None, typer.Option(help="A .csv file for all bad rows: split, row, fault.")]


def read_options(
    column: str | None, names: str | None, check_images: bool, image: str | None, num_proc: int
) -> Mapping[str, Any]:
    """The arguments column, names and check of `label`, `subset`, `stats` and `split`.

    Raises:
        DataError: an option has no effect without another.
    """
    from hierarchy import dataset
    from hierarchy.sources import read_classes

    if image is not None and not check_images:
        raise DataError(["--image has no effect without --check-images; give both or neither"])
    return {
        "column": column,
        "names": None if names is None else read_classes(names, fewest=1).ids,
        "check": dataset.check_images(image, num_proc=num_proc) if check_images else None,
    }


def open_quietly(source: str, split: str | None, streaming: bool = False) -> Any:
    """Opens a dataset without the library's progress bars and log messages."""
    from datasets import disable_progress_bars, logging

    from hierarchy.dataset import open_data

    disable_progress_bars()  # the commands show their own progress
    logging.set_verbosity(logging.CRITICAL)  # errors are raised as well
    return open_data(source, split=split, streaming=streaming)


@contextmanager
def list_bad_rows(path: Path | None) -> Iterator[None]:
    """Writes the bad rows that a command refuses to a file; the file has only a header if there are none.

    Raises:
        OutputError: the file cannot be written; this is known before the rows are read.
    """
    from hierarchy.files import write_text

    if path is None:
        yield
        return
    write_text(path, _table({}))
    try:
        yield
    except DataError as error:
        write_text(path, _table(error.bad))
        raise


def _table(bad: Mapping[tuple[str, str], tuple[int, ...]]) -> str:
    """All bad rows as CSV, split by split.

    >>> _table({("test", "no label"): (7,), ("train", "no label"): (8, 3), ("train", "no image"): (3,)}).splitlines()
    ['split,row,fault', 'test,7,no label', 'train,3,no image', 'train,3,no label', 'train,8,no label']
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("split", "row", "fault"))
    writer.writerows(sorted((split, row, fault) for (split, fault), rows in bad.items() for row in rows))
    return text.getvalue()
