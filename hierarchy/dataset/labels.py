"""What a label column says: the class of a hierarchy that each row of a data set belongs to, and which rows are bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from hierarchy.errors import DataError, nearest
from hierarchy.tree import Hierarchy, Level

if TYPE_CHECKING:
    import numpy as np

    Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]

LEVELS: Mapping[str, Level] = {"superclass": 1, "group": 2}  # the columns of levels above the classes
MOST = 100  # row numbers in a message; an error's `bad` holds all

Data: TypeAlias = Any  # Dataset, DatasetDict, IterableDataset or IterableDatasetDict, of a library without types
Bad: TypeAlias = Iterable[tuple[str, Sequence[int]]]  # what is wrong, as the end of a sentence, and the rows
Check: TypeAlias = Callable[[Any], Bad]  # looks at one split


@dataclass(frozen=True)
class Column:
    """A label column: its name, and what its numbers mean; None where it holds the names of classes themselves."""

    name: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Part:
    """A split of a data set ("" where it has none), the classes its label column speaks of, and a number for each row.

    The number is a place among `values`, or the label in a hierarchy, as the function that gives the part says.
    """

    name: str
    data: Any
    column: Column
    values: tuple[str, ...]
    numbers: Numbers


class Problems:
    """Collects all that is wrong with a data set, to raise it once."""

    def __init__(self) -> None:
        self._whole: dict[str, None] = {}
        self._rows: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def add(self, *problems: str) -> None:
        """Takes problems of the whole; one that is known already counts once."""
        self._whole |= dict.fromkeys(problems)

    def add_rows(self, split: str, bad: Bad) -> None:
        """Takes problems of rows."""
        for fault, rows in bad:
            self._rows[split, fault].extend(map(int, rows))

    def settle(self) -> None:
        """Raises everything, if there is anything.

        Raises:
            DataError: with all problems, and all bad rows.
        """
        lines = (_of_rows(split, fault, rows) for (split, fault), rows in self._rows.items())
        problems = [*self._whole, *lines]
        if problems:
            raise DataError(problems, {fault: tuple(sorted(set(rows))) for fault, rows in self._rows.items()})


def parts_of(data: Data) -> dict[str, Any]:
    """The splits of a data set by name; one without splits is called ""."""
    return dict(data) if isinstance(data, Mapping) else {"": data}


def like(data: Data, parts: Mapping[str, Any]) -> Data:
    """Parts put together as the data set was: a dictionary of splits, or the one part."""
    kind: Any = type(data)
    return kind(parts) if isinstance(data, Mapping) else parts[""]


def is_streaming(data: Data) -> bool:
    """Whether rows come one after the other and their number is unknown."""
    from datasets import IterableDataset

    return any(isinstance(part, IterableDataset) for part in parts_of(data).values())


def features_of(part: Any) -> dict[str, Any]:
    """The columns of a split and their kinds; of a stream that does not say, from its first rows."""
    if part.features is None:
        part = part._resolve_features()  # no public name; looks at the first rows
    return dict(part.features or {})


def find_column(features: Mapping[str, Any], column: str | None, names: Sequence[str] | None = None) -> Column:
    """Finds the label column and what its numbers mean.

    Args:
        features: the columns of the data set.
        column: its name; None is `label`, else the only ClassLabel beside `superclass` and `group`.
        names: class names by number, for a column of numbers; those of a ClassLabel are replaced.

    Raises:
        DataError: there is no such column, or it is none of labels.
    """
    from datasets import ClassLabel, Value

    labels = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if column is None:
        labels = [name for name in labels if name not in LEVELS]
        if "label" not in features and len(labels) != 1:
            found = f"several label columns ({', '.join(labels)})" if labels else "no label column"
            raise DataError([f"the data set has {found} among {', '.join(features) or 'none'}; name one with column"])
        column = "label" if "label" in features else labels[0]
    if column not in features:
        known = ", ".join(features) or "none"
        raise DataError([f"no column {column!r}{nearest(column, features)}; there are {known}"])
    feature = features[column]
    if isinstance(feature, ClassLabel):
        if names is not None and len(names) != feature.num_classes:
            raise DataError([f"{len(names)} names for the {feature.num_classes} classes of {column!r}; give as many"])
        return Column(column, tuple(feature.names if names is None else names))
    kind = feature.dtype if isinstance(feature, Value) else type(feature).__name__
    if kind in ("string", "large_string"):
        if names is not None:
            raise DataError([f"column {column!r} holds names itself; give names for a column of numbers only"])
        return Column(column, None)
    if kind not in {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}:
        raise DataError([f"column {column!r} holds {kind}, no labels; name one of numbers, of strings or a ClassLabel"])
    if names is None:
        raise DataError(
            [
                f"column {column!r} holds numbers and does not say what they mean; give names"
                " (`hierarchy dataset label --names` writes data that have them), or cast it to a ClassLabel"
            ]
        )
    return Column(column, tuple(names))


def match(names: Iterable[str], hierarchy: Hierarchy) -> dict[str, int]:
    """The label in a hierarchy of each class name of a data set: by id first, then by name.

    Raises:
        DataError: with all strangers, all names of two classes, and all classes with two names.

    >>> tree = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> match(["carp", "n1"], tree)
    {'carp': 1, 'n1': 0}
    """
    found: dict[str, int] = {}
    users: defaultdict[int, list[str]] = defaultdict(list)
    problems, strangers = [], []
    for name in dict.fromkeys(names):
        meant = hierarchy.index.candidates(name)
        if not meant:
            strangers.append(name)
        elif len(meant) > 1:
            ids = " and ".join(repr(hierarchy.classes[label]) for label in meant)
            problems.append(f"{name!r} is the name of {ids}; give ids")
        else:
            found[name] = meant[0]
            users[meant[0]].append(name)
    for label, called in users.items():
        if len(called) > 1:
            problems.append(f"{' and '.join(map(repr, called))} are one class, {hierarchy.classes[label]!r}; give one")
    if strangers:
        near = nearest(strangers[0], [*hierarchy.classes, *hierarchy.names]) if len(strangers) == 1 else ""
        problems.append(
            f"no class of the hierarchy has the id or name {', '.join(map(repr, strangers))}{near};"
            " rename them, or add them to the hierarchy"
        )
    if problems:
        raise DataError(problems)
    return found


def find_columns(data: Data, column: str | None, names: Sequence[str] | None, problems: Problems) -> dict[str, Column]:
    """Finds the label column of each split; where there is none, the problems get to know."""
    found: dict[str, Column] = {}
    for name, part in parts_of(data).items():
        try:
            found[name] = find_column(features_of(part), column, names)
        except DataError as error:
            problems.add(*(f"{name}: {problem}" if name else problem for problem in error.problems))
    if len(set(found.values())) > 1:
        problems.add("the splits number their classes differently; take them one by one")
    return found


def read_parts(
    data: Data, column: str | None, names: Sequence[str] | None, check: Check | None, problems: Problems
) -> list[Part]:
    """Reads the label column of each split, as places among its values; what is wrong goes to the problems."""
    parts: list[Part] = []
    columns = find_columns(data, column, names, problems)
    for name, part in parts_of(data).items():
        if name in columns:
            numbers, values, bad = read_numbers(_only(part, columns[name].name), columns[name])
            problems.add_rows(name, bad)
            parts.append(Part(name, part, columns[name], values, numbers))
        if check is not None:
            try:
                problems.add_rows(name, check(part))
            except DataError as error:
                problems.add(*error.problems)
    return parts


def read_labels(
    data: Data,
    hierarchy: Hierarchy,
    column: str | None,
    names: Sequence[str] | None,
    check: Check | None = None,
    problems: Problems | None = None,
) -> tuple[list[Part], dict[str, int]]:
    """Reads the label column of each split as labels of a hierarchy; gives the label of each value, too.

    Raises:
        DataError: with all classes that do not match and all bad rows of all splits, and the problems found before.
    """
    import numpy as np

    problems = problems or Problems()
    parts = read_parts(data, column, names, check, problems)
    known: dict[str, int] = {}
    try:
        known = match([value for part in parts for value in part.values], hierarchy)
    except DataError as error:
        problems.add(*error.problems)
    problems.settle()
    tables = [np.array([known[value] for value in part.values] or [0], dtype=np.int64) for part in parts]
    return [replace(part, numbers=table[part.numbers]) for part, table in zip(parts, tables, strict=True)], known


def read_numbers(array: Any, column: Column) -> tuple[Numbers, tuple[str, ...], Bad]:
    """Reads an arrow array of labels: each row's place among the values (0 where the row is bad), values, bad rows.

    The values of a column of strings are those that occur.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    null = np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False))
    if column.values is None:
        coded = pc.dictionary_encode(array)
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        values, array = tuple(coded.dictionary.to_pylist()), coded.indices
    else:
        values = column.values
    numbers = np.asarray(pc.fill_null(array, 0)).astype(np.int64)
    bad: list[tuple[str, Sequence[int]]] = [("no label", null.tolist())] if len(null) else []
    outside = np.flatnonzero((numbers < 0) | (numbers >= len(values)))
    outside = np.setdiff1d(outside, null)
    for number in np.unique(numbers[outside]).tolist():
        fault = f"label {number}, which is not within 0 to {len(values) - 1}"
        bad.append((fault, outside[numbers[outside] == number].tolist()))
    return np.where((numbers < 0) | (numbers >= len(values)), 0, numbers), values, bad


