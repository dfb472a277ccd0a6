"""timm's augmentations, as the settings ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from timm.data import Mixup, create_transform
from timm.data.random_erasing import RandomErasing

from timm_nhl.errors import OptionError
from timm_nhl.train.config import AugmentSettings


def transform_of(settings: AugmentSettings, config: Mapping[str, Any]) -> Any:
    """The random transform of one image of Pillow's, to a (C, H, W) array of bytes.

    Args:
        config: of `timm.data.resolve_data_config`.

    Raises:
        OptionError: the policy is none of timm's.
    """
    try:
        return _transform(settings, config)
    except (
        AssertionError,
        KeyError,
        ValueError,
        IndexError,
        TypeError,
    ):  # what timm raises over a policy it cannot read
        if settings.aa is None:
            raise
        raise OptionError(
            f"--aa {settings.aa!r} is no policy of timm; like rand-m9-mstd0.5, augmix or original"
        ) from None


def erasing_of(settings: AugmentSettings, device: torch.device) -> RandomErasing | None:
    """Random erasing of normalised images on a device; None where it is off."""
    if settings.no_aug or not settings.reprob:
        return None
    return RandomErasing(settings.reprob, mode=settings.remode, max_count=settings.recount, device=device)


def mixing_of(settings: AugmentSettings, classes: int) -> Mixup | None:
    """Mixup and CutMix, which make (B, K) probabilities of (B,) labels; None where both are off."""
    if not settings.mixup and not settings.cutmix:
        return None
    return Mixup(
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
        prob=settings.mixup_prob,
        switch_prob=settings.mixup_switch_prob,
        mode=settings.mixup_mode,
        label_smoothing=settings.smoothing,
        num_classes=classes,
    )


def _transform(settings: AugmentSettings, config: Mapping[str, Any]) -> Any:
    return create_transform(
        config["input_size"],
        is_training=True,
        use_prefetcher=True,  # bytes: they are normalised on the device
        no_aug=settings.no_aug,
        train_crop_mode=settings.train_crop_mode,
        scale=settings.scale,
        ratio=settings.ratio,
        hflip=settings.hflip,
        vflip=settings.vflip,
        color_jitter=settings.color_jitter,
        auto_augment=settings.aa,
        interpolation=settings.train_interpolation,
        mean=config["mean"],
        std=config["std"],
    )
