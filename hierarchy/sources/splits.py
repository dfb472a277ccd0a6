"""The one rule for which folders are splits and which are classes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

SPLITS = ("train", "training", "val", "valid", "validation", "test")
NAME = r"\w+(?:\.\w+)*"  # of a split, as the `datasets` library wants it
HIDDEN = (".", "__")  # how names of folders begin that the `datasets` library passes over


def choose_splits(depths: Mapping[str, Collection[int]]) -> list[str]:
    """Which of some folders are splits: all of them, in the order in which splits are used, or none.

    They are splits if each holds its images in folders of its own, or if all have the names of splits.

    Args:
        depths: folder -> how many folders lie between its parent and its images.

    >>> choose_splits({"test": [2], "holdout": [2], "train": [2]}), choose_splits({"train": [1], "bus": [1]})
    (['train', 'test', 'holdout'], [])
    """
    if set(depths) <= set(SPLITS) or all(min(found) >= 2 for found in depths.values()):
        return in_order(depths)
    return []


def in_order(splits: Iterable[str]) -> list[str]:
    """Splits in the order in which they are used, then by name."""
    return sorted(splits, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))


def can_be_split(name: str) -> bool:
    """Whether the `datasets` library takes this as the name of a split."""
    return re.fullmatch(NAME, name) is not None
