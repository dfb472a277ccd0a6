"""Options that the commands `hierarchy dataset ...` share: what is read, how it is checked, where faults are listed."""

from __future__ import annotations

import csv
import inspect
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from hierarchy.errors import DataError

if TYPE_CHECKING:
    from hierarchy.dataset.labels import Data

Source = Annotated[
    str, typer.Argument(help="A saved folder, .parquet, an image folder, or a Hub name (owner/name, datasets:name).")
]
Tree = Annotated[str, typer.Argument(metavar="HIERARCHY", help="A .json or .csv file, or a shipped one's name.")]
Out = Annotated[Path, typer.Option(help="The folder to make.")]
ColumnName = Annotated[str | None, typer.Option(help="The label column; 'label', or the only one, by default.")]
Names = Annotated[
    str | None, typer.Option(help="What the column's numbers mean: a source of classes, as for generate.")
]
SplitName = Annotated[str | None, typer.Option("--split", help="Take this split only.")]
CheckImages = Annotated[bool, typer.Option("--check-images", help="Decode every image once, to find bad ones.")]
ImageName = Annotated[str | None, typer.Option(help="The column of images; the only one by default.")]
Processes = Annotated[int, typer.Option(help="Processes that decode and write.", min=1)]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read row by row, without a copy in a cache.")]
BadRows = Annotated[Path | None, typer.Option(help="A .csv to list all bad rows in: split, row, fault.")]


@dataclass(frozen=True)
class Rows:
    """Options of the commands that read labels; `with_options` gives each command all of them.

    Raises:
        DataError: one is of no use without another.
    """

    column: ColumnName = None
    names: Names = None
    split: SplitName = None
    check_images: CheckImages = False
    image: ImageName = None
    num_proc: Processes = 1
    bad_rows: BadRows = None

    def __post_init__(self) -> None:
        if self.image is not None and not self.check_images:
            raise DataError(["--image names what --check-images looks at; give both or none"])

    def open(self, source: str, *, streaming: bool = False) -> Data:
        """Opens a data set."""
        return open_quietly(source, self.split, streaming)

    @cached_property
    def reading(self) -> Mapping[str, Any]:
        """What `label`, `subset`, `stats` and `split` of the library are given: column, names and check."""
        from hierarchy.dataset.operations import readable
        from hierarchy.sources import read_classes

        names = None if self.names is None else read_classes(self.names, fewest=1).ids
        check = readable(self.image, num_proc=self.num_proc) if self.check_images else None
        return {"column": self.column, "names": names, "check": check}


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the fields of `Rows` as options, in place of its parameter `rows`."""
    hints = get_type_hints(Rows, include_extras=True)
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in fields(Rows)
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "rows"
    ]

    @wraps(command)
    def call(**given: Any) -> None:
        rows = Rows(**{option.name: given.pop(option.name) for option in options})
        command(rows=rows, **given)

    call.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *options)}
    return call


def open_quietly(source: str, split: str | None, streaming: bool) -> Data:
    """Opens a data set; the library neither shows progress nor logs."""
    from datasets import disable_progress_bars, logging

    from hierarchy.dataset.loading import open_data

    disable_progress_bars()  # `progress` tells how far things are
    logging.set_verbosity(logging.CRITICAL)  # what goes wrong is raised, too
    return open_data(source, split=split, streaming=streaming)


@contextmanager
def bad_rows_in(path: Path | None) -> Iterator[None]:
    """Lists in a file the bad rows that a command refuses; there are none in it when all is well.

    Raises:
        OutputError: it cannot be written; that is known before the rows are read.
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
