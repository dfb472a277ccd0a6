"""Images of a data set as timm trains and evaluates with them, labelled along a hierarchy."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from timm.data import create_loader
from timm.data.loader import PrefetchLoader, fast_collate
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torch.utils.data import DataLoader

from hierarchy import Hierarchy
from hierarchy.dataset import (
    Problems,
    Relabelling,
    Unreadable,
    find_image_column,
    image_bytes,
    open_data,
    read_features,
    read_labels,
    read_parts,
)
from hierarchy.errors import DataError
from timm_nhl.data.sampler import Batches, Draw, Order
from timm_nhl.data.seeds import ERASE, IMAGE, seed_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from hierarchy.dataset import Numbers


class BrokenImage(DataError):
    """An image that cannot be read.

    Where a worker raises it, torch raises it anew with the worker's traceback for a message, whose end is the problem.

    >>> str(BrokenImage("Caught BrokenImage in worker 0.\\n...\\ntimm_nhl.data.BrokenImage: row 2: no image"))
    'row 2: no image'
    """

    def __init__(self, problem: str) -> None:
        super().__init__([problem.rstrip().rpartition(f"{type(self).__name__}: ")[2]])


@dataclass(frozen=True)
class Images:
    """Images with labels, as a map-style data set of torch's: `images[3]` is (an RGB image of Pillow's, its label).

    Args:
        name: where they come from, for messages.
        data: the split's column of images, undecoded.
        rows: the rows that are taken, in order.
        labels: of these.
        classes: ids by label.
        hierarchy: of these classes, if one is known.
    """

    name: str
    data: Any
    rows: Numbers
    labels: Numbers
    classes: tuple[str, ...]
    hierarchy: Hierarchy | None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        row = int(self.rows[index])
        try:
            with Image.open(io.BytesIO(image_bytes(self.data[row][self._column]))) as image:
                return image.convert("RGB"), int(self.labels[index])
        except Unreadable as fault:
            raise BrokenImage(f"{self.name} row {row}: {fault}") from None
        except Image.DecompressionBombError:
            raise BrokenImage(f"{self.name} row {row}: an image of more pixels than Pillow decodes") from None
        except (OSError, SyntaxError, ValueError) as fault:  # what Pillow raises over broken bytes
            raise BrokenImage(f"{self.name} row {row}: an image that cannot be decoded") from fault

    def part(self, number: int, of: int) -> Images:
        """Every so many-th image, from one on: what one of several processes evaluates."""
        return replace(self, rows=self.rows[number::of], labels=self.labels[number::of])

    @cached_property
    def _column(self) -> str:
        (column,) = self.data.column_names
        return str(column)


def open_images(
    source: str,
    *,
    hierarchy: Hierarchy | None,
    split: str,
    classes: Sequence[str] = (),
    image: str | None = None,
    column: str | None = None,
) -> Images:
    """Opens a split of a data set; images stay undecoded until they are asked for.

    Args:
        source: as for `hierarchy dataset`: a saved folder, parquet, a folder of images, or a name on the Hub.
        hierarchy: gives the labels, by id or else by name; without one they are those of the label column.
        split: which.
        classes: take only these (ids, names and paths), with labels as in `hierarchy.subset(*classes)`.
        image: the column of images; the only one by default.
        column: the label column; `label`, or the only one, by default.

    Raises:
        SourceError: there is no such data set, or no such split of it.
        DataError: with all classes that do not match, and all bad rows.
        UnknownNode, AmbiguousName: of what is asked for, as in `Hierarchy.labels`.
    """
    from datasets import Image as ImageFeature

    part = open_data(source, split=split)
    found = find_image_column(read_features(part), image)
    if hierarchy is None:
        problems = Problems()
        (read,) = read_parts(part, column, None, None, problems) or (None,)
        problems.raise_all()
        assert read is not None  # else there was a problem
        if read.column.values is None:
            raise DataError([f"column {read.column.name!r} holds names, in no order; give a hierarchy of them"])
        rows, labels, ids, tree = np.arange(len(part)), read.numbers, read.values, None
    else:
        ((read,), _) = read_labels(part, hierarchy, column, None)
        placing = Relabelling(hierarchy, hierarchy.labels(*classes) if classes else range(len(hierarchy)))
        new = placing.new(read.numbers)
        rows, tree = np.flatnonzero(new >= 0), placing.small
        labels, ids = new[rows], tree.classes
    undecoded = part.select_columns([found]).cast_column(found, ImageFeature(decode=False))
    return Images(f"{source} {split}", undecoded, rows, labels, tuple(ids), tree)


def eval_batches(
    images: Images, config: Mapping[str, Any], *, batch_size: int, workers: int = 0, device: torch.device | str = "cpu"
) -> Any:
    """Batches in order, resized, cropped and normalised as timm's validate.py does it.

    Args:
        config: of `timm.data.resolve_data_config`.

    Returns:
        A loader of ((B, C, H, W) images, (B,) labels) on the device.
    """
    return create_loader(
        _Transformed(images),  # type: ignore[arg-type]  # all it needs is there
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


def train_batches(
    images: Images,
    config: Mapping[str, Any],
    *,
    transform: Callable[[Image.Image], Any],
    erasing: RandomErasing | None,
    order: Order,
    steps: range,
    process: int = 0,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> Any:
    """Micro batches of one process for some steps: augmented, on the device, normalised, erased.

    What is random about an image is a function of the seed, the epoch and the image's number: not of the batch, the
    process or the worker it is computed in, nor of what was computed before.

    Returns:
        A loader of ((B, C, H, W) images, (B,) labels) on the device.
    """
    loader: DataLoader[Any] = DataLoader(
        _Augmented(images, transform, order.seed),  # type: ignore[arg-type]  # its keys are draws, not numbers
        batch_sampler=Batches(order, steps, process=process),
        num_workers=workers,
        collate_fn=fast_collate,
        pin_memory=torch.device(device).type == "cuda",
    )
    prefetch = PrefetchLoader(loader, mean=config["mean"], std=config["std"], device=torch.device(device))
    if erasing is not None:
        prefetch.random_erasing = _Erased(  # type: ignore[assignment]  # it is called alike
            erasing, order.batches(steps, process=process), order.seed
        )
    return prefetch


class _Transformed:
    """Images with the transform that timm's `create_loader` sets."""

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


class _Erased:
    """Erases parts of a batch's images, each by its epoch and number; called once for each batch, in order."""

    def __init__(self, erasing: RandomErasing, draws: Iterator[list[Draw]], seed: int) -> None:
        self.erasing, self.draws, self.seed = erasing, draws, seed

    def __call__(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), in place."""
        for row, draw in enumerate(next(self.draws)):
            seed_all(self.seed, ERASE, *draw, device=x.device)
            self.erasing(x[row : row + 1])
        return x
