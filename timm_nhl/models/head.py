"""The end of every branch: pool, then one value per class."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn

from timm_nhl.errors import OptionError
from timm_nhl.models.levels import join, shallow, take

POOLS = ("avg", "max", "avgmax", "")
FAST = {"fast": "avg", "fastavg": "avg", "fastmax": "max", "fastavgmax": "avgmax"}  # timm's other names of them


class LeafFC(nn.Module):
    """One fully connected layer of one output per class: (B, K*D) -> (B, K); weight (K, D), bias (K,).

    With `maps`, which `global_pool=""` leaves, a score at every place: (B, K*D, H, W) -> (B, K, H, W).
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.out_features, self.channels = classes, channels
        self.maps = self.folded = False
        self.weight = nn.Parameter(torch.empty(classes, channels))
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.trunc_normal_(self.weight, std=channels**-0.5)

    def fuse(self) -> LeafFC:
        """A copy that computes by a grouped convolution, the form that compilers and quantizers handle best.

        timm's `reparameterize_model` calls this. Training keeps the product, which is 4 times as fast in PyTorch.
        """
        fused = shallow(self)
        if not self.folded:
            fused.weight = nn.Parameter(self.weight.detach()[..., None, None])  # (K, D) -> (K, D, 1, 1)
            fused.folded = True
        return fused

    def forward(self, x: Tensor) -> Tensor:
        if self.folded:
            x = x if self.maps else x[..., None, None]  # (B, K*D) -> (B, K*D, 1, 1)
            y = F.conv2d(x, self.weight, self.bias, groups=self.out_features)
            return y if self.maps else y.flatten(1)  # (B, K, 1, 1) -> (B, K)
        x = x.unflatten(1, (self.out_features, self.channels))  # (B, K*D, ...) -> (B, K, D, ...)
        if self.maps:
            return (x * self.weight[..., None, None]).sum(2) + self.bias[:, None, None]
        y = torch.bmm(x.transpose(0, 1), self.weight.unsqueeze(-1))  # (K, B, D) x (K, D, 1) -> (K, B, 1)
        return y.squeeze(-1).t() + self.bias

    def extra_repr(self) -> str:
        return f"{self.out_features} classes x {self.channels}"


class Head(nn.Module):
    """Pools every leaf and gives each class its score: (B, K*D, H, W) -> (B, K).

    Leaves come in node order; behind the pooling everything is in label order, the classifier's weights too.

    Args:
        order: for each label, its place among the leaves (`Hierarchy.ancestors(3)`).
        channels: channels D of a leaf.
        pool: `avg`, `max`, `avgmax`, or `""` for maps that stay maps.
        drop: dropout in front of the classifier.
        classify: False gives the features (B, K*D).

    Raises:
        OptionError: a pooling that does not fit.
    """

    order: Tensor

    def __init__(
        self, order: Sequence[int], channels: int, *, pool: str = "avg", drop: float = 0.0, classify: bool = True
    ) -> None:
        super().__init__()
        self.channels, self.drop, self.classify = channels, drop, classify
        self.fc: nn.Module = LeafFC(len(order), channels) if classify else nn.Identity()
        self.set_pool(pool)
        self.set_order(order)

    def set_pool(self, pool: str) -> None:
        """Changes the pooling; raises OptionError for one that does not fit."""
        pool = FAST.get(pool, pool)
        if pool not in POOLS:
            raise OptionError(f"global_pool={pool!r} is not available; use one of {', '.join(map(repr, POOLS))}")
        self.global_pool = SelectAdaptivePool2d(pool_type=pool, flatten=bool(pool))
        if isinstance(self.fc, LeafFC):
            self.fc.maps = pool == ""

    def set_order(self, order: Sequence[int], device: torch.device | None = None) -> None:
        """Says at which place among the leaves each label is."""
        self.places = list(order)
        self.in_order = self.places == list(range(len(self.places)))
        self.register_buffer("order", torch.tensor(self.places, dtype=torch.long, device=device), persistent=False)

    def init_non_persistent_buffers(self) -> None:
        """Fills the index buffer again, after a model was built on the meta device (timm's name for it)."""
        self.set_order(self.places, self.order.device)

    def take(self, labels: Sequence[int], order: Sequence[int], *, share: bool = False) -> Head:
        """The head of some classes, by their labels in the order given.

        Args:
            order: for each of these classes, its place among the leaves that are left.
            share: use views of the weights, where the labels lie side by side, instead of copies.
        """
        head = shallow(self)
        head.global_pool = copy.deepcopy(self.global_pool)
        leaf = self.fc
        head.fc = take(leaf, labels, leaf.out_features, share=share) if isinstance(leaf, LeafFC) else nn.Identity()
        head.set_order(order, self.order.device)
        return head

    def join(self, other: Head) -> Head:
        """The head of the classes of both, those of this one in front, before they are brought into order by `take`."""
        head = copy.deepcopy(self)
        head.fc = join(self.fc, other.fc)
        return head

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)  # (B, K*D, H, W) -> (B, K*D)
        if not self.in_order:  # node order -> label order
            x = x.unflatten(1, (len(self.places), self.channels)).index_select(1, self.order).flatten(1, 2)
        if not self.classify:
            return x
        x = F.dropout(x, self.drop, self.training)
        return x if pre_logits else self.fc(x)  # (B, K*D) -> (B, K)
