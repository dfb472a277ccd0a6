"""Stratified splits: every class in every part in the same share, by a seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from typing import TYPE_CHECKING, Any

from hierarchy.dataset.labels import Check, Data, Problems, is_streaming, read_parts

if TYPE_CHECKING:
    from hierarchy.dataset.labels import Numbers


@dataclass(frozen=True)
class Split:
    """A data set in parts.

    Args:
        data: a `DatasetDict` of the parts; each has its rows in their old order.
        too_small: class -> rows, for each class that has fewer rows than there are parts, so that some lack it.
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
    """Splits the rows of each class into parts, at random but alike for equal data, shares and seed.

    A class with as many rows as there are parts, or more, is in each part. One with fewer comes as near to the shares
    as it can, large parts first: two rows are dealt out 2, 0, 0 to parts of 0.8, 0.1, 0.1, and 1, 1, 0 to parts of
    0.4, 0.3, 0.3.

    Args:
        data: a data set without splits, or with one; no stream, whose end is unknown.
        shares: name of a part -> its share of the rows; together 1.
        column, names, check: as in `label`.
        seed: of the choice of rows.

    Raises:
        DataError: the shares are none, or rows are bad.

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
        problems.add(f"the data set is split already, into {', '.join(data)}; name one of these to split it further")
        problems.settle()
    if is_streaming(data):
        problems.add(
            "a stream cannot be split in equal shares, for its end is unknown; take a data set that is at hand"
        )
        problems.settle()
    parts = read_parts(data, column, names, check, problems)
    problems.settle()
    (part,) = parts
    sizes = np.bincount(part.numbers, minlength=len(part.values))
    counts = [allot(int(size), tuple(shares.values())) for size in sizes]
    member = _members(part.numbers, counts, seed)
    made = DatasetDict()
    for i, name in enumerate(shares):
        made[name] = data.select(np.flatnonzero(member == i))
    few = {part.values[i]: int(size) for i, size in enumerate(sizes) if 0 < size < len(shares)}
    return Split(made, few)


def allot(rows: int, shares: Sequence[float]) -> list[int]:
    """Shares out rows by largest remainders; where there are enough, each part gets one at least.

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


def _members(numbers: Numbers, counts: Sequence[Sequence[int]], seed: int) -> Numbers:
    """The part of each row: a shuffle, stably sorted by class, is dealt out by the counts of each class's parts."""
    import numpy as np

    shuffled = np.random.default_rng(seed).permutation(len(numbers))
    by_class = shuffled[np.argsort(numbers[shuffled], kind="stable")]
    member = np.empty(len(numbers), dtype=np.int64)
    if counts:
        part = np.tile(np.arange(len(counts[0])), len(counts))
        member[by_class] = np.repeat(part, np.array(counts).reshape(-1))
    return member


def _faults(shares: Mapping[str, float]) -> list[str]:
    """What keeps shares from being some."""
    if not shares:
        return ["no parts to split into; give some, as train=0.8 and test=0.2"]
    found = [
        f"part {name!r} is no name of a split; use letters, digits and _"
        for name in shares
        if not re.fullmatch(r"\w+(\.\w+)*", name)
    ]
    odd = {name: share for name, share in shares.items() if not isfinite(share) or share <= 0}
    found += [f"the share of {name!r} is {share:g}; give a number above 0" for name, share in odd.items()]
    total = sum(shares.values())
    if not odd and not isclose(total, 1, abs_tol=1e-6):
        told = ", ".join(f"{name}={share:g}" for name, share in shares.items())
        found.append(f"the shares {told} add up to {total:g}; make it 1")
    return found
