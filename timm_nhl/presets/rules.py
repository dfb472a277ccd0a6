"""Rules that turn a preset's values into those of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

from timm_nhl.presets.shape import SplitRule, WidthRule

STEP = 4  # widths are multiples of it: channels that are not fill vector units badly


def below_last_stage(strides: Sequence[int]) -> int:
    """The published split point: below the last stage, or below the last quarter of equal blocks.

    >>> below_last_stage([2, 4, 8, 16, 32]), below_last_stage([16] * 12), below_last_stage([8, 16, 16, 16])
    (3, 8, 0)
    """
    if strides[0] == strides[-1]:
        return len(strides) - max(1, len(strides) // 4) - 1 if len(strides) > 1 else 0
    return max(index for index, stride in enumerate(strides) if stride < strides[-1])


def up_to_stride(stride: int, *, blocks: float) -> SplitRule:
    """Keeps all feature levels up to a stride, at least the first; of equal blocks a share.

    >>> rule = up_to_stride(8, blocks=1 / 3)
    >>> rule([2, 4, 8, 16, 32]), rule([16] * 12), rule([16, 32, 64])
    (2, 3, 0)
    """

    def split(strides: Sequence[int]) -> int:
        if strides[0] == strides[-1]:
            return max(1, round(len(strides) * blocks)) - 1
        return max((index for index, each in enumerate(strides) if each <= stride), default=0)

    return split


def scale_widths(widths: Sequence[int], *, channels: int, power: float) -> WidthRule:
    """Widths that fit a trunk of some channels, scaled for others by a power of their ratio.

    >>> rule = scale_widths((64, 32, 16), channels=64, power=0.5)
    >>> rule(64), rule(256), rule(16)
    ((64, 32, 16), (128, 64, 32), (32, 16, 8))
    """

    def scale(actual: int) -> tuple[int, ...]:
        factor = (actual / channels) ** power
        return tuple(max(STEP, round(width * factor / STEP) * STEP) for width in widths)

    return scale
