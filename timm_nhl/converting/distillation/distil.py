"""Distillation: branches learn what the flat network answers, from what the frozen trunk gives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from timm_nhl.converting.distillation.draw import Draw
from timm_nhl.converting.distillation.loss import CompletedLoss
from timm_nhl.converting.settings import Conversion
from timm_nhl.data import STEP, seed_all
from timm_nhl.errors import TrainingError
from timm_nhl.features import Cached
from timm_nhl.models import NHL, Level

WARM_UP = 0.1  # of all steps
EPOCHS, FEWEST_STEPS = 8, 400  # 12,000 images have 48 steps an epoch; few images are seen more often


class Distiller:
    """The branches of a network with everything that trains them.

    Each superclass sees images of its own choice (`Draw`): the first level is trained as one in which every superclass
    has its own parent, so a step of all of them is still one pass through the levels.

    Args:
        model: its trunk is frozen.
        kept: what the trunk and the teacher give for the images.
        learned: for each output of the model, its class among all K.
        known: (K,), whether the teacher has the class.
    """

    def __init__(
        self, model: NHL, kept: Cached, learned: Sequence[int], known: Tensor, *, settings: Conversion
    ) -> None:
        self.model, self.kept, self.settings = model, kept, settings
        parts = model.hierarchy.ancestors(1)
        members = [[k for k, own in zip(learned, parts, strict=True) if own == part] for part in range(max(parts) + 1)]
        self.draw = Draw(find_shown(kept, known), members)
        self.device = next(model.parameters()).device
        self.loss = CompletedLoss(
            learned,
            known,
            temperature=settings.temperature,
            label_weight=settings.label_weight,
            smoothing=settings.smoothing,
            parts=parts,
        ).to(self.device)
        self.batch_size = min(settings.batch_size, self.draw.images)
        self.steps_per_epoch = self.draw.images // self.batch_size
        self.epochs = settings.epochs or max(EPOCHS, math.ceil(FEWEST_STEPS / self.steps_per_epoch))
        first, *later = model.each_level()
        self.levels = nn.ModuleList([separate(first), *later])
        values = [value for part in (self.levels, model.head) for value in part.parameters()]
        decayed = [value for value in values if value.ndim > 1]
        others = [value for value in values if value.ndim <= 1]  # norms and biases, as in timm
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self.optimizer: Optimizer = AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)

    def train_one_epoch(self, epoch: int) -> dict[str, float]:
        """Trains on the images of an epoch; returns means of the loss and its parts, the rate and the seconds.

        Raises:
            TrainingError: the loss is not finite.
        """
        began = time.monotonic()
        self.levels.train()
        self.model.head.train()
        order, weights = self.draw.epoch(self.settings.seed, epoch)  # (n, S)
        sums: dict[str, Tensor] = {}
        for number in range(self.steps_per_epoch):
            step = epoch * self.steps_per_epoch + number
            seed_all(self.settings.seed, STEP, step, device=self.device)  # of dropout
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * self._lr_factor(step)
            batch = slice(number * self.batch_size, (number + 1) * self.batch_size)
            losses = self._compute_losses(epoch % self.settings.views, order[batch], weights[batch])
            self.optimizer.zero_grad()
            losses["loss"].backward()
            self.optimizer.step()
            sums = {name: sums.get(name, 0) + value.detach() for name, value in losses.items()}
        counted = self.steps_per_epoch * order.shape[1]  # the loss is a sum over superclasses
        means = {name: float(total) / counted for name, total in sums.items()}
        if not math.isfinite(means["loss"]):
            raise TrainingError(
                f"the loss is {means['loss']} in epoch {epoch + 1}; lower --lr, and start in a new folder"
            )
        self.model.levels[0] = unite(self.levels[0])
        return {"epoch": epoch + 1, "lr": group["lr"], **means, "seconds": time.monotonic() - began}

    def _compute_losses(self, view: int, rows: NDArray[np.int64], weights: NDArray[np.float32]) -> dict[str, Tensor]:
        """The loss of a step, and its parts, for (B, S) images and what they count."""
        made = self.kept.read(view, rows.ravel())
        trunk, teacher = (made[name].to(self.device).unflatten(0, rows.shape) for name in ("trunk", "logits"))
        x = trunk.float().flatten(1, 2)  # (B, S, C, h, w) -> (B, S*C, h, w)
        logits = run_branches(self.levels, self.model.head, x)  # (B, K)
        labels, counted = (torch.from_numpy(values).to(self.device) for values in (self.kept.labels[rows], weights))
        losses: dict[str, Tensor] = self.loss(logits, teacher, labels, counted)
        return losses

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
        self.levels[0].load_state_dict(separate(self.model.levels[0]).state_dict())
        self.optimizer.load_state_dict(state["optimizer"])


def find_shown(kept: Cached, known: Tensor) -> NDArray[np.int64]:
    """(M,): the class that each image shows, by its label, else by the teacher's answer."""
    answers = [
        kept.read(0, rows)["logits"].float().masked_fill(~known, -torch.inf).argmax(1)
        for rows in torch.arange(kept.images).split(1024)
    ]
    return np.where(kept.labels >= 0, kept.labels, torch.cat(answers).numpy())


def separate(first: Any) -> Level:
    """The first level, in which each superclass reads maps of its own: (B, S*C, H, W) -> (B, S*D, H', W')."""
    apart: Level = reduce(lambda made, more: made.join(more), (first.take([node], [1]) for node in range(first.nodes)))
    return apart.to(memory_format=torch.channels_last)


def unite(apart: Any) -> Level:
    """The inverse of `separate`: all superclasses read the same maps, (B, C, H, W)."""
    first: Level = apart.take(range(apart.nodes), [apart.nodes])
    return first.to(memory_format=torch.channels_last)


def run_branches(levels: Iterable[nn.Module], head: nn.Module, x: Tensor) -> Tensor:
    """The trunk's features through levels and head: (B, C, h, w) -> (B, K)."""
    x = x.contiguous(memory_format=torch.channels_last)
    for level in levels:
        x = level(x)  # (B, P*C, h, w) -> (B, N*D, h', w')
    y: Tensor = head(x)
    return y
