"""A 1x1 convolution from parents to children, of all nodes of a level at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.fx
import torch.nn.functional as F
from timm.models import register_notrace_module
from torch import Tensor, nn

from timm_nhl.models.layers import Stacked


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
        if torch.compiler.is_compiling():
            return "batch"
        return "loop" if x.device.type == "cpu" else "batch"

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
