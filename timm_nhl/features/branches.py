"""A nested network in two halves: what is computed once, and what is trained on it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from timm_nhl.data import BlockSampler, EpochSampler
from timm_nhl.features.cache import Cached
from timm_nhl.models import NHL

TRUNK = "trunk"  # the output's name


class TrunkOutputs(nn.Module):
    """The trunk of a nested network, as `cache_outputs` takes it."""

    def __init__(self, model: NHL) -> None:
        super().__init__()
        self.trunk = model.trunk

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> (B, C, h, w), named `trunk`."""
        return {TRUNK: self.trunk(x)}


class OnFeatures(nn.Module):
    """A nested network whose input is what its trunk gives."""

    def __init__(self, model: NHL) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K), in label order."""
        for level in self.model.levels:
            x = level(x)  # (B, P*C, h, w) -> (B, N*D, h', w')
        return self.model.forward_head(x)


class FeatureLoader:
    """The batches of a training as kept features instead of images: epoch e sees view e, or e modulo their number.

    Args:
        name: of the output.
    """

    def __init__(
        self, cached: Cached, sampler: EpochSampler | BlockSampler, name: str, *, device: torch.device
    ) -> None:
        self.cached, self.sampler, self.name, self.device = cached, sampler, name, device

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """((B, C, h, w) features, (B,) labels) of each batch."""
        for draws in self.sampler:
            numbers = [draw.number for draw in draws]
            x = self.cached.read(draws[0].epoch % self.cached.views, numbers)[self.name]
            target = torch.as_tensor(self.cached.labels[numbers])
            yield x.to(self.device, torch.float32), target.to(self.device)
