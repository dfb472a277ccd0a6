"""What is done to an image before the network sees it, as numbers that every runtime computes alike.

It is timm's evaluation transform: resize, crop the center, normalise. It is built into each graph out of the runtime's
own Pillow-like resampling, so that a device cannot prepare images in another way than the evaluation did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn

from hierarchy.dataset import Unreadable
from timm_nhl.errors import ExportError

INTERPOLATIONS = ("bilinear", "bicubic")
CROP_MODES = ("center", "squash")
MOST_PIXELS = 100_000_000  # of a resized image: 1.2 GB as float32


@dataclass(frozen=True)
class Preparation:
    """How images become the network's input.

    Args:
        input_size: (C, H, W) of what the network takes.
        scale_size: (H, W) that images are resized to before the crop; with `squash` exactly, else the side that is
            relatively shorter.
        mean, std: of each channel, of values between 0 and 1.
        interpolation: `bilinear` or `bicubic`, with Pillow's antialiasing.
        crop_pct: the share of the resized image that the crop keeps.
        crop_mode: `center` keeps the aspect ratio, `squash` does not.
    """

    input_size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str

    @property
    def scale_size(self) -> tuple[int, int]:
        """(H, W)."""
        _, height, width = self.input_size
        return math.floor(height / self.crop_pct), math.floor(width / self.crop_pct)

    @property
    def rounds(self) -> bool:
        """Whether timm rounds the longer side: it truncates for square inputs (torchvision's Resize)."""
        return self.scale_size[0] != self.scale_size[1]

    def check_shape(self, image: Image.Image) -> None:
        """Raises hierarchy.dataset.Unreadable for an image that is so narrow that resizing it takes gigabytes."""
        if self.crop_mode == "center":
            width, height = image.size
            resized = keep_ratio((height, width), self.scale_size, rounds=self.rounds, most=max)
            if math.prod(resized) > MOST_PIXELS:
                raise Unreadable(
                    f"the image is too narrow: resizing would make it {resized[1]:,} x {resized[0]:,} pixels"
                )

    def transform(self, image: Image.Image) -> Tensor:
        """An RGB image -> (C, H, W), by timm itself: what the graphs are compared with.

        Raises:
            hierarchy.dataset.Unreadable: the image is too narrow.
        """
        self.check_shape(image)
        prepared: Tensor = self._create_transform()(image)
        return prepared

    def crop(self, image: Image.Image) -> Image.Image:
        """An RGB image, resized and cropped to the network's size, by timm itself; it is not normalised."""
        pixels = self._create_transform(normalize=False)(image)  # (C, H, W) bytes
        return Image.fromarray(pixels.permute(1, 2, 0).numpy())

    def _create_transform(self, **options: Any) -> Any:
        return create_transform(
            self.input_size,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
            crop_pct=self.crop_pct,
            crop_mode=self.crop_mode,
            **options,
        )

    def scale(self) -> tuple[list[float], list[float]]:
        """(C,) factor and offset that normalise values of 0 to 255."""
        factor = [1 / (255 * std) for std in self.std]
        return factor, [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]


def find_preparation(model: nn.Module, *, img_size: int | None = None) -> Preparation:
    """How the images of a model are prepared, from its config, at its test size unless another is given.

    Raises:
        ExportError: a graph cannot hold it: not RGB, or another crop or interpolation than the graphs have.
    """
    cfg: Any = model.pretrained_cfg
    found = resolve_data_config({"img_size": img_size}, model=model, use_test_size=not cfg.get("fixed_input_size"))
    fix = "export with --raw, and prepare images on the device"
    channels = getattr(model, "in_chans", found["input_size"][0])
    if channels != 3:
        raise ExportError(
            f"the model takes images with {channels} channels; only RGB can be prepared in a graph; {fix}"
        )
    for name, known in (("interpolation", INTERPOLATIONS), ("crop_mode", CROP_MODES)):
        if found[name] not in known:
            raise ExportError(f"{name} {found[name]!r} cannot be built into a graph, only {' and '.join(known)}; {fix}")
    return Preparation(
        tuple(found["input_size"]),
        tuple(found["mean"]),
        tuple(found["std"]),
        found["interpolation"],
        found["crop_pct"],
        found["crop_mode"],
    )


class Prepare(nn.Module):
    """A preparation in torch: (B, H, W, 3) bytes -> (B, 3, h, w)."""

    factor: Tensor
    offset: Tensor

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation
        factor, offset = preparation.scale()
        self.register_buffer("factor", torch.tensor(factor)[:, None, None])
        self.register_buffer("offset", torch.tensor(offset)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        asked, (_, height, width) = self.preparation, self.preparation.input_size
        size: Any = asked.scale_size
        if asked.crop_mode == "center":
            size = keep_ratio(images.shape[1:3], asked.scale_size, rounds=asked.rounds)
        x = nn.functional.interpolate(images.permute(0, 3, 1, 2), size, mode=asked.interpolation, antialias=True)
        for axis, (side, kept) in enumerate(zip(size, (height, width), strict=True), 2):
            rows = torch.arange(kept, device=images.device) + halve(side - kept)
            x = x.index_select(axis, rows)  # a slice would make torch.export guard the sizes
        return x * self.factor + self.offset


def keep_ratio(
    size: Sequence[Any], wanted: tuple[int, int], *, rounds: bool, most: Callable[[int, Any], Any] = torch.sym_max
) -> tuple[Any, Any]:
    """(H, W) of an image that is resized so that it just covers the wanted size; of symbols, too.

    Args:
        most: the larger of two numbers; of tensors another function than of symbols.
    """
    (height, width), (tall, wide) = size, wanted
    twice = 2 if rounds else 1  # floor((2 a + b) / 2 b) rounds a / b
    return (
        most(tall, (twice * height * wide + (width if rounds else 0)) // (twice * width)),
        most(wide, (twice * width * tall + (height if rounds else 0)) // (twice * height)),
    )


def halve(margin: Any) -> Any:
    """Half of an integer, rounded to the even neighbour as torchvision's CenterCrop does.

    >>> [halve(margin) for margin in (1, 3, 5, 6)]
    [0, 2, 2, 3]
    """
    return (margin + (margin // 2) % 2) // 2


def to_array(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An RGB image -> (1, H, W, 3), a graph's input."""
    return np.asarray(image, dtype=np.uint8)[None]
