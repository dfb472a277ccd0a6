"""`label` and `subset`: rows with the labels of a hierarchy, or of an expert's part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hierarchy.dataset.columns import Relabelling, relabel_split, relabel_stream
from hierarchy.dataset.labels import LEVELS, find_columns, match, read_labels
from hierarchy.dataset.rows import Check, Data, Problems, is_streaming, join_splits, list_splits, read_features
from hierarchy.tree import Hierarchy


@dataclass(frozen=True)
class Subset:
    """The rows of an expert.

    Args:
        data: the dataset, with labels of the smaller hierarchy.
        hierarchy: the smaller hierarchy.
        mapping: old value of the label column (a number or a name) -> new label, for the classes that stay; None for a
            stream of names, whose values are known only at its end.
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
    """Labels the rows by a hierarchy and adds the columns `superclass` and `group`.

    The label column becomes a ClassLabel of the hierarchy's ids, in its order; `superclass` and `group` are ClassLabels
    of its paths in node order, as in `Hierarchy.ancestors`. Accepts streams; their bad rows raise when reached.

    Args:
        data: a dataset.
        hierarchy: contains all classes of the dataset, by id or by name.
        column: the label column: a ClassLabel, strings or numbers; by default `label` or the only ClassLabel.
        names: the class names by number, for a column of numbers that is not a ClassLabel.
        check: an additional check of each split, such as `check_images()`.

    Raises:
        DataError: with all classes that do not match and all bad rows.

    >>> from datasets import Dataset
    >>> pets = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> labelled = label(Dataset.from_dict({"label": ["carp", "tabby"]}), pets)
    >>> labelled[0], labelled.features["group"].names
    ({'label': 1, 'superclass': 0, 'group': 0}, ['fish/carps', 'mammals/cats'])
    """
    return _relabel(data, Relabelling(hierarchy, range(len(hierarchy)), tuple(LEVELS)), column, names, check).data


def subset(
    data: Data,
    hierarchy: Hierarchy,
    asked: Iterable[str],
    *,
    column: str | None = None,
    names: Sequence[str] | None = None,
    check: Check | None = None,
) -> Subset:
    """Selects the rows of the classes asked for, and relabels them as `Hierarchy.subset` does.

    Level columns that `label` added are updated; other columns are unchanged. Accepts streams.

    Args:
        data: a dataset.
        hierarchy: contains all classes of the dataset, by id or by name.
        asked: ids, names and paths, as in `Hierarchy.labels`.
        column: the label column, as in `label`.
        names: the class names by number, as in `label`.
        check: an additional check of each split, as in `label`.

    Raises:
        UnknownNode: there is no such class or node.
        AmbiguousName: a name belongs to several classes or nodes.
        InvalidHierarchy: nothing is asked for.
        DataError: as in `label`; classes that are not asked for must match as well.

    >>> from datasets import Dataset
    >>> pets = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> found = subset(Dataset.from_dict({"label": ["carp", "tabby"]}), pets, ["fish"])
    >>> found.data[:], found.mapping
    ({'label': [0]}, {'carp': 0})
    """
    if isinstance(asked, str):
        raise TypeError(f"cannot select {asked!r}; give a list, as in [{asked!r}]")
    return _relabel(data, Relabelling(hierarchy, hierarchy.labels(*asked)), column, names, check)


def _relabel(
    data: Data,
    relabelling: Relabelling,
    column: str | None,
    names: Sequence[str] | None,
    check: Check | None,
) -> Subset:
    problems = Problems()
    for part in list_splits(data).values():
        problems.add(*relabelling.conflicts(read_features(part)))
    if is_streaming(data):
        return _relabel_stream(data, relabelling, column, names, check, problems)
    parts, known = read_labels(data, relabelling.hierarchy, column, names, check, problems)
    done = {part.name: relabel_split(part, relabelling) for part in parts}
    values = dict.fromkeys(value for part in parts for value in part.values)
    numbered = any(part.column.values is not None for part in parts)
    return Subset(join_splits(data, done), relabelling.small, _mapping(tuple(values), numbered, known, relabelling))


def _relabel_stream(
    data: Data,
    relabelling: Relabelling,
    column: str | None,
    names: Sequence[str] | None,
    check: Check | None,
    problems: Problems,
) -> Subset:
    if check is not None:
        problems.add("cannot check the rows of a stream in advance; use a dataset that is not streamed")
    columns = find_columns(data, column, names, problems)
    problems.raise_all()
    values = next(iter(columns.values())).values
    known = match(values or (), relabelling.hierarchy)
    done = {name: relabel_stream(part, columns[name], relabelling) for name, part in list_splits(data).items()}
    return Subset(
        join_splits(data, done), relabelling.small, _mapping(values, True, known, relabelling) if values else None
    )


def _mapping(
    values: Sequence[str], numbered: bool, known: Mapping[str, int], relabelling: Relabelling
) -> dict[int | str, int]:
    """Old value of the label column -> new label."""
    new = {old: label for label, old in enumerate(relabelling.kept)}
    return {
        number if numbered else value: new[known[value]] for number, value in enumerate(values) if known[value] in new
    }
