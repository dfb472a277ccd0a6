"""Layers of many branches at once: every parameter has a leading node axis, so picking branches is picking rows.

All take and give maps (B, N*C, H, W) with the channels of node 0 first, in channels-last memory: there a grouped
convolution runs at 80-93 % of a dense one of the same size (docs/decisions/0010), and the columns of one parent are a
view that a matrix product takes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.fx
import torch.nn.functional as F
from timm.models import register_notrace_module
from torch import Tensor, nn


class Stacked(nn.Module):
    """A layer of N nodes whose parameters and persistent buffers all have a leading node axis.

    Has `nodes`, their number.
    """

    if TYPE_CHECKING:  # only then: TorchScript reads annotations of a class when it runs
        nodes: int


@register_notrace_module  # one node in the graphs of timm's feature extraction
class PerParent(Stacked):
    """A 1x1 convolution from parents to children: siblings share their parent's activations, which are never copied.

    (B, P*C, H, W) -> (B, N*D, H, W); weight (N, D, C). `counts` is the number of children of each of the P parents.

    Three ways to one result; which runs is nobody's business but this layer's:
    `loop`, one product per parent, on the CPU; `batch`, one batched product for all parents with equally many
    children, on a GPU and in a compiled graph; `convolve`, a grouped convolution for the same, in an exported one.
    """

    if TYPE_CHECKING:
        parent_order: Tensor | None
        child_order: Tensor
        child_place: Tensor | None

    def __init__(
        self, counts: Sequence[int], in_channels: int, out_channels: int, *, bias: bool = False, own: bool = False
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.own = own  # every node is its own parent: the later blocks of a branch
        self.form = "auto"
        self.weight = nn.Parameter(torch.empty(sum(counts), out_channels, in_channels))
        self.bias = nn.Parameter(torch.zeros(sum(counts), out_channels)) if bias else None
        self.set_counts(counts)
        nn.init.normal_(self.weight, std=(2.0 / out_channels) ** 0.5)  # He, by fan-out, as timm's ResNet

    def set_counts(self, counts: Sequence[int]) -> None:
        """Says how many children each parent has, in node order."""
        self.counts = [1] * sum(counts) if self.own else list(counts)
        self.nodes = sum(counts)
        self.private = len(self.counts) == self.nodes and self.nodes > 1  # every node has a parent to itself
        parents, children, self.bucket_sizes = _buckets(self.counts)
        device = self.weight.device
        self.register_buffer("parent_order", _index(parents, device), persistent=False)
        self.register_buffer("child_order", _index(children, device), persistent=False)
        back = None if children is None else sorted(range(self.nodes), key=children.__getitem__)
        self.register_buffer("child_place", _index(back, device), persistent=False)

    def init_non_persistent_buffers(self) -> None:
        """Fills the index buffers again, after a model was built on the meta device (timm's name for it)."""
        self.set_counts(self.counts)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H, W)."""
        if self.private:
            bias = self.bias
            return F.conv2d(
                x,
                self.weight.view(-1, self.in_channels, 1, 1),
                None if bias is None else bias.view(-1),
                groups=self.nodes,
            )
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        if torch.jit.is_scripting():
            y = self._loop(x.permute(0, 2, 3, 1).reshape(-1, len(self.counts) * self.in_channels))
        else:
            form = self._form(x)
            if form == "convolve":
                return self._convolve(x)
            rows = x.permute(0, 2, 3, 1).reshape(-1, len(self.counts) * self.in_channels)  # -> (B*H*W, P*C)
            y = self._loop(rows) if form == "loop" else self._batch(rows)
        # (B*H*W, N*D) -> (B, N*D, H, W)
        return y.view(batch, height, width, self.nodes * self.out_channels).permute(0, 3, 1, 2)

    @torch.jit.unused
    def _form(self, x: Tensor) -> str:
        if self.form != "auto":
            return self.form
        if len(self.counts) == 1 or isinstance(x, torch.fx.Proxy):  # a traced input has no device yet
            return "loop"
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            return "convolve"
        return "batch" if x.device.type != "cpu" or torch.compiler.is_compiling() else "loop"

    def _loop(self, rows: Tensor) -> Tensor:
        """(B*H*W, P*C) -> (B*H*W, N*D), a product per parent."""
        weight, bias = self.weight.view(-1, self.in_channels), self.bias
        if len(self.counts) == 1:
            return F.linear(rows, weight, None if bias is None else bias.view(-1))
        xs = rows.split(self.in_channels, dim=1)  # split, not slices: its backward is one concatenation
        ws = weight.split([count * self.out_channels for count in self.counts])
        ys = [torch.mm(xs[i], ws[i].t()) for i in range(len(ws))]
        y = torch.cat(ys, dim=1)
        return y if bias is None else y + bias.view(-1)

    @torch.jit.unused
    def _batch(self, rows: Tensor) -> Tensor:
        """(B*H*W, P*C) -> (B*H*W, N*D), a batched product for all parents with equally many children."""
        x = rows.view(-1, len(self.counts), self.in_channels)
        weight: Tensor = self.weight
        if self.parent_order is not None:
            x, weight = x.index_select(1, self.parent_order), weight.index_select(0, self.child_order)
        xs = x.split([parents for parents, _ in self.bucket_sizes], dim=1)
        ws = weight.split([parents * count for parents, count in self.bucket_sizes])
        ys = []
        for i, (parents, _) in enumerate(self.bucket_sizes):  # by index: torch.fx cannot iterate over a split
            w = ws[i].reshape(parents, -1, self.in_channels)  # (P', n*D, C) for P' parents of n children
            y = torch.bmm(xs[i].transpose(0, 1), w.transpose(1, 2))  # (P', B*H*W, C) -> (P', B*H*W, n*D)
            ys.append(y.transpose(0, 1).flatten(1))
        y = ys[0] if len(ys) == 1 else torch.cat(ys, dim=1)
        if self.child_place is not None:
            y = y.view(-1, self.nodes, self.out_channels).index_select(1, self.child_place).flatten(1)
        return y if self.bias is None else y + self.bias.view(-1)

    @torch.jit.unused
    def _convolve(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H, W), a grouped convolution for all parents with equally many children."""
        height, width = x.shape[2], x.shape[3]
        weight: Tensor = self.weight
        if self.parent_order is not None:
            x = x.unflatten(1, (len(self.counts), self.in_channels)).index_select(1, self.parent_order).flatten(1, 2)
            weight = weight.index_select(0, self.child_order)
        xs = x.split([parents * self.in_channels for parents, _ in self.bucket_sizes], dim=1)
        ws = weight.split([parents * count for parents, count in self.bucket_sizes])
        ys = []
        for i, (parents, _) in enumerate(self.bucket_sizes):
            ys.append(F.conv2d(xs[i], ws[i].reshape(-1, self.in_channels, 1, 1), groups=parents))
        y = ys[0] if len(ys) == 1 else torch.cat(ys, dim=1)
        if self.child_place is not None:
            y = y.unflatten(1, (self.nodes, self.out_channels)).index_select(1, self.child_place).flatten(1, 2)
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1).expand(1, -1, height, width)

    def extra_repr(self) -> str:
        return f"{len(self.counts)} parents x {self.in_channels} -> {self.nodes} nodes x {self.out_channels}"


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


