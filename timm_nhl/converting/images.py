"""The images of a conversion: those to learn from and those to evaluate on, labelled or not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hierarchy import Hierarchy
from hierarchy.dataset import open_data
from hierarchy.errors import SourceError
from timm_nhl.converting.settings import Conversion
from timm_nhl.data import Images, open_images, open_unlabelled
from timm_nhl.errors import TrainingError

HELD_OUT = 10  # every tenth image evaluates, where the data have no split for it


def open_splits(settings: Conversion, tree: Hierarchy) -> tuple[Images, Images]:
    """The images to learn from and to evaluate on; labels are those of the hierarchy, or all -1.

    Raises:
        HierarchyError: they cannot be read, or do not fit the hierarchy.
        TrainingError: there are too few.
    """
    images = _open(settings, tree, settings.train_split)
    try:
        open_data(settings.source, split=settings.val_split)
    except SourceError:
        images, held_out = hold_out(images, seed=settings.seed)
    else:
        held_out = _open(settings, tree, settings.val_split)
    for part in (images, held_out):
        if not len(part):
            raise TrainingError(f"{part.name} has no images; add some, or pass another --train-split or --val-split")
    return images, held_out


def hold_out(images: Images, *, seed: int) -> tuple[Images, Images]:
    """Two parts of some images, nine tenths and one tenth; each class has its share of both."""
    order = np.random.default_rng(seed).permutation(len(images))
    order = order[np.argsort(images.labels[order], kind="stable")]
    last = np.arange(len(order)) % HELD_OUT == HELD_OUT - 1
    kept, held = (np.sort(order[chosen]) for chosen in (~last, last))
    return (
        replace(images, rows=images.rows[kept], labels=images.labels[kept]),
        replace(images, rows=images.rows[held], labels=images.labels[held], name=f"a tenth of {images.name}"),
    )


def _open(settings: Conversion, tree: Hierarchy, split: str) -> Images:
    if settings.no_labels:
        return open_unlabelled(settings.source, hierarchy=tree, split=split, image=settings.image)
    return open_images(settings.source, hierarchy=tree, split=split, image=settings.image, column=settings.column)
