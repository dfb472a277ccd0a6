"""One level of the tree: all branches of one depth, held stacked and computed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from timm.layers import create_act_layer, get_act_layer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from timm_nhl.errors import OptionError
from timm_nhl.models.layers import BatchNorm, DropBranch, LayerNorm, PerNode, PlainLayerNorm, Scale
from timm_nhl.models.parent_conv import PerParent

BLOCKS = ("bottleneck", "convnext")
Resolutions = list[tuple[PerParent | PerNode, tuple[int, int]]]
NORMS = {"batch": BatchNorm, "layer": LayerNorm}


@dataclass(frozen=True)
class Branch:
    """What each branch of a level looks like; the published one but for its width (128, 64, 32 by level).

    Args:
        width: channels inside the block.
        expansion: of the bottleneck's output over its width; of the ConvNeXt block's inner layer over its width.
        depth: blocks, one after the other.
        stride: of the first block.
        block: `bottleneck`, or `convnext`, a stage of ConvNeXt blocks `width` channels wide.
        act: a timm activation; by default `relu` for bottlenecks, `gelu` for ConvNeXt blocks.
        norm: `batch` or `layer`; by default `batch` for bottlenecks, `layer` for ConvNeXt blocks.
        drop: dropout of the features that a block gives.
        drop_path: probability to skip a block, per image and node.

    Raises:
        OptionError: with everything that is wrong.

    >>> Branch(width=128).features
    512
    """

    width: int
    expansion: int = 4
    depth: int = 1
    stride: int = 1
    block: Literal["bottleneck", "convnext"] = "bottleneck"
    act: str | None = None
    norm: Literal["batch", "layer"] | None = None
    drop: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        problems = [
            f"{name}={value!r} is no whole number from 1"
            for name, value in (
                ("width", self.width),
                ("expansion", self.expansion),
                ("depth", self.depth),
                ("stride", self.stride),
            )
            if not isinstance(value, int) or isinstance(value, bool) or value < 1
        ]
        problems += [
            f"{name}={value!r} is no probability below 1"
            for name, value in (("drop", self.drop), ("drop_path", self.drop_path))
            if not isinstance(value, (int, float)) or not 0.0 <= value < 1.0
        ]
        if self.block not in BLOCKS:
            problems.append(f"block={self.block!r} is none of {', '.join(BLOCKS)}")
        if self.norm is not None and self.norm not in NORMS:
            problems.append(f"norm={self.norm!r} is none of {', '.join(NORMS)}")
        if self.act is not None and not _is_activation(self.act):
            problems.append(f"act={self.act!r} is no activation of timm, like 'relu', 'gelu' or 'silu'")
        if problems:
            raise OptionError("; ".join(problems))

    @property
    def features(self) -> int:
        """Channels that a branch gives."""
        return self.width * self.expansion if self.block == "bottleneck" else self.width


class Level(nn.Module):
    """All branches of one depth: (B, P*C, H, W) -> (B, N*D, H/stride, W/stride), nodes in the hierarchy's order.

    Args:
        counts: number of children of each of the P parents; their sum is N.
        in_channels: channels C of each parent.
        branch: what each of the N branches looks like; D is `branch.features`.

    >>> level = Level([2, 1], 8, Branch(width=4, stride=2))
    >>> level(torch.zeros(5, 16, 6, 6)).shape
    torch.Size([5, 48, 3, 3])
    """

    def __init__(self, counts: Sequence[int], in_channels: int, branch: Branch) -> None:
        super().__init__()
        self.branch = branch
        self.in_channels = in_channels
        self.out_channels = branch.features
        self.grad_checkpointing = False
        self.nodes = sum(counts)
        self.blocks = nn.Sequential(*_blocks(counts, in_channels, branch))

    def forward(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H', W')."""
        if self.grad_checkpointing and not torch.jit.is_scripting():
            return self._checkpointed(x)
        y: Tensor = self.blocks(x)
        return y

    @torch.jit.unused
    def _checkpointed(self, x: Tensor) -> Tensor:
        y: Tensor = checkpoint(self.blocks, x, use_reentrant=False)
        return y

    def resolutions(self, size: tuple[int, int]) -> tuple[Resolutions, tuple[int, int]]:
        """Its convolutions with the height and width each gives for maps of a size, and those of the level."""
        layers: Resolutions = []
        for block in self.blocks:
            assert isinstance(block, (Bottleneck, ConvNeXtEntry, ConvNeXtBlock))
            more, size = block.resolutions(size)
            layers += more
        return layers, size

    def extra_repr(self) -> str:
        return f"{self.nodes} nodes x {self.out_channels}"


