"""The images of a conversion: those to learn from and those to evaluate on, labelled or not."""

from __future__ import annotations

from functools import partial

from hierarchy import Hierarchy
from hierarchy.errors import DataError
from timm_nhl.converting.settings import Conversion
from timm_nhl.data import Images, open_images, open_unlabelled
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.train import Splits, split_images


def open_splits(settings: Conversion, tree: Hierarchy) -> Splits:
    """The images to learn from and to evaluate on, as a training finds them; labels are of the hierarchy, or all -1.

    Raises:
        HierarchyError: they cannot be read, or do not fit the hierarchy.
        TrainingError: there are too few.
    """
    splits = split_images(
        partial(_open, settings, tree),
        settings.source,
        train_split=settings.train_split,
        val_split=settings.val_split,
        share=settings.val_share,
        seed=settings.seed,
    )
    assert splits.val_images is not None  # since the share is not 0
    if splits.share and len(splits.images) and not len(splits.val_images):
        raise TrainingError(
            f"{splits.images.name} has too few images to hold out {splits.share:g} of each class; raise --val-share,"
            " or pass --val-split"
        )
    for part in (splits.images, splits.val_images):
        if not len(part):
            raise TrainingError(f"{part.name} has no images; add some, or pass another --train-split or --val-split")
    return splits


def _open(settings: Conversion, tree: Hierarchy, split: str) -> Images:
    unlabelled = partial(open_unlabelled, settings.source, hierarchy=tree, split=split, image=settings.image)
    if settings.no_labels:
        return unlabelled()
    try:
        return open_images(settings.source, hierarchy=tree, split=split, image=settings.image, column=settings.column)
    except DataError as error:
        unlabelled()  # says what is wrong, if it is not the labels
        raise OptionError(f"{error}; or pass --no-labels, for MODEL's answers to teach") from None
