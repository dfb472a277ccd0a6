"""Puts the labels and level columns of a hierarchy into a split, column by column; images are not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hierarchy.dataset.labels import LEVELS, Column, Part, Problems, features_of, match, read_numbers
from hierarchy.tree import Hierarchy

if TYPE_CHECKING:
    from hierarchy.dataset.labels import Numbers


@dataclass(frozen=True)
class Placing:
    """Which rows stay, and what they are told.

    Args:
        hierarchy: whose labels rows have.
        kept: labels that stay, in their new order.
        add: level columns that are put in; those that are there already follow in any case.
    """

    hierarchy: Hierarchy
    kept: Sequence[int]
    add: tuple[str, ...] = ()

    @cached_property
    def small(self) -> Hierarchy:
        """The hierarchy of the labels that stay."""
        return self.hierarchy.at(self.kept)

    def new(self, labels: Numbers) -> Numbers:
        """The new label of each row; -1 for one that does not stay."""
        import numpy as np

        table = np.full(len(self.hierarchy), -1, dtype=np.int64)
        table[list(self.kept)] = np.arange(len(self.kept))
        return table[labels]

    def levels(self, features: Mapping[str, Any]) -> tuple[str, ...]:
        """The level columns a split will have: those that are added, and those that are there."""
        return tuple(name for name in LEVELS if name in self.add or self._is_level(features.get(name), name))

    def conflicts(self, features: Mapping[str, Any]) -> Iterable[str]:
        """Columns of another kind that stand where a level column is to be."""
        for name in self.add:
            if name in features and not self._is_level(features[name], name):
                yield f"there is a column {name!r} of another kind already; rename it"

    def columns(self, column: str, features: Mapping[str, Any], new: Numbers) -> dict[str, tuple[Numbers, Any]]:
        """Label and level columns of rows with these new labels, each with its feature."""
        import numpy as np
        from datasets import ClassLabel

        made = {column: (new, ClassLabel(names=list(self.small.classes)))}
        for name in self.levels(features):
            table = np.array(self.small.ancestors(LEVELS[name]), dtype=np.int64)
            made[name] = (table[new], ClassLabel(names=list(self.small.nodes(LEVELS[name]))))
        return made

    def _is_level(self, feature: Any, name: str) -> bool:
        return getattr(feature, "names", None) == list(self.hierarchy.nodes(LEVELS[name]))


def place(part: Part, placing: Placing) -> Any:
    """A split with its new columns, of the rows that stay; its numbers are labels of the hierarchy."""
    import numpy as np

    new = placing.new(part.numbers)
    stay = np.flatnonzero(new >= 0)
    columns = placing.columns(part.column.name, features_of(part.data), np.maximum(new, 0))
    made = _put(part.data, columns)
    return made if len(stay) == len(new) else made.select(stay)


def place_stream(part: Any, column: Column, placing: Placing) -> Any:
    """A stream with its new columns, of the rows that stay; a bad row is told when it is reached."""
    from datasets import Features

    features = features_of(part)
    shape = placing.columns(column.name, features, _none())
    after = Features({**features, **{name: feature for name, (_, feature) in shape.items()}})

    def placed(table: Any, rows: list[int]) -> Any:
        import numpy as np
        import pyarrow as pa

        numbers, values, bad = read_numbers(table.column(column.name), column)
        problems = Problems()
        problems.add_rows("", [(fault, [rows[i] for i in places]) for fault, places in bad])
        problems.settle()
        known = match(values, placing.hierarchy)
        labels = np.array([known[value] for value in values] or [0], dtype=np.int64)[numbers]
        new = placing.new(labels)
        stay = np.flatnonzero(new >= 0)
        columns = placing.columns(column.name, features, new[stay])
        table = table.take(stay)
        arrays = [pa.array(columns[name][0]) if name in columns else table.column(name) for name in after]
        return pa.Table.from_arrays(arrays, schema=after.arrow_schema)

    return part.with_format("arrow").map(placed, batched=True, with_indices=True, features=after).with_format(None)


def _none() -> Numbers:
    import numpy as np

    return np.array([], dtype=np.int64)


def _put(data: Any, columns: Mapping[str, tuple[Numbers, Any]]) -> Any:
    """A data set with columns put in, or replaced where they stand.

    `Dataset.add_column` would copy all rows of a selection, images too; so the columns are spread over the rows that
    were selected from, and selected again.
    """
    import numpy as np
    from datasets import Dataset, Features

    chosen = None if data._indices is None else data._indices.column(0).to_numpy()  # no public name
    whole = data if chosen is None else Dataset(data.data, info=data.info.copy(), split=data.split)
    order = [*data.column_names, *(name for name in columns if name not in data.column_names)]
    fresh = {name: f"new {name}" for name in columns}  # a data set whose only column is removed forgets its rows
    while set(fresh.values()) & set(data.column_names):
        fresh = {name: f"new {other}" for name, other in fresh.items()}
    if not len(data):  # the library cannot put columns beside a selection of no rows
        features = {**data.features, **{name: feature for name, (_, feature) in columns.items()}}
        return Dataset.from_dict({name: [] for name in order}, features=Features(features), split=data.split)
    made = whole.with_format(None)
    for name, (numbers, feature) in columns.items():
        if chosen is not None:
            spread = np.zeros(len(whole), dtype=np.int64)
            spread[chosen] = numbers
            numbers = spread
        made = made.add_column(fresh[name], numbers, feature=feature)
    made = made.remove_columns([name for name in columns if name in data.column_names])
    made = made.rename_columns({other: name for name, other in fresh.items()}).select_columns(order)
    return made if chosen is None else made.select(chosen)
