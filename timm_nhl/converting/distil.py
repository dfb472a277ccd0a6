"""Distillation: branches learn what the flat network answers, from what the frozen trunk gives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from timm_nhl.converting.loss import CompletedLoss
from timm_nhl.converting.settings import Conversion
from timm_nhl.data import ORDER, STEP, generator, seed_all
from timm_nhl.errors import TrainingError
from timm_nhl.features import Cached
from timm_nhl.models import NHL

WARM_UP = 0.1  # of all steps
EPOCHS, FEWEST_STEPS = 8, 1500  # not tuned; few images are seen more often


class Distiller:
    """The branches of a network with everything that trains them.

    Args:
        model: its trunk is frozen.
        kept: what the trunk and the teacher give for the images.
        loss: of the branches' logits.
    """

    def __init__(self, model: NHL, kept: Cached, loss: CompletedLoss, settings: Conversion) -> None:
        self.model, self.kept, self.loss, self.settings = model, kept, loss, settings
        self.images = kept.images
        self.labels = torch.from_numpy(kept.labels)
        self.batch_size = min(settings.batch_size, self.images)
        self.steps_per_epoch = self.images // self.batch_size
        self.epochs = settings.epochs or max(EPOCHS, math.ceil(FEWEST_STEPS / self.steps_per_epoch))
        decayed = [value for value in branch_parameters(model) if value.ndim > 1]
        others = [value for value in branch_parameters(model) if value.ndim <= 1]  # norms and biases, as in timm
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self.optimizer: Optimizer = AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    def train_one_epoch(self, epoch: int) -> dict[str, float]:
        """Trains on every image; returns the mean of the loss and of its parts, the learning rate and the seconds.

        Raises:
            TrainingError: the loss is not finite.
        """
        began = time.monotonic()
        device = next(self.model.parameters()).device
        self.model.train()
        self.model.trunk.eval()
        order = torch.from_numpy(generator(self.settings.seed, ORDER, epoch).permutation(self.images))
        sums: dict[str, Tensor] = {}
        for number in range(self.steps_per_epoch):
            step = epoch * self.steps_per_epoch + number
            seed_all(self.settings.seed, STEP, step, device=device)  # of dropout
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * self._lr_factor(step)
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            made = self.kept.read(epoch % self.settings.views, rows.tolist())
            logits = run_branches(self.model, made["trunk"].to(device).float())
            losses = self.loss(logits, made["logits"].to(device), self.labels[rows].to(device))
            self.optimizer.zero_grad()
            losses["loss"].backward()
            self.optimizer.step()
            sums = {name: sums.get(name, 0) + value.detach() for name, value in losses.items()}
        means = {name: float(total) / self.steps_per_epoch for name, total in sums.items()}
        if not math.isfinite(means["loss"]):
            raise TrainingError(
                f"the loss is {means['loss']} in epoch {epoch + 1}; lower --lr, and start in a new folder"
            )
        return {"epoch": epoch + 1, "lr": group["lr"], **means, "seconds": time.monotonic() - began}

    def _lr_factor(self, step: int) -> float:
        """A linear warm-up, then a cosine, so that the last step is close to 0."""
        steps = self.epochs * self.steps_per_epoch
        warm_up = max(1, round(WARM_UP * steps))
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def branch_parameters(model: NHL) -> Iterator[torch.nn.Parameter]:
    """The parameters of levels and head."""
    for part in (model.levels, model.head):
        yield from part.parameters()


def run_branches(model: NHL, x: Tensor) -> Tensor:
    """(B, C, h, w), the trunk's features -> (B, K)."""
    x = x.contiguous(memory_format=torch.channels_last)
    for level in model.levels:
        x = level(x)  # (B, P*C, h, w) -> (B, N*D, h', w')
    return model.forward_head(x)