def tables_of(part: Any, columns: Sequence[str] | None = None, rows: int = 1000) -> Iterator[Any]:
    """A split as arrow tables of some rows each: images stay as they are stored, columns not asked for unread."""
    chosen = part if columns is None else part.select_columns(list(columns))
    yield from chosen.with_format("arrow").iter(batch_size=rows)


def _only(part: Any, column: str) -> Any:
    """One column of a split as an arrow array."""
    import pyarrow as pa
    from datasets import Dataset

    if isinstance(part, Dataset):
        return part.select_columns([column]).with_format("arrow")[:].column(column)
    chunks = [table.column(column) for table in tables_of(part, [column], 100_000)]
    chunked = [chunk for column_ in chunks for chunk in column_.chunks]
    return pa.chunked_array(chunked) if chunked else pa.array([], type=features_of(part)[column]())


def _of_rows(split: str, fault: str, rows: Iterable[int]) -> str:
    """One sentence about bad rows.

    >>> _of_rows("train", "no label", [7, 3, 8, 9])
    'train rows 3, 7-9: no label'
    """
    numbers = sorted(set(rows))
    runs = []
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        runs.append(str(members[0]) if len(members) == 1 else f"{members[0]}-{members[-1]}")
    shown = ", ".join(runs[:MOST]) + (f" and {len(runs) - MOST:,} more" if len(runs) > MOST else "")
    return f"{split + ' ' if split else ''}row{'s' * (len(numbers) > 1)} {shown}: {fault}"
