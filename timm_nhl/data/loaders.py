"""Loaders that feed images to training and evaluation as timm's do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from timm.data import create_loader
from timm.data.loader import PrefetchLoader, fast_collate
from torch.utils.data import DataLoader

from timm_nhl.data.images import Images
from timm_nhl.data.sampler import BlockSampler, Draw, EpochSampler
from timm_nhl.data.seeds import IMAGE, seed_all


def eval_loader(
    images: Images, config: Mapping[str, Any], *, batch_size: int, workers: int = 0, device: torch.device | str = "cpu"
) -> Any:
    """Batches in order, resized, cropped and normalised as in timm's validate.py.

    Args:
        config: from `timm.data.resolve_data_config`.

    Returns:
        A loader of ((B, C, H, W) images, (B,) labels) on the device.
    """
    return create_loader(
        _Transformed(images),  # type: ignore[arg-type]  # it has what timm asks of a dataset
        input_size=config["input_size"],
        batch_size=batch_size,
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        num_workers=workers,
        device=torch.device(device),
        persistent_workers=False,
    )


def train_loader(
    images: Images,
    config: Mapping[str, Any],
    *,
    transform: Callable[[Image.Image], Any],
    sampler: EpochSampler | BlockSampler,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> Any:
    """The sampler's batches, augmented and normalised.

    The augmentation of an image is a function of the seed, the epoch and the image's number, not of the batch, the
    process or the worker.

    Args:
        config: from `timm.data.resolve_data_config`.
        transform: an image -> a (C, H, W) array of bytes.

    Returns:
        A loader of ((B, C, H, W) images, (B,) labels) on the device; each iteration is the sampler's epoch.
    """
    loader: DataLoader[Any] = DataLoader(
        _Augmented(images, transform, sampler.seed),  # type: ignore[arg-type]  # its keys are draws, not numbers
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=fast_collate,
        pin_memory=torch.device(device).type == "cuda",
        persistent_workers=workers > 0 and isinstance(sampler, EpochSampler),
    )
    return PrefetchLoader(loader, mean=config["mean"], std=config["std"], device=torch.device(device))


class _Transformed:
    """Images under the transform that timm's `create_loader` sets."""

    transform: Any = None

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, label = self.images[index]
        return self.transform(image), label


@dataclass(frozen=True)
class _Augmented:
    """Images under a random transform, by epoch and number."""

    images: Images
    transform: Callable[[Image.Image], Any]
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw) -> tuple[Any, int]:
        image, label = self.images[draw.number]
        seed_all(self.seed, IMAGE, *draw)
        return self.transform(image), label
