"""One level of the tree: all branches of one depth, computed together."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from timm_nhl.models.levels.blocks import Bottleneck
from timm_nhl.models.levels.branch import Branch
from timm_nhl.models.levels.layers import shallow
from timm_nhl.models.levels.parent_conv import ParentConv


class Level(nn.Module):
    """All branches of one depth: (B, P*C, H, W) -> (B, N*D, H/stride, W/stride), nodes in the hierarchy's order.

    Args:
        counts: number of children of each of the P parents; their sum is N.
        in_channels: channels C of each parent.
        branch: sizes and options of each of the N branches; D is `branch.features`.

    >>> import torch
    >>> level = Level([2, 1], 8, Branch(width=4, stride=2))
    >>> level(torch.zeros(5, 16, 6, 6)).shape
    torch.Size([5, 48, 3, 3])
    >>> level.take([2], [1])(torch.zeros(5, 8, 6, 6)).shape
    torch.Size([5, 16, 3, 3])
    """

    def __init__(self, counts: Sequence[int], in_channels: int, branch: Branch) -> None:
        super().__init__()
        self.branch = branch
        self.in_channels, self.out_channels = in_channels, branch.features
        self.grad_checkpointing = False
        self.nodes = sum(counts)
        later = [Bottleneck([1] * self.nodes, branch.features, branch, first=False) for _ in range(branch.depth - 1)]
        self.blocks = nn.Sequential(Bottleneck(counts, in_channels, branch, first=True), *later)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P*C, H, W) -> (B, N*D, H', W')."""
        y: Tensor = checkpoint(self.blocks, x, use_reentrant=False) if self.grad_checkpointing else self.blocks(x)
        return y

    def count(self, size: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
        """Counts one node on maps of a height and width.

        Returns its multiply-accumulates, the elements that its convolutions give, and the height and width it gives.
        """
        macs = outputs = 0
        for block in self._each_block():
            more_macs, more_outputs, size = block.count(size)
            macs, outputs = macs + more_macs, outputs + more_outputs
        return macs, outputs, size

    def take(self, rows: Sequence[int], counts: Sequence[int], *, share: bool = False) -> Level:
        """The level of some nodes, in the order given.

        Args:
            rows: the nodes to keep.
            counts: how many of them each parent that is left has.
            share: use views of the weights, where the nodes lie side by side, instead of copies.
        """
        first, *later = self._each_block()
        kept = [first.take(rows, counts, share=share), *(block.take(rows, (), share=share) for block in later)]
        return self._with(kept, nodes=len(rows))

    def join(self, other: Level) -> Level:
        """The level with the nodes of both, those of this one in front, and with its settings.

        Their parents count as different ones; `take` brings siblings together.
        """
        pairs = zip(self._each_block(), other._each_block(), strict=True)
        return self._with([block.join(more) for block, more in pairs], nodes=self.nodes + other.nodes)

    def fuse(self) -> Level:
        """A copy for inference: batch norms folded into convolutions, all of which are plain `nn.Conv2d`.

        timm's `reparameterize_model` calls this for each level.
        """
        level = copy.deepcopy(self)
        if self.fused:
            return level
        return level._with([block.fold() for block in level._each_block()], nodes=self.nodes).eval()

    @property
    def fused(self) -> bool:
        """Whether this is a copy that `fuse` made."""
        reduce = self._each_block()[0].reduce
        return isinstance(reduce, ParentConv) and reduce.folded

    def _each_block(self) -> list[Bottleneck]:
        return [block for block in self.blocks if isinstance(block, Bottleneck)]

    def _with(self, blocks: Sequence[nn.Module], *, nodes: int) -> Level:
        level = shallow(self)
        level.blocks = nn.Sequential(*blocks)
        level.blocks.training = self.blocks.training
        level.nodes = nodes
        return level

    def extra_repr(self) -> str:
        return f"{self.nodes} nodes x {self.out_channels}"
