"""Label columns: the class of a hierarchy that each row of a dataset belongs to, and the rows without a valid one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from hierarchy.dataset.rows import Bad, Check, Data, Problems, iterate_tables, list_splits, read_features
from hierarchy.english import count
from hierarchy.errors import MOST_PROBLEMS as MOST_NAMES
from hierarchy.errors import DataError, nearest
from hierarchy.tree import Hierarchy, Level

if TYPE_CHECKING:
    import numpy as np

Numbers: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
LEVELS: Mapping[str, Level] = {"superclass": 1, "group": 2}  # the columns of levels above the classes


@dataclass(frozen=True)
class Column:
    """A label column: its name, and what its numbers mean; None if it contains class names."""

    name: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Part:
    """A split ("" for a dataset without splits), the values of its label column, and a number for each row.

    The number is an index into `values` or a label of a hierarchy, depending on the function that returns the part.
    """

    name: str
    data: Any
    column: Column
    values: tuple[str, ...]
    numbers: Numbers


def find_column(features: Mapping[str, Any], column: str | None, names: Sequence[str] | None = None) -> Column:
    """Finds the label column and what its numbers mean.

    Args:
        features: the columns of the dataset.
        column: its name; None for `label`, else the only ClassLabel other than `superclass` and `group`.
        names: class names by number, for a column of numbers; they replace the names of a ClassLabel.

    Raises:
        DataError: there is no such column, or it is not a label column.
    """
    from datasets import ClassLabel, Value

    labels = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if column is None:
        labels = [name for name in labels if name not in LEVELS]
        if "label" not in features and len(labels) != 1:
            found = f"several label columns ({', '.join(labels)})" if labels else "no label column"
            raise DataError([f"the dataset has {found} among {', '.join(features) or 'none'}; choose one with column"])
        column = "label" if "label" in features else labels[0]
    if column not in features:
        known = ", ".join(features) or "none"
        raise DataError([f"no column {column!r}{nearest(column, features)}; the columns are {known}"])
    feature = features[column]
    if isinstance(feature, ClassLabel):
        if names is not None and len(names) != feature.num_classes:
            raise DataError([f"expected {count(feature.num_classes, 'name')} for column {column!r}, got {len(names)}"])
        return Column(column, tuple(feature.names if names is None else names))
    kind = feature.dtype if isinstance(feature, Value) else type(feature).__name__
    if kind in ("string", "large_string"):
        if names is not None:
            raise DataError([f"column {column!r} contains class names; give names only for a column of numbers"])
        return Column(column, None)
    if kind not in {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}:
        raise DataError([f"column {column!r} contains {kind}, not labels; choose a column of integers or strings"])
    if names is None:
        raise DataError(
            [
                f"column {column!r} contains numbers without class names; give names"
                " (`hierarchy dataset label --names` saves them with the data), or cast it to a ClassLabel"
            ]
        )
    return Column(column, tuple(names))


def match(names: Iterable[str], hierarchy: Hierarchy) -> dict[str, int]:
    """The label in a hierarchy of each class name of a dataset: by id first, then by name.

    Raises:
        DataError: with all unknown names, all names of two classes, and all classes with two names.

    >>> tree = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> match(["carp", "n1"], tree)
    {'carp': 1, 'n1': 0}
    """
    found: dict[str, int] = {}
    users: defaultdict[int, list[str]] = defaultdict(list)
    problems, unknown = [], []
    for name in dict.fromkeys(names):
        labels = hierarchy.index.candidates(name)
        if not labels:
            unknown.append(name)
        elif len(labels) > 1:
            ids = " and ".join(repr(hierarchy.classes[label]) for label in labels)
            problems.append(f"{name!r} is the name of {ids}; use ids")
        else:
            found[name] = labels[0]
            users[labels[0]].append(name)
    for label, called in users.items():
        if len(called) > 1:
            both = " and ".join(map(repr, called))
            problems.append(f"{both} are the same class, {hierarchy.classes[label]!r}; use one of them")
    if unknown:
        near = nearest(unknown[0], [*hierarchy.classes, *hierarchy.names]) if len(unknown) == 1 else ""
        more = f" and {len(unknown) - MOST_NAMES} more" if len(unknown) > MOST_NAMES else ""
        problems.append(
            f"no class of the hierarchy has the id or name {', '.join(map(repr, unknown[:MOST_NAMES]))}{more}{near};"
            " rename them, or add them to the hierarchy"
        )
    if problems:
        raise DataError(problems)
    return found


def find_columns(data: Data, column: str | None, names: Sequence[str] | None, problems: Problems) -> dict[str, Column]:
    """Finds the label column of each split; missing ones are added to the problems."""
    found: dict[str, Column] = {}
    for name, part in list_splits(data).items():
        try:
            found[name] = find_column(read_features(part), column, names)
        except DataError as error:
            problems.add(*(f"{name}: {problem}" if name else problem for problem in error.problems))
    if len(set(found.values())) > 1:
        problems.add("the splits number their classes differently; process them one by one")
    return found


def read_parts(
    data: Data, column: str | None, names: Sequence[str] | None, check: Check | None, problems: Problems
) -> list[Part]:
    """Reads the label column of each split as indices into its values; faults are added to the problems."""
    parts: list[Part] = []
    columns = find_columns(data, column, names, problems)
    for name, part in list_splits(data).items():
        if name in columns:
            numbers, values, bad = read_numbers(_read_column(part, columns[name].name), columns[name])
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
    """Reads the label column of each split as labels of a hierarchy; also returns the label of each value.

    Raises:
        DataError: with all classes that do not match, all bad rows of all splits, and the problems found before.
    """
    import numpy as np

    problems = problems or Problems()
    parts = read_parts(data, column, names, check, problems)
    known: dict[str, int] = {}
    try:
        known = match([value for part in parts for value in part.values], hierarchy)
    except DataError as error:
        problems.add(*error.problems)
    problems.raise_all()
    tables = [np.array([known[value] for value in part.values] or [0], dtype=np.int64) for part in parts]
    return [replace(part, numbers=table[part.numbers]) for part, table in zip(parts, tables, strict=True)], known


def read_numbers(array: Any, column: Column) -> tuple[Numbers, tuple[str, ...], Bad]:
    """Reads an arrow array of labels: the index of each row's value (0 for bad rows), the values, and the bad rows.

    The values of a column of strings are those that occur in it.
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
        fault = f"label {number} is out of range 0 to {len(values) - 1}"
        bad.append((fault, outside[numbers[outside] == number].tolist()))
    return np.where((numbers < 0) | (numbers >= len(values)), 0, numbers), values, bad


def _read_column(part: Any, column: str) -> Any:
    """One column of a split as an arrow array."""
    import pyarrow as pa
    from datasets import Dataset

    if isinstance(part, Dataset):
        return part.select_columns([column]).with_format("arrow")[:].column(column)
    chunks = [table.column(column) for table in iterate_tables(part, [column], 100_000)]
    chunked = [chunk for column_ in chunks for chunk in column_.chunks]
    return pa.chunked_array(chunked) if chunked else pa.array([], type=read_features(part)[column]())
