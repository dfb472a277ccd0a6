"""Hugging Face data sets along a hierarchy: level columns, the rows of an expert, stratified splits, figures, export.

Every function takes a `Dataset`, a `DatasetDict`, or a stream of either kind where it says so, and gives the same kind.
Of the rows only the label column is read; images are neither decoded nor copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hierarchy.dataset.columns import Placing, place, place_stream
from hierarchy.dataset.export import export
from hierarchy.dataset.images import readable
from hierarchy.dataset.labels import (
    LEVELS,
    Check,
    Data,
    Problems,
    features_of,
    find_columns,
    is_streaming,
    like,
    match,
    parts_of,
    read_labels,
)
from hierarchy.dataset.split import Split, split
from hierarchy.dataset.stats import Stats, stats
from hierarchy.tree import Hierarchy

__all__ = ["Split", "Stats", "Subset", "export", "label", "readable", "split", "stats", "subset"]


@dataclass(frozen=True)
class Subset:
    """The rows of an expert.

    Args:
        data: the data set, with labels of the smaller hierarchy.
        hierarchy: the smaller hierarchy.
        mapping: what the label column said (a number, or a name) -> the new label, for the classes that stayed; None
            for a stream of names, whose values are known only when it is over.
    """

    data: Data
    hierarchy: Hierarchy
    mapping: Mapping[int | str, int] | None


def label(
    data: Data,
    hierarchy: Hierarchy,
    *,
    column: str | None = None,
    names: Sequence[str] | None = None,
    check: Check | None = None,
) -> Data:
    """Gives the rows their place in a hierarchy: its labels, and the columns `superclass` and `group`.

    The label column becomes a ClassLabel of the hierarchy's ids, in its order; `superclass` and `group` are ClassLabels
    of its paths in node order, as in `Hierarchy.ancestors`. Takes streams; of these, bad rows are told on arrival.

    Args:
        data: a data set.
        hierarchy: knows all its classes, by id or else by name.
        column: the label column: a ClassLabel, strings, or numbers; `label` or the only ClassLabel by default.
        names: what the numbers mean, by number; a ClassLabel knows it itself.
        check: what else to look for in each split, such as `readable()`.

    Raises:
        DataError: with all classes that do not match, and all bad rows.

    >>> from datasets import Dataset
    >>> pets = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> labelled = label(Dataset.from_dict({"label": ["carp", "tabby"]}), pets)
    >>> labelled[0], labelled.features["group"].names
    ({'label': 1, 'superclass': 0, 'group': 0}, ['fish/carps', 'mammals/cats'])
    """
    return _placed(data, Placing(hierarchy, range(len(hierarchy)), tuple(LEVELS)), column, names, check).data


def subset(
    data: Data,
    hierarchy: Hierarchy,
    asked: Iterable[str],
    *,
    column: str | None = None,
    names: Sequence[str] | None = None,
    check: Check | None = None,
) -> Subset:
    """Takes only the rows of the classes asked for, and labels them as `Hierarchy.subset` does.

    Level columns that `label` added follow; other columns stay as they are. Takes streams.

    Args:
        data, hierarchy, column, names, check: as for `label`.
        asked: ids, names and paths, as in `Hierarchy.labels`.

    Raises:
        UnknownNode, AmbiguousName: of what is asked for, as in `Hierarchy.labels`.
        InvalidHierarchy: nothing is asked for.
        DataError: as in `label`; classes that are not asked for must match, too.

    >>> from datasets import Dataset
    >>> pets = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> found = subset(Dataset.from_dict({"label": ["carp", "tabby"]}), pets, ["fish"])
    >>> found.data[:], found.mapping
    ({'label': [0]}, {'carp': 0})
    """
    if isinstance(asked, str):
        raise TypeError(f"cannot ask for {asked!r}; give a list, as [{asked!r}]")
    return _placed(data, Placing(hierarchy, hierarchy.labels(*asked)), column, names, check)


def _placed(
    data: Data,
    placing: Placing,
    column: str | None,
    names: Sequence[str] | None,
    check: Check | None,
) -> Subset:
    """The rows a placing keeps, and what became of the values of the label column."""
    problems = Problems()
    for part in parts_of(data).values():
        problems.add(*placing.conflicts(features_of(part)))
    if is_streaming(data):
        return _placed_stream(data, placing, column, names, check, problems)
    parts, known = read_labels(data, placing.hierarchy, column, names, check, problems)
    done = {part.name: place(part, placing) for part in parts}
    values = dict.fromkeys(value for part in parts for value in part.values)
    numbered = any(part.column.values is not None for part in parts)
    return Subset(like(data, done), placing.small, _mapping(tuple(values), numbered, known, placing))


def _placed_stream(
    data: Data,
    placing: Placing,
    column: str | None,
    names: Sequence[str] | None,
    check: Check | None,
    problems: Problems,
) -> Subset:
    if check is not None:
        problems.add("the rows of a stream are not checked ahead; take a data set that is at hand")
    columns = find_columns(data, column, names, problems)
    problems.settle()
    values = next(iter(columns.values())).values
    known = match(values or (), placing.hierarchy)
    done = {name: place_stream(part, columns[name], placing) for name, part in parts_of(data).items()}
    return Subset(like(data, done), placing.small, _mapping(values, True, known, placing) if values else None)


def _mapping(values: Sequence[str], numbered: bool, known: Mapping[str, int], placing: Placing) -> dict[int | str, int]:
    """What the label column said -> the new label."""
    new = {old: label for label, old in enumerate(placing.kept)}
    return {
        number if numbered else value: new[known[value]] for number, value in enumerate(values) if known[value] in new
    }
