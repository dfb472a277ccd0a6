"""Stratified splits: every class has the same share in every part; reproducible by seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from typing import Any

from hierarchy.dataset.labels import Numbers, read_parts
from hierarchy.dataset.rows import Check, Data, Problems, is_streaming


@dataclass(frozen=True)
class Split:
    """A dataset in parts.

    Args:
        data: a `DatasetDict` of the parts; each keeps the order of its rows.
        too_small: class -> rows, for each class with fewer rows than parts, which some parts therefore lack.
    """

    data: Any
    too_small: Mapping[str, int]


def split(
    data: Data,
    shares: Mapping[str, float],
    *,
    column: str | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    check: Check | None = None,
) -> Split:
    """Splits the rows of each class into parts at random; equal data, shares and seeds give equal parts.

    A class with at least as many rows as parts is in every part. A smaller one comes as close to the shares as it can,
    large parts first: two rows become 2, 0, 0 in parts of 0.8, 0.1, 0.1, and 1, 1, 0 in parts of 0.4, 0.3, 0.3.

    Args:
        data: a dataset without splits, or with one; not a stream, whose end is unknown.
        shares: name of a part -> its share of the rows; they add up to 1.
        column: the label column, as in `label`.
        names: the class names by number, as in `label`.
        check: an additional check of each split, as in `label`.
        seed: seed of the random choice of rows.

    Raises:
        DataError: the shares are invalid, or rows are bad.

    >>> from datasets import Dataset
    >>> rows = Dataset.from_dict({"label": ["carp"] * 10 + ["tabby"] * 5 + ["eel"]})
    >>> parts = split(rows, {"train": 0.8, "test": 0.2})
    >>> parts.data.num_rows, parts.too_small
    ({'train': 13, 'test': 3}, {'eel': 1})
    """
    import numpy as np
    from datasets import DatasetDict

    problems = Problems()
    problems.add(*_faults(shares))
    if isinstance(data, Mapping) and len(data) == 1:
        (data,) = data.values()
    if isinstance(data, Mapping):
        problems.add(f"the dataset is already split into {', '.join(data)}; choose one of them to split it further")
        problems.raise_all()
    if is_streaming(data):
        problems.add("cannot split a stream, whose number of rows is unknown; use a dataset that is not streamed")
        problems.raise_all()
    parts = read_parts(data, column, names, check, problems)
    problems.raise_all()
    (part,) = parts
    sizes = np.bincount(part.numbers, minlength=len(part.values))
    member = assign_parts(part.numbers, tuple(shares.values()), seed=seed)
    made = DatasetDict()
    for i, name in enumerate(shares):
        made[name] = data.select(np.flatnonzero(member == i))
    few = {part.values[i]: int(size) for i, size in enumerate(sizes) if 0 < size < len(shares)}
    return Split(made, few)


def allot(rows: int, shares: Sequence[float]) -> list[int]:
    """Divides rows by largest remainders; each part gets at least one if there are enough.

    >>> allot(10, (0.8, 0.1, 0.1)), allot(4, (0.8, 0.1, 0.1))
    ([8, 1, 1], [2, 1, 1])
    >>> allot(2, (0.8, 0.1, 0.1)), allot(2, (0.4, 0.3, 0.3))
    ([2, 0, 0], [1, 1, 0])
    """
    wanted = [rows * share for share in shares]
    counts = [int(want + 1e-9) for want in wanted]  # 0.1 * 30 is a little more than 3, 0.29 * 100 a little less than 29
    by_remainder = sorted(range(len(shares)), key=lambda i: (counts[i] - wanted[i], -shares[i], i))
    for i in by_remainder[: rows - sum(counts)]:
        counts[i] += 1
    if rows >= len(shares):
        for i, count in enumerate(counts):
            if not count:
                counts[counts.index(max(counts))] -= 1
                counts[i] = 1
    return counts


def assign_parts(numbers: Numbers, shares: Sequence[float], *, seed: int) -> Numbers:
    """The part of each row: rows are shuffled, sorted by class, and assigned by what each class is allotted.

    Args:
        numbers: (M,) the class of each row, from 0.
        shares: of the parts; they add up to 1.

    Returns:
        (M,) the part of each row, from 0.
    """
    import numpy as np

    counts = [allot(int(size), shares) for size in np.bincount(numbers)]
    shuffled = np.random.default_rng(seed).permutation(len(numbers))
    by_class = shuffled[np.argsort(numbers[shuffled], kind="stable")]
    member = np.empty(len(numbers), dtype=np.int64)
    if counts:
        part = np.tile(np.arange(len(shares)), len(counts))
        member[by_class] = np.repeat(part, np.array(counts).reshape(-1))
    return member


def _faults(shares: Mapping[str, float]) -> list[str]:
    """Everything that is wrong with the shares."""
    if not shares:
        return ["no parts to split into; give some, such as train=0.8 and test=0.2"]
    found = [
        f"part {name!r} cannot be the name of a split; use letters, digits and _"
        for name in shares
        if not re.fullmatch(r"\w+(\.\w+)*", name)
    ]
    odd = {name: share for name, share in shares.items() if not isfinite(share) or share <= 0}
    found += [f"the share of {name!r} is {share:g}; it must be above 0" for name, share in odd.items()]
    total = sum(shares.values())
    if not odd and not isclose(total, 1, abs_tol=1e-6):
        listed = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        found.append(f"the shares {listed} add up to {total:g}; they must add up to 1")
    return found
