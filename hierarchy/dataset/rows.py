"""What all functions on datasets share: splits, streams, rows as arrow tables, and the problems found on the way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from hierarchy.errors import DataError

MOST = 100  # ranges of rows in a message; an error's `bad` has all rows

Data: TypeAlias = Any  # Dataset, DatasetDict, IterableDataset or IterableDatasetDict, from a library without types
Bad: TypeAlias = Iterable[tuple[str, Sequence[int]]]  # a fault, as the end of a sentence, and the rows that have it
Check: TypeAlias = Callable[[Any], Bad]  # looks at one split


class Problems:
    """Collects everything that is wrong with a dataset, to raise it once."""

    def __init__(self) -> None:
        self._whole: dict[str, None] = {}
        self._rows: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def add(self, *problems: str) -> None:
        """Adds problems of the whole dataset; duplicates count once."""
        self._whole |= dict.fromkeys(problems)

    def add_rows(self, split: str, bad: Bad) -> None:
        """Adds problems of rows."""
        for fault, rows in bad:
            self._rows[split, fault].extend(map(int, rows))

    def raise_all(self) -> None:
        """Raises all problems, if there are any.

        Raises:
            DataError: with all problems and all bad rows.
        """
        lines = (_describe(split, fault, rows) for (split, fault), rows in self._rows.items())
        problems = [*self._whole, *lines]
        if problems:
            raise DataError(problems, {fault: tuple(sorted(set(rows))) for fault, rows in self._rows.items()})


def list_splits(data: Data) -> dict[str, Any]:
    """The splits of a dataset by name; a dataset without splits is called ""."""
    return dict(data) if isinstance(data, Mapping) else {"": data}


def join_splits(data: Data, splits: Mapping[str, Any]) -> Data:
    """Splits in the form of the dataset they came from: a dictionary, or the only split."""
    kind: Any = type(data)
    return kind(splits) if isinstance(data, Mapping) else splits[""]


def is_streaming(data: Data) -> bool:
    """Whether a dataset gives its rows one by one, without a known end."""
    from datasets import IterableDataset

    return any(isinstance(split, IterableDataset) for split in list_splits(data).values())


def read_features(split: Any) -> dict[str, Any]:
    """The columns of a split and their types; the first rows of a stream are read if it does not declare them."""
    if split.features is None:
        split = split._resolve_features()  # the library has no public name for it
    return dict(split.features or {})


def find_places(data: Any) -> Any:
    """The place of each row of a `Dataset` in the table that it is a selection of."""
    import numpy as np

    indices = data._indices  # the library has no public name for it
    return np.arange(len(data)) if indices is None else indices.column(0).to_numpy()


def iterate_tables(split: Any, columns: Sequence[str] | None = None, rows: int = 1000) -> Iterator[Any]:
    """A split as arrow tables of some rows each; images are not decoded and other columns are not read."""
    chosen = split if columns is None else split.select_columns(list(columns))
    yield from chosen.with_format("arrow").iter(batch_size=rows)


def _describe(split: str, fault: str, rows: Iterable[int]) -> str:
    """One sentence about bad rows.

    >>> _describe("train", "no label", [7, 3, 8, 9])
    'train rows 3, 7-9: no label'
    """
    numbers = sorted(set(rows))
    runs = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        runs.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    shown = ", ".join(runs[:MOST]) + (f" and {len(runs) - MOST:,} more" if len(runs) > MOST else "")
    return f"{split + ' ' if split else ''}row{'s' * (len(numbers) > 1)} {shown}: {fault}"