def fold(layer: PerParent | PerNode, norm: BatchNorm) -> None:
    """Writes a batch norm's eval-mode factor and offset into the convolution in front of it."""
    factor = norm.weight / (norm.running_var + norm.eps).sqrt()  # (N, D)
    offset = norm.bias - norm.running_mean * factor
    if layer.bias is not None:
        offset = offset + layer.bias * factor
    layer.weight = nn.Parameter((layer.weight * factor.unsqueeze(-1)).detach())
    layer.bias = nn.Parameter(offset.detach())


def _layer_norm(x: Tensor, channels: int, eps: float, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    batch, height, width = x.shape[0], x.shape[2], x.shape[3]
    y = x.permute(0, 2, 3, 1).reshape(batch, height, width, -1, channels)  # (B, N*C, H, W) -> (B, H, W, N, C)
    y = F.layer_norm(y, [channels], None, None, eps)
    if weight is not None and bias is not None:
        y = y * weight + bias
    return y.flatten(3).permute(0, 3, 1, 2)


def _index(rows: Sequence[int] | None, device: torch.device) -> Tensor | None:
    return None if rows is None else torch.tensor(rows, dtype=torch.long, device=device)


def _buckets(counts: Sequence[int]) -> tuple[list[int] | None, list[int] | None, list[tuple[int, int]]]:
    """Sorts parents by their number of children.

    Returns the order of the parents and of the children (None where it is the order they have) and, for each number
    of children that occurs, (parents with it, that number).

    >>> _buckets([2, 1, 2])
    ([1, 0, 2], [2, 0, 1, 3, 4], [(1, 1), (2, 2)])
    """
    order = sorted(range(len(counts)), key=counts.__getitem__)
    starts = [0]
    for count in counts:
        starts.append(starts[-1] + count)
    children = [child for parent in order for child in range(starts[parent], starts[parent + 1])]
    sizes = [(sum(count == size for count in counts), size) for size in sorted(set(counts))]
    if order == list(range(len(counts))):
        return None, None, sizes
    return order, children, sizes