class Bottleneck(nn.Module):
    """The residual bottleneck of ResNet (He et al., 2016, with the stride in the 3x3), one per node.

    (B, P*C, H, W) -> (B, N*width*expansion, H/stride, W/stride). The last norm starts at zero, so that a branch starts
    as its shortcut.
    """

    def __init__(self, counts: Sequence[int], in_channels: int, branch: Branch, *, first: bool) -> None:
        super().__init__()
        nodes, width, features = sum(counts), branch.width, branch.features
        norm = NORMS[branch.norm or "batch"]
        self.stride = branch.stride if first else 1
        self.reduce = PerParent(counts, in_channels, width, own=not first)
        self.norm1 = norm(nodes, width)
        self.act1 = _activation(branch.act or "relu")
        self.conv = PerNode(nodes, width, width, kernel=3, stride=self.stride, bias=False)
        self.norm2 = norm(nodes, width)
        self.act2 = _activation(branch.act or "relu")
        self.expand = PerNode(nodes, width, features, bias=False)
        self.norm3 = norm(nodes, features, zero=True)
        self.drop_path = DropBranch(nodes, branch.drop_path)
        self.shortcut = PerParent(counts, in_channels, features) if first else nn.Identity()
        self.norm4 = norm(nodes, features) if first else nn.Identity()
        self.act3 = _activation(branch.act or "relu")
        self.drop = branch.drop

    def forward(self, x: Tensor) -> Tensor:
        y = self.act1(self.norm1(self.reduce(x)))  # (B, P*C, H, W) -> (B, N*width, H, W)
        y = self.act2(self.norm2(self.conv(y)))  # -> (B, N*width, H', W')
        y = self.drop_path(self.norm3(self.expand(y)))  # -> (B, N*width*expansion, H', W')
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        # in place: at batch 16 another map of this width costs as much as the product that made it
        y = self.act3(y.add_(self.norm4(self.shortcut(x))))
        return F.dropout(y, self.drop, self.training)

    def resolutions(self, size: tuple[int, int]) -> tuple[Resolutions, tuple[int, int]]:
        """As `Level.resolutions`."""
        small = _strided(size, self.stride)
        layers: Resolutions = [(self.reduce, size), (self.conv, small), (self.expand, small)]
        return layers + ([(self.shortcut, small)] if isinstance(self.shortcut, PerParent) else []), small

    def fold_norms(self) -> None:
        """Folds the batch norms into the convolutions in front of them, in place."""
        pairs = [(self.reduce, "norm1"), (self.conv, "norm2"), (self.expand, "norm3"), (self.shortcut, "norm4")]
        for layer, name in pairs:
            norm = getattr(self, name)
            if isinstance(norm, BatchNorm) and isinstance(layer, (PerParent, PerNode)):
                _fold(layer, norm)
                setattr(self, name, nn.Identity())


class ConvNeXtEntry(nn.Module):
    """The downsampling layer in front of a ConvNeXt stage: (B, P*C, H, W) -> (B, N*width, H/stride, W/stride).

    Norm, then a strided 1x1 projection. The norm's weights are left out: each child's projection holds its own.
    """

    def __init__(self, counts: Sequence[int], in_channels: int, branch: Branch) -> None:
        super().__init__()
        self.stride = branch.stride
        self.norm = PlainLayerNorm(in_channels)
        self.reduce = PerParent(counts, in_channels, branch.width, bias=True)
        nn.init.trunc_normal_(self.reduce.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        y: Tensor = self.reduce(self.norm(x))
        return y

    def resolutions(self, size: tuple[int, int]) -> tuple[Resolutions, tuple[int, int]]:
        """As `Level.resolutions`."""
        small = _strided(size, self.stride)
        return [(self.reduce, small)], small


class ConvNeXtBlock(nn.Module):
    """A ConvNeXt block (Liu et al., 2022) per node: (B, N*width, H, W) -> the same."""

    def __init__(self, nodes: int, branch: Branch) -> None:
        super().__init__()
        width = branch.width
        self.conv = PerNode(nodes, width, width, kernel=7, depthwise=True)
        self.norm = NORMS[branch.norm or "layer"](nodes, width)
        self.expand = PerNode(nodes, width, width * branch.expansion)
        self.act = _activation(branch.act or "gelu")
        self.project = PerNode(nodes, width * branch.expansion, width)
        self.scale = Scale(nodes, width)
        self.drop_path = DropBranch(nodes, branch.drop_path)
        self.drop = branch.drop
        for layer in (self.conv, self.expand, self.project):
            nn.init.trunc_normal_(layer.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(self.norm(self.conv(x)))  # (B, N*width, H, W) -> (B, N*width*expansion, H, W)
        y = self.scale(self.project(self.act(y)))  # -> (B, N*width, H, W)
        return F.dropout(x + self.drop_path(y), self.drop, self.training)

    def resolutions(self, size: tuple[int, int]) -> tuple[Resolutions, tuple[int, int]]:
        """As `Level.resolutions`."""
        return [(self.conv, size), (self.expand, size), (self.project, size)], size


def _blocks(counts: Sequence[int], in_channels: int, branch: Branch) -> list[nn.Module]:
    nodes = sum(counts)
    if branch.block == "bottleneck":
        later = [Bottleneck([1] * nodes, branch.features, branch, first=False) for _ in range(branch.depth - 1)]
        return [Bottleneck(counts, in_channels, branch, first=True), *later]
    return [ConvNeXtEntry(counts, in_channels, branch), *(ConvNeXtBlock(nodes, branch) for _ in range(branch.depth))]


def _fold(layer: PerParent | PerNode, norm: BatchNorm) -> None:
    """Writes a batch norm's eval-mode factor and offset into the convolution in front of it."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()  # (N, D)
    offset = norm.bias - norm.running_mean * factor
    if layer.bias is not None:
        offset = offset + layer.bias * factor
    layer.weight = nn.Parameter((layer.weight * factor.unsqueeze(-1)).detach())
    layer.bias = nn.Parameter(offset.detach())


def _strided(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def _activation(name: str) -> nn.Module:
    # in place only where the backward pass does not need the input
    layer: nn.Module = create_act_layer(name, **({"inplace": True} if name in ("relu", "relu6") else {}))
    return layer


def _is_activation(name: str) -> bool:
    try:
        return get_act_layer(name) is not None
    except (KeyError, ValueError, AssertionError):
        return False
