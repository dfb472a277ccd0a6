"""What a preset consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

SplitRule = Callable[[Sequence[int]], int]  # strides of a backbone's feature levels -> index of the last one to keep
WidthRule = Callable[[int], Sequence[int]]  # channels of the trunk -> width of the branches of each level


@dataclass(frozen=True)
class Shape:
    """The options of a nested network that decide its cost; `timm_nhl.NHL` describes each.

    `split` and `widths` may be rules, which give the values for a backbone.
    """

    split: int | SplitRule
    widths: Sequence[int] | WidthRule
    strides: Sequence[int] = (1, 1, 1)
    depths: Sequence[int] = (1, 1, 1)
    expansion: int = 4

    def widths_at(self, channels: int) -> Sequence[int]:
        """The width of the branches of each level behind a trunk of some channels."""
        return self.widths(channels) if callable(self.widths) else self.widths
