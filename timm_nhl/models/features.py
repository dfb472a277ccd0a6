"""Features along the way: those of the trunk's taps, then those of the levels, numbered as timm numbers them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.models._features import feature_take_indices
from torch import Tensor

from timm_nhl.errors import OptionError
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.levels import Level


def describe_features(trunk: Trunk, levels: Sequence[Level]) -> list[dict[str, Any]]:
    """For each feature its channels, its stride and the name of its module (timm's `feature_info`)."""
    features = [{**tap, "module": f"trunk.net.{tap['module']}"} for tap in trunk.taps]
    stride = trunk.stride
    for depth, level in enumerate(levels):
        stride *= level.branch.stride
        channels = level.nodes * level.out_channels
        features.append({"num_chs": channels, "reduction": stride, "module": f"levels.{depth}"})
    return features


def take_indices(features: int, indices: int | Sequence[int] | None) -> tuple[list[int], int]:
    """The indices of the wanted features (for a count the last ones; negative from the end), and the largest."""
    taken, last = feature_take_indices(features, indices)  # type: ignore[arg-type]  # any sequence
    return list(taken), last


def forward_features(
    trunk: Trunk,
    levels: Sequence[Level],
    x: Tensor,
    indices: int | Sequence[int] | None,
    *,
    stop_early: bool,
    output_fmt: str,
) -> tuple[Tensor, list[Tensor]]:
    """The last features that were computed, and some of all, each (B, C_i, h_i, w_i).

    Raises:
        OptionError: a format other than NCHW.
    """
    if output_fmt != "NCHW":
        raise OptionError(f"output_fmt={output_fmt!r} is not available; use 'NCHW'")
    first_level = len(trunk.taps)
    taken, last = take_indices(first_level + len(levels), indices)
    taps = sorted({index for index in taken if index < first_level})
    *features, x = trunk.forward_taps(x, taps)
    found = dict(zip(taps, features, strict=True))
    for index, level in enumerate(levels, first_level):
        if index > last and stop_early:
            break
        found[index] = x = level(x)
    return x, [found[index] for index in taken]
