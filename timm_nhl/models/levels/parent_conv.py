"""A 1x1 convolution from parents to children, for all nodes of a level."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import accumulate, groupby, islice
from operator import itemgetter
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

from timm_nhl.models.levels.layers import join, shallow, take


class ParentConv(nn.Module):
    """A 1x1 convolution from parents to children: (B, P*C, H, W) -> (B, N*D, H/stride, W/stride).

    Siblings read the same maps, so there is one product per parent, a plain `nn.Linear` that computes all children of
    this parent from a view of its channels-last map; nothing is copied per child. `fold` turns the products into plain
    `nn.Conv2d`, which edge compilers handle best (docs/decisions/0010).

    Args:
        counts: number of children of each of the P parents; their sum is N.
        in_channels: channels C of each parent.
        out_channels: channels D of each child.

    >>> ParentConv([2, 1], 8, 4)(torch.zeros(5, 16, 6, 6)).shape
    torch.Size([5, 12, 6, 6])
    """

    def __init__(self, counts: Sequence[int], in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.counts = tuple(counts)
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride
        self.folded = False
        parents = [nn.Linear(in_channels, count * out_channels, bias=False) for count in counts]
        for parent in parents:
            nn.init.normal_(parent.weight, std=(2.0 / out_channels) ** 0.5)  # He, by fan-out, as timm's ResNet
        self.parents = nn.ModuleList(parents)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H/stride, W/stride)."""
        if self.folded:
            if len(self.parents) == 1:
                return cast(Tensor, self.parents[0](x))
            maps = x.split([conv.in_channels for conv in self.parents], dim=1)
            # by index: torch.fx cannot iterate over the result of a split
            return _cat([conv(maps[i]) for i, conv in enumerate(self.parents)], dim=1)
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        # a product of another layout takes another path where weights are frozen, and rounds differently
        x = x.contiguous(memory_format=torch.channels_last)
        maps = x.permute(0, 2, 3, 1).split(self.in_channels, dim=3)  # (B, P*C, H, W) -> P x (B, H, W, C)
        y = _cat([parent(maps[i]) for i, parent in enumerate(self.parents)], dim=3)
        return y.permute(0, 3, 1, 2)  # (B, H, W, N*D) -> (B, N*D, H, W)

    def take(self, rows: Sequence[int], counts: Sequence[int], *, share: bool = False) -> ParentConv:
        """The layer of some children, in the order given; `counts` says how many each kept parent has."""
        starts = [0, *accumulate(self.counts)]
        parent_of = [parent for parent, count in enumerate(self.counts) for _ in range(count)]
        left = iter(rows)
        wanted = {parent_of[row] for row in rows}
        parents = dict(enumerate(self.parents) if not self.folded else _separate(self.parents, wanted))
        kept = [
            _take_siblings(parents, self.counts, list(islice(left, count)), starts, parent_of, share=share)
            for count in counts
        ]
        return self._with(_unite(kept, counts) if self.folded else kept, counts)

    def join(self, other: ParentConv) -> ParentConv:
        """The layer with the parents of both and their children, those of this one in front."""
        return self._with([*self.parents, *other.parents], (*self.counts, *other.counts))

    def fold(self, norm: Any) -> ParentConv:
        """The layer as plain convolutions, with a batch norm of its output folded in, or with none (None).

        Neighbouring parents with equally many children share one convolution, in a group each. The stride is the
        convolution's: an expert of 5 takes 0.6 of the time in ONNX Runtime that it takes with a convolution for each
        parent and a slice for the stride (docs/decisions/0010).
        """
        convs = []
        start = 0
        for parent, count in zip(self.parents, self.counts, strict=True):
            span = slice(start, start + count * self.out_channels)
            convs.append(_fold(parent, norm, span, stride=self.stride))
            start = span.stop
        folded = self._with(_unite(convs, self.counts), self.counts)
        folded.folded = True
        return folded

    def _with(self, parents: Sequence[nn.Module], counts: Sequence[int]) -> ParentConv:
        clone = shallow(self)
        clone.parents = nn.ModuleList(parents)
        clone.parents.training = self.parents.training
        clone.counts = tuple(counts)
        return clone

    def extra_repr(self) -> str:
        return f"{len(self.counts)} parents x {self.in_channels} -> {sum(self.counts)} nodes x {self.out_channels}"


def _cat(parts: list[Tensor], *, dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)


def _take_siblings(
    parents: Mapping[int, nn.Module],
    counts: Sequence[int],
    rows: list[int],
    starts: Sequence[int],
    parent_of: Sequence[int],
    *,
    share: bool,
) -> nn.Module:
    """The product of one kept parent; where a network grew, its children come from an old and a fresh product."""
    sources = sorted({parent_of[row] for row in rows})
    known = [row for source in sources for row in range(starts[source], starts[source] + counts[source])]
    product = reduce(partial(join, siblings=True), [parents[source] for source in sources])
    return take(product, [known.index(row) for row in rows], len(known), siblings=True, share=share)


def _fold(linear: nn.Module, norm: Any, span: slice, *, stride: int) -> nn.Conv2d:
    """A product as a 1x1 convolution, with the channels `span` of a batch norm folded in."""
    assert isinstance(linear, nn.Linear)
    weight = linear.weight[..., None, None]  # (n*D, C) -> (n*D, C, 1, 1)
    bias = linear.bias
    if norm is not None:
        tensors = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        mean, var, factor, offset = (values[span] for values in tensors)
        weight, bias = fuse_conv_bn_weights(weight, bias, mean, var, norm.eps, factor, offset)
    return _conv(weight, bias, stride=(stride, stride), groups=1)


def _unite(convs: Sequence[nn.Module], counts: Sequence[int]) -> list[nn.Conv2d]:
    """One convolution for neighbouring parents with equally many children, in a group each."""
    united = []
    for _, run in groupby(zip(counts, convs, strict=True), key=itemgetter(0)):
        same: list[Any] = [conv for _, conv in run]
        bias = None if same[0].bias is None else torch.cat([conv.bias for conv in same])
        weight = torch.cat([conv.weight for conv in same])  # P x (n*D, C, 1, 1) -> (P*n*D, C, 1, 1)
        united.append(_conv(weight, bias, stride=same[0].stride, groups=len(same)))
    return united


def _separate(convs: Iterable[nn.Module], wanted: Collection[int]) -> Iterator[tuple[int, nn.Conv2d]]:
    """The inverse of `_unite` for some parents: a convolution for each group."""
    parent = 0
    for conv in convs:
        assert isinstance(conv, nn.Conv2d)
        rows = len(conv.weight) // conv.groups
        for group in range(conv.groups):
            if parent in wanted:
                own = slice(group * rows, (group + 1) * rows)
                bias = None if conv.bias is None else conv.bias[own]
                yield parent, _conv(conv.weight[own], bias, stride=conv.stride, groups=1)
            parent += 1


def _conv(weight: Tensor, bias: Tensor | None, *, stride: tuple[int, ...], groups: int) -> nn.Conv2d:
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        len(weight),
        1,
        stride=stride,  # type: ignore[arg-type]  # a pair
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    conv.weight = nn.Parameter(weight.detach())
    conv.bias = None if bias is None else nn.Parameter(bias.detach())
    return conv
