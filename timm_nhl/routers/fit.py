"""Fits a router to the features of a trained network."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from timm_nhl.errors import TrainingError
from timm_nhl.models import NHL

BATCH, LR = 256, 3e-3
SMOOTHING = 0.1  # as a training's: probabilities on unseen images are then less extreme


def fit_router(model: NHL, batches: Iterable[tuple[Tensor, Tensor]], *, epochs: int = 25, seed: int = 0) -> None:
    """Gives a trained network a router, or replaces its router; no other weight changes.

    The trunk runs once over the images; the linear layer is then fitted to what it gave, in seconds.

    Args:
        model: has a classifier. It is left in eval mode.
        batches: ((B, C, H, W) images, (B,) labels of the model), as those of `timm_nhl.data.eval_loader`; for a
            network of all classes images of all of them.
        epochs: passes over the features.
        seed: of their order.

    Raises:
        TrainingError: there are no images, or the model has no classifier.
    """
    if not model.head.classify:
        raise TrainingError("a model without a classifier has no groups to score; fit a router before removing it")
    model.eval()
    router = model.add_router()
    pooled, groups = [], []
    group_of = torch.tensor(model.hierarchy.ancestors(2), device=router.own.device)  # (K,)
    with torch.no_grad():
        for x, labels in batches:
            pooled.append(router.pool(model.trunk(x)).float())
            groups.append(group_of[labels.to(group_of.device)])
    if not pooled:
        raise TrainingError("no images to fit a router to; check the split and the classes")
    features, targets = torch.cat(pooled), torch.cat(groups)  # (M, 9*C), (M,)
    router.norm.running_mean = features.mean(0).to(router.fc.weight.dtype)
    router.norm.running_var = features.var(0, unbiased=False).to(router.fc.weight.dtype)
    with torch.no_grad():
        features = router.norm(features.to(router.fc.weight.dtype))
    _descend(router.fc, features, targets, epochs=epochs, seed=seed)


def _descend(fc: torch.nn.Linear, features: Tensor, targets: Tensor, *, epochs: int, seed: int) -> None:
    """AdamW on the cross-entropy, its rate falling along a cosine."""
    steps = epochs * math.ceil(len(features) / BATCH)
    optimizer = torch.optim.AdamW(fc.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.randperm(len(features), generator=generator).to(features.device).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(fc(features[rows]).float(), targets[rows], label_smoothing=SMOOTHING).backward()
                optimizer.step()
                schedule.step()
    optimizer.zero_grad()
