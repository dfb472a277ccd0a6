"""Layers of many branches at once: every parameter has a leading node axis, so picking branches is picking rows.

All take and give maps (B, N*C, H, W) with the channels of node 0 first, in channels-last memory: there a grouped
convolution runs at 80-93 % of a dense one of the same size (docs/decisions/0010), and the columns of one parent are a
view that a matrix product takes as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.fx
import torch.nn.functional as F
from torch import Tensor, nn


class Stacked(nn.Module):
    """A layer of N nodes whose parameters and persistent buffers all have a leading node axis.

    Has `nodes`, their number.
    """

    if TYPE_CHECKING:  # only then: TorchScript reads annotations of a class when it runs
        nodes: int


class PerNode(Stacked):
    """A convolution inside every node: (B, N*C, H, W) -> (B, N*D, H', W').

    weight (N, D, k*k*C), each row a kernel in channels-last order: three axes, so that `model.to(memory_format=...)`
    leaves it alone, and the layout that convolutions in channels-last want.
    """

    def __init__(
        self,
        nodes: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.nodes, self.in_channels, self.out_channels = nodes, in_channels, out_channels
        self.kernel, self.stride, self.depthwise = kernel, stride, depthwise
        inputs = 1 if depthwise else in_channels
        self.weight = nn.Parameter(torch.empty(nodes, out_channels, kernel * kernel * inputs))
        self.bias = nn.Parameter(torch.zeros(nodes, out_channels)) if bias else None
        fan_out = kernel * kernel * (1 if depthwise else out_channels)
        nn.init.normal_(self.weight, std=(2.0 / fan_out) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N*C, H, W) -> (B, N*D, H/stride, W/stride)."""
        inputs = 1 if self.depthwise else self.in_channels
        # (N, D, k*k*C) -> (N*D, C, k, k)
        weight = self.weight.view(-1, self.kernel, self.kernel, inputs).permute(0, 3, 1, 2)
        bias = self.bias
        groups = self.nodes * self.in_channels if self.depthwise else self.nodes
        return F.conv2d(
            x,
            weight,
            None if bias is None else bias.view(-1),
            stride=self.stride,
            padding=self.kernel // 2,
            groups=groups,
        )

    def extra_repr(self) -> str:
        kind = ", depthwise" if self.depthwise else ""
        return (
            f"{self.nodes} x {self.in_channels} -> {self.out_channels}, {self.kernel}x{self.kernel}/{self.stride}{kind}"
        )


class BatchNorm(Stacked):
    """Batch norm of every channel of every node: (B, N*C, H, W) -> the same; weight, bias, mean, variance (N, C).

    Where no gradient is wanted it writes over its input, on the CPU: a new map of this size costs more than the
    product that made it (docs/decisions/0010). All inputs are fresh outputs of a convolution.
    """

    if TYPE_CHECKING:
        running_mean: Tensor
        running_var: Tensor

    def __init__(self, nodes: int, channels: int, *, zero: bool = False) -> None:
        super().__init__()
        self.nodes = nodes
        self.momentum, self.eps = 0.1, 1e-5
        self.weight = nn.Parameter(torch.zeros(nodes, channels) if zero else torch.ones(nodes, channels))
        self.bias = nn.Parameter(torch.zeros(nodes, channels))
        self.register_buffer("running_mean", torch.zeros(nodes, channels))
        self.register_buffer("running_var", torch.ones(nodes, channels))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.jit.is_scripting():  # noqa: SIM102 - TorchScript compiles what stands behind an `and`
            if self._may_overwrite(x):
                factor = self.weight * (self.running_var + self.eps).rsqrt()  # (N, C)
                offset = self.bias - self.running_mean * factor
                return x.mul_(factor.view(1, -1, 1, 1)).add_(offset.view(1, -1, 1, 1))
        return F.batch_norm(
            x,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            self.training,
            self.momentum,
            self.eps,
        )

    @torch.jit.unused
    def _may_overwrite(self, x: Tensor) -> bool:
        if self.training or isinstance(x, torch.fx.Proxy) or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return False
        # in other precisions the sums have to be float32, as batch_norm has them
        return not torch.is_grad_enabled() and x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32


class LayerNorm(Stacked):
    """Layer norm over the channels of one node at one place: (B, N*C, H, W) -> the same; weight, bias (N, C)."""

    def __init__(self, nodes: int, channels: int, *, zero: bool = False) -> None:
        super().__init__()
        self.nodes, self.channels, self.eps = nodes, channels, 1e-6
        self.weight = nn.Parameter(torch.zeros(nodes, channels) if zero else torch.ones(nodes, channels))
        self.bias = nn.Parameter(torch.zeros(nodes, channels))

    def forward(self, x: Tensor) -> Tensor:
        return _layer_norm(x, self.channels, self.eps, self.weight, self.bias)


class PlainLayerNorm(nn.Module):
    """Layer norm over the channels of each parent, without weights: those are in the projections that follow it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.eps = channels, 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return _layer_norm(x, self.channels, self.eps, None, None)


class Scale(Stacked):
    """One factor per channel and node, near zero at first (LayerScale): (B, N*C, H, W) -> the same; weight (N, C)."""

    def __init__(self, nodes: int, channels: int, *, start: float = 1e-6) -> None:
        super().__init__()
        self.nodes = nodes
        self.weight = nn.Parameter(torch.full((nodes, channels), start))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.view(1, -1, 1, 1)


class DropBranch(Stacked):
    """Stochastic depth, drawn for every image and node: (B, N*C, H, W) -> the same; nothing in eval mode."""

    def __init__(self, nodes: int, rate: float) -> None:
        super().__init__()
        self.nodes, self.rate = nodes, rate

    def forward(self, x: Tensor) -> Tensor:
        if self.rate == 0.0 or not self.training:
            return x
        mask = x.new_empty((x.shape[0], self.nodes, 1)).bernoulli_(1.0 - self.rate).div_(1.0 - self.rate)
        mask = mask.expand(-1, -1, x.shape[1] // self.nodes).flatten(1)  # (B, N, 1) -> (B, N*C)
        return x * mask.unsqueeze(-1).unsqueeze(-1)


def _layer_norm(x: Tensor, channels: int, eps: float, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    batch, height, width = x.shape[0], x.shape[2], x.shape[3]
    y = x.permute(0, 2, 3, 1).reshape(batch, height, width, -1, channels)  # (B, N*C, H, W) -> (B, H, W, N, C)
    y = F.layer_norm(y, [channels], None, None, eps)
    if weight is not None and bias is not None:
        y = y * weight + bias
    return y.flatten(3).permute(0, 3, 1, 2)
