"""The end of every branch: pool, then one value per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from timm_nhl.errors import OptionError

POOLS = ("avg", "max", "avgmax", "")
FAST = {"fast": "avg", "fastavg": "avg", "fastmax": "max", "fastavgmax": "avgmax"}  # what timm also calls them


class LeafFC(nn.Module):
    """One fully connected layer of one output per class: (B, K*D) -> (B, K); weight (K, D), bias (K,).

    With `maps`, which `global_pool=""` leaves, a score at every place: (B, K*D, H, W) -> (B, K, H, W).
    Rows and outputs are in node order; `Head` puts them into label order.
    """

    def __init__(self, nodes: int, channels: int) -> None:
        super().__init__()
        self.nodes, self.channels, self.maps = nodes, channels, False
        self.weight = nn.Parameter(torch.empty(nodes, channels))
        self.bias = nn.Parameter(torch.zeros(nodes))
        nn.init.trunc_normal_(self.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.maps:
            x = x.unflatten(1, (self.nodes, self.channels))  # (B, K*D, H, W) -> (B, K, D, H, W)
            return (x * self.weight.unsqueeze(-1).unsqueeze(-1)).sum(2) + self.bias.view(1, -1, 1, 1)
        x = x.view(x.shape[0], self.nodes, self.channels).transpose(0, 1)  # (B, K*D) -> (K, B, D)
        return torch.bmm(x, self.weight.unsqueeze(-1)).squeeze(-1).t() + self.bias

    def extra_repr(self) -> str:
        return f"{self.nodes} classes x {self.channels}"


class Head(nn.Module):
    """Pools every leaf and gives each class its score: (B, K*D, H, W) -> (B, K), in label order.

    Args:
        order: for each label, its place among the leaves (`Hierarchy.ancestors(3)`).
        channels: channels D of a leaf.
        pool: `avg`, `max`, `avgmax`, or `""` for maps that stay maps.
        drop: dropout in front of the classifier.
        classify: False gives the pooled features (B, K*D), in node order.
    """

    if TYPE_CHECKING:  # only then: TorchScript reads annotations of a class when it runs
        order: Tensor

    def __init__(
        self, order: Sequence[int], channels: int, *, pool: str = "avg", drop: float = 0.0, classify: bool = True
    ) -> None:
        super().__init__()
        self.channels = channels
        self.drop = drop
        self.fc: nn.Module = LeafFC(len(order), channels) if classify else nn.Identity()
        self.classify = classify
        self.set_pool(pool)
        self.set_order(order, self.fc.weight.device if isinstance(self.fc, LeafFC) else torch.empty(0).device)

    def set_pool(self, pool: str) -> None:
        """Changes the pooling; raises OptionError for one that does not fit."""
        pool = FAST.get(pool, pool)
        if pool not in POOLS:
            raise OptionError(f"global_pool={pool!r} is none of {', '.join(map(repr, POOLS))}")
        self.global_pool = SelectAdaptivePool2d(pool_type=pool, flatten=bool(pool))
        if isinstance(self.fc, LeafFC):
            self.fc.maps = pool == ""

    def set_order(self, order: Sequence[int], device: torch.device) -> None:
        """Says at which place among the leaves each label is."""
        self.places = list(order)
        self.ordered = self.places == list(range(len(order)))
        self.register_buffer("order", torch.tensor(self.places, dtype=torch.long, device=device), persistent=False)

    def init_non_persistent_buffers(self) -> None:
        """Fills the index buffer again, after a model was built on the meta device (timm's name for it)."""
        self.set_order(self.places, self.order.device)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)  # (B, K*D, H, W) -> (B, K*D)
        if not self.classify:
            return x
        x = F.dropout(x, self.drop, self.training)
        if pre_logits:
            return x
        x = self.fc(x)  # (B, K*D) -> (B, K)
        return x if self.ordered else x.index_select(1, self.order)
