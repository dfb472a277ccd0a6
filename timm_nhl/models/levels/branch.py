"""What the branches of a level look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from timm.layers import create_act_layer, get_act_layer

from timm_nhl.errors import OptionError

NORMS = ("batch", "group")


@dataclass(frozen=True)
class Branch:
    """The bottleneck blocks of each branch of a level; the published ones except for the width (128, 64, 32 by level).

    Args:
        width: channels inside a block.
        expansion: output channels of a block over its width.
        depth: number of blocks.
        stride: of the first block.
        act: a timm activation.
        norm: `batch`, or `group`: one group per node, which does not depend on the batch.
        drop: dropout of each block's output.
        drop_path: probability of skipping a block, per image and node.

    Raises:
        OptionError: lists all invalid options.

    >>> Branch(width=128).features
    512
    """

    width: int
    expansion: int = 4
    depth: int = 1
    stride: int = 1
    act: str = "relu"
    norm: Literal["batch", "group"] = "batch"
    drop: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        problems = [
            f"{name}={value!r} is not a whole number >= 1"
            for name, value in (
                ("width", self.width),
                ("expansion", self.expansion),
                ("depth", self.depth),
                ("stride", self.stride),
            )
            if type(value) is not int or value < 1
        ]
        problems += [
            f"{name}={value!r} is not a probability; use a number >= 0 and < 1"
            for name, value in (("drop", self.drop), ("drop_path", self.drop_path))
            if not isinstance(value, (int, float)) or not 0.0 <= value < 1.0
        ]
        if self.norm not in NORMS:
            problems.append(f"norm={self.norm!r} is not available; use one of {', '.join(map(repr, NORMS))}")
        problems += _check_activation(self.act)
        if problems:
            raise OptionError("; ".join(problems))

    @property
    def features(self) -> int:
        """Output channels of a branch."""
        return self.width * self.expansion


def _check_activation(name: str) -> list[str]:
    try:
        layer = get_act_layer(name)
    except (KeyError, ValueError, AssertionError):
        layer = None
    if layer is None:
        return [f"act={name!r} is not a timm activation; use one like 'relu', 'gelu' or 'silu'"]
    if next(create_act_layer(name).parameters(), None) is not None:
        return [f"act={name!r} has weights, which branches would share; use one without, like 'relu'"]
    return []
