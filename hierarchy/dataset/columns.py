"""Writes the labels and level columns of a hierarchy into a split, column by column; images are not touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hierarchy.dataset.labels import LEVELS, Column, Numbers, Part, match, read_numbers
from hierarchy.dataset.rows import Problems, find_places, read_features
from hierarchy.tree import Hierarchy


@dataclass(frozen=True)
class Relabelling:
    """Which rows stay, and their new labels and level columns.

    Args:
        hierarchy: the hierarchy of the rows' labels.
        kept: labels of the rows that stay, in their new order.
        add: level columns to add; level columns that exist already are updated in any case.
    """

    hierarchy: Hierarchy
    kept: Sequence[int]
    add: tuple[str, ...] = ()

    @cached_property
    def small(self) -> Hierarchy:
        """The hierarchy of the labels that stay."""
        return self.hierarchy.at(self.kept)

    def new(self, labels: Numbers) -> Numbers:
        """The new label of each row; -1 for a row that does not stay."""
        import numpy as np

        table = np.full(len(self.hierarchy), -1, dtype=np.int64)
        table[list(self.kept)] = np.arange(len(self.kept))
        return table[labels]

    def levels(self, features: Mapping[str, Any]) -> tuple[str, ...]:
        """The level columns that a split will have."""
        return tuple(name for name in LEVELS if name in self.add or self._is_level(features.get(name), name))

    def conflicts(self, features: Mapping[str, Any]) -> Iterable[str]:
        """Other columns that have the name of a level column."""
        for name in self.add:
            if name in features and not self._is_level(features[name], name):
                yield f"column {name!r} exists and is not a level column of this hierarchy; rename it"

    def columns(self, column: str, features: Mapping[str, Any], new: Numbers) -> dict[str, tuple[Numbers, Any]]:
        """The label and level columns of rows with these new labels, each with its feature."""
        import numpy as np
        from datasets import ClassLabel

        made = {column: (new, ClassLabel(names=list(self.small.classes)))}
        for name in self.levels(features):
            table = np.array(self.small.ancestors(LEVELS[name]), dtype=np.int64)
            made[name] = (table[new], ClassLabel(names=list(self.small.nodes(LEVELS[name]))))
        return made

    def _is_level(self, feature: Any, name: str) -> bool:
        return getattr(feature, "names", None) == list(self.hierarchy.nodes(LEVELS[name]))


def relabel_split(part: Part, relabelling: Relabelling) -> Any:
    """A split with new columns and only the rows that stay; the part's numbers are labels of the hierarchy."""
    import numpy as np

    new = relabelling.new(part.numbers)
    stay = np.flatnonzero(new >= 0)
    columns = relabelling.columns(part.column.name, read_features(part.data), np.maximum(new, 0))
    made = _put(part.data, columns)
    return made if len(stay) == len(new) else made.select(stay)


def relabel_stream(part: Any, column: Column, relabelling: Relabelling) -> Any:
    """A stream with new columns and only the rows that stay; a bad row raises when it is reached."""
    import numpy as np
    from datasets import Features

    features = read_features(part)
    shape = relabelling.columns(column.name, features, np.array([], dtype=np.int64))
    after = Features({**features, **{name: feature for name, (_, feature) in shape.items()}})

    def relabel(table: Any, rows: list[int]) -> Any:
        import pyarrow as pa

        numbers, values, bad = read_numbers(table.column(column.name), column)
        problems = Problems()
        problems.add_rows("", [(fault, [rows[i] for i in places]) for fault, places in bad])
        problems.raise_all()
        known = match(values, relabelling.hierarchy)
        labels = np.array([known[value] for value in values] or [0], dtype=np.int64)[numbers]
        new = relabelling.new(labels)
        stay = np.flatnonzero(new >= 0)
        columns = relabelling.columns(column.name, features, new[stay])
        table = table.take(stay)
        arrays = [pa.array(columns[name][0]) if name in columns else table.column(name) for name in after]
        return pa.Table.from_arrays(arrays, schema=after.arrow_schema)

    return part.with_format("arrow").map(relabel, batched=True, with_indices=True, features=after).with_format(None)


def _put(data: Any, columns: Mapping[str, tuple[Numbers, Any]]) -> Any:
    """A dataset with columns added or replaced.

    `Dataset.add_column` would copy all rows of a selection, images included. So the columns are expanded to the rows
    that were selected from, and the selection is applied again.
    """
    import numpy as np
    from datasets import Dataset, Features, concatenate_datasets

    order = [*data.column_names, *(name for name in columns if name not in data.column_names)]
    types = {name: feature for name, (_, feature) in columns.items()}
    if not len(data):  # the library ignores datasets without rows when it joins columns
        features = Features({**data.features, **types})
        return Dataset.from_dict({name: [] for name in order}, features=features, split=data.split)
    chosen = find_places(data)
    whole = Dataset(data.data, info=data.info.copy(), split=data.split)
    spread = {}
    for name, (numbers, _) in columns.items():
        spread[name] = np.zeros(len(whole), dtype=np.int64)
        spread[name][chosen] = numbers
    fresh = Dataset.from_dict(spread, features=Features(types))
    kept = whole.remove_columns([name for name in columns if name in data.column_names])
    made = concatenate_datasets([fresh, kept], split=data.split, axis=1) if kept.column_names else fresh
    made = made.select_columns(order)
    return made.select(chosen)
