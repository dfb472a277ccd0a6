"""What frozen networks give for images: the trunk's features and the flat network's logits, once for each view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from timm_nhl.converting.teacher import Teacher
from timm_nhl.data import Draw, EpochSampler, Images, eval_loader, train_loader
from timm_nhl.models import Trunk

BATCH = 64


class FrozenOutputs(nn.Module):
    """A trunk and a teacher, run together: (B, 3, H, W) -> {"trunk": (B, C, h, w), "logits": (B, K)}.

    Logits of classes that the teacher does not have are 0.
    """

    outputs: Tensor

    def __init__(self, trunk: Trunk, teacher: Teacher) -> None:
        super().__init__()
        self.trunk, self.teacher = trunk, teacher.model
        self.register_buffer("outputs", torch.tensor(teacher.outputs))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.teacher(x)  # (B, outputs)
        known = self.outputs >= 0
        logits = torch.where(known, logits[:, self.outputs.clamp(min=0)], 0.0)  # (B, outputs) -> (B, K)
        return {"trunk": self.trunk(x), "logits": logits}


@dataclass(frozen=True)
class Kept:
    """Outputs in memory, by view and number of the image.

    Args:
        views: name -> (M, ...) for each view.
        labels: (M,).
    """

    views: Sequence[dict[str, Tensor]]
    labels: Tensor

    def read(self, view: int, numbers: Tensor) -> dict[str, Tensor]:
        """The outputs for some images."""
        return {name: values[numbers] for name, values in self.views[view].items()}


def keep_outputs(
    frozen: nn.Module,
    images: Images,
    inputs: Mapping[str, Any],
    *,
    transform: Callable[[Any], Any] | None,
    views: int = 1,
    seed: int = 0,
    workers: int = 0,
    device: torch.device,
) -> Kept:
    """Runs frozen networks over images.

    Args:
        transform: random; None for the one of evaluation.
        views: draws of the transform for each image.
    """
    kept = []
    for view in range(views):
        loader: Any
        if transform is None:
            loader = eval_loader(images, inputs, batch_size=BATCH, workers=workers, device=device)
        else:
            sampler = _InOrder(len(images), batch_size=BATCH, seed=seed)
            sampler.set_epoch(view)
            loader = train_loader(images, inputs, transform=transform, sampler=sampler, workers=workers, device=device)
        parts: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for x, _ in loader:
                made = frozen(x.contiguous(memory_format=torch.channels_last))
                parts.append({name: value.half().cpu() for name, value in made.items()})
        kept.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    return Kept(kept, torch.from_numpy(images.labels))


class _InOrder(EpochSampler):
    """All images in order."""

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in range(0, self.images, self.batch_size):
            yield [Draw(self.epoch, number) for number in range(start, min(start + self.batch_size, self.images))]
