"""The residual bottleneck of all nodes of a level, out of plain layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from timm.layers import create_act_layer
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

from timm_nhl.models.levels.branch import Branch
from timm_nhl.models.levels.layers import join, shallow, take
from timm_nhl.models.levels.parent_conv import ParentConv


class Bottleneck(nn.Module):
    """The bottleneck of ResNet (He et al., 2016, with the stride in the 3x3), one per node.

    (B, P*C, H, W) -> (B, N*D, H/stride, W/stride), where D is `branch.features`. The last norm starts at zero, so that
    a branch starts as its shortcut.

    Args:
        counts: number of children of each of the P parents; their sum is N.
        in_channels: channels C of each parent.
        branch: sizes and options.
        first: whether this is the first block of its branches; in later ones each node reads its own D channels and
            has no shortcut convolution.
    """

    def __init__(self, counts: Sequence[int], in_channels: int, branch: Branch, *, first: bool) -> None:
        super().__init__()
        nodes, width, features = sum(counts), branch.width, branch.features
        self.nodes, self.in_channels, self.width, self.features = nodes, in_channels, width, features
        self.stride = branch.stride if first else 1
        self.reduce = ParentConv(counts, in_channels, width) if first else _grouped(nodes, in_channels, width)
        self.norm1 = _norm(branch, nodes, width)
        self.act1 = _activation(branch.act)
        self.conv = _grouped(nodes, width, width, kernel=3, stride=self.stride)
        self.norm2 = _norm(branch, nodes, width)
        self.act2 = _activation(branch.act)
        self.expand = _grouped(nodes, width, features)
        self.norm3 = _norm(branch, nodes, features)
        nn.init.zeros_(self.norm3.weight)
        self.drop_path = DropBranch(nodes, branch.drop_path)
        self.shortcut = ParentConv(counts, in_channels, features, stride=self.stride) if first else nn.Identity()
        self.norm4 = _norm(branch, nodes, features) if first else nn.Identity()
        self.act3 = _activation(branch.act)
        self.drop = branch.drop

    def forward(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H', W')."""
        y = self.act1(self.norm1(self.reduce(x)))  # (B, P*C, H, W) -> (B, N*width, H, W)
        y = self.act2(self.norm2(self.conv(y)))  # -> (B, N*width, H', W')
        y = self.drop_path(self.norm3(self.expand(y)))  # -> (B, N*D, H', W')
        # in place: at batch 16 another map of this width costs as much as the product that made it
        y += self.norm4(self.shortcut(x))
        y = self.act3(y)
        return F.dropout(y, self.drop, self.training) if self.drop else y

    def count(self, size: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
        """Counts one node on maps of a height and width.

        Returns its multiply-accumulates, the elements that its convolutions give, and the height and width it gives.
        """
        height, width = (-(-side // self.stride) for side in size)
        before, after = size[0] * size[1], height * width
        macs = self.in_channels * self.width * before
        macs += (9 * self.width * self.width + self.width * self.features) * after
        outputs = self.width * before + (self.width + self.features) * after
        if isinstance(self.shortcut, ParentConv):
            macs += self.in_channels * self.features * after
            outputs += self.features * after
        return macs, outputs, (height, width)

    def take(self, rows: Sequence[int], counts: Sequence[int], *, share: bool = False) -> Bottleneck:
        """The block of some nodes, in the order given; `counts` says how many each kept parent has."""
        kept: dict[str, nn.Module | None] = {
            name: layer.take(rows, counts, share=share)
            if isinstance(layer, ParentConv)
            else take(layer, rows, self.nodes, share=share)
            for name, layer in self.named_children()
        }
        return self._with(kept, nodes=len(rows))

    def join(self, other: Bottleneck) -> Bottleneck:
        """The block with the nodes of both, those of this one in front."""
        both: dict[str, nn.Module | None] = {}
        for (name, layer), (_, more) in zip(self.named_children(), other.named_children(), strict=True):
            if isinstance(layer, ParentConv) and isinstance(more, ParentConv):
                both[name] = layer.join(more)
            else:
                both[name] = join(layer, more)
        return self._with(both, nodes=self.nodes + other.nodes)

    def fold(self) -> Bottleneck:
        """The block for inference: batch norms folded into convolutions, all of which are plain `nn.Conv2d`."""
        folded = dict(self.named_children())
        for layer_name, norm_name in (
            ("reduce", "norm1"),
            ("conv", "norm2"),
            ("expand", "norm3"),
            ("shortcut", "norm4"),
        ):
            layer, norm = folded[layer_name], folded[norm_name]
            foldable = hasattr(norm, "running_mean")  # BatchNorm2d, also where it is frozen or synchronised
            if isinstance(layer, ParentConv):
                folded[layer_name] = layer.fold(norm if foldable else None)
            elif isinstance(layer, nn.Conv2d) and foldable:
                folded[layer_name] = _fold(layer, norm)
            if foldable:
                folded[norm_name] = nn.Identity()
        return self._with({**folded, "drop_path": nn.Identity()}, nodes=self.nodes).eval()

    def _with(self, layers: dict[str, nn.Module | None], *, nodes: int) -> Bottleneck:
        block = shallow(self)
        block._modules = layers
        block.nodes = nodes
        return block


class DropBranch(nn.Module):
    """Stochastic depth, drawn for every image and node: (B, N*C, H, W) -> the same; does nothing in eval mode."""

    def __init__(self, nodes: int, rate: float) -> None:
        super().__init__()
        self.nodes, self.rate = nodes, rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, N*C, H, W) -> the same."""
        if self.rate == 0.0 or not self.training:
            return x
        mask = x.new_empty((x.shape[0], self.nodes, 1)).bernoulli_(1.0 - self.rate).div_(1.0 - self.rate)
        mask = mask.expand(-1, -1, x.shape[1] // self.nodes).flatten(1)  # (B, N, 1) -> (B, N*C)
        return x * mask[..., None, None]


def _grouped(nodes: int, in_channels: int, out_channels: int, *, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution inside every node: (B, N*C, H, W) -> (B, N*D, H/stride, W/stride)."""
    conv = nn.Conv2d(
        nodes * in_channels,
        nodes * out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=nodes,
        bias=False,
    )
    nn.init.normal_(conv.weight, std=(2.0 / (kernel * kernel * out_channels)) ** 0.5)  # He, by a node's fan-out
    return conv


def _norm(branch: Branch, nodes: int, channels: int) -> nn.BatchNorm2d | nn.GroupNorm:
    if branch.norm == "group":
        return nn.GroupNorm(nodes, nodes * channels)
    return nn.BatchNorm2d(nodes * channels)


def _activation(name: str) -> nn.Module:
    # in place only where the backward pass does not need the input
    layer: nn.Module = create_act_layer(name, **({"inplace": True} if name in ("relu", "relu6") else {}))
    return layer


def _fold(conv: nn.Conv2d, norm: Any) -> nn.Conv2d:
    """A copy of a convolution with the batch norm behind it folded in."""
    folded = shallow(conv)
    folded.weight, folded.bias = (
        nn.Parameter(values.detach())
        for values in fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
    )
    return folded
