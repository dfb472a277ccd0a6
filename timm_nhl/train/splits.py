"""The images of a training: which split, with which labels, and what is held out if nothing is there to evaluate on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from torch import nn

from hierarchy import Hierarchy, load
from hierarchy.dataset import HIERARCHY_FILE, match, open_data
from hierarchy.english import count
from hierarchy.errors import DataError
from timm_nhl.data import EpochSampler, Images, find_validation, open_images
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.export import load_model
from timm_nhl.models import NHL
from timm_nhl.train.build import check_outputs, list_outputs
from timm_nhl.train.distributed import Process
from timm_nhl.train.settings import Chosen, Facts, Settings, find_start, list_nested_only


@dataclass(frozen=True)
class Splits:
    """The images of a training.

    Args:
        images: to train on.
        val_images: to evaluate on, with the same labels; None if there are none.
        share: of each class that was held out of the training images to evaluate on; 0 if a split was there.
        start: the saved model to train further; None for a new one.
        others: images of classes that this model does not have, which are left out.
    """

    images: Images
    val_images: Images | None
    share: float = 0.0
    start: nn.Module | None = None
    others: int = 0

    def describe(self, process: Process) -> dict[str, Any]:
        """What decides the result of a training besides its settings."""
        labels = hashlib.blake2b(digest_size=16)
        for part in self.parts:
            labels.update("\n".join(part.classes).encode() + part.labels.tobytes())
        hierarchy = self.images.hierarchy
        return {
            "processes": process.world_size,
            "hierarchy": None if hierarchy is None else hierarchy.digest,
            "images": len(self.images),
            "held_out": self.share,
            "labels": labels.hexdigest(),
        }

    @property
    def parts(self) -> list[Images]:
        """The images to train on and, if there are some, those to evaluate on."""
        return [self.images] if self.val_images is None else [self.images, self.val_images]

    def find_facts(self, settings: Settings, process: Process) -> Facts:
        """What the defaults depend on."""
        images, grown = self.images, settings.grow is not None
        nested = (settings.nested or grown) if self.start is None else isinstance(self.start, NHL)
        return Facts(len(images), len(images.classes), find_start(settings), nested, process.world_size)

    def restrict(self, labels: Sequence[int]) -> Splits:
        """The images of some classes alone, in this order. Held-out images stay those that all classes had."""
        images, *rest = [part.restrict(labels) for part in self.parts]
        return replace(self, images=images, val_images=rest[0] if rest else None)


def open_splits(settings: Settings) -> Splits:
    """The images to train and to evaluate on, and the model to train further if there is one.

    Without a validation split, a share of each class of the training images is held out, by the seed.

    Raises:
        HierarchyError: they cannot be read, do not fit the hierarchy or, without one, number their classes differently.
        OptionError: the settings need a hierarchy, or another kind of model.
        CheckpointError: the model cannot be read.
        TrainingError: there is nothing to train or to evaluate on, or the model has other classes.
    """
    start = None if settings.finetune is None else load_model(settings.finetune)
    hierarchy = find_hierarchy(settings)
    if isinstance(start, NHL):
        hierarchy = start.hierarchy if hierarchy is None else start.hierarchy.extend(hierarchy)
    splits = split_images(
        partial(open_split, settings, hierarchy=hierarchy),
        settings.source,
        train_split=settings.train_split,
        val_split=settings.val_split,
        share=settings.val_share,
        seed=settings.seed,
    )
    if start is not None:
        splits = continue_with(start, splits, settings)
    elif settings.classes:
        assert hierarchy is not None  # `find_hierarchy` has made sure
        splits = splits.restrict(hierarchy.labels(*settings.classes))
    return check_not_empty(splits)


def continue_with(start: nn.Module, splits: Splits, settings: Settings) -> Splits:
    """The images of exactly the classes of a model that is trained further, in the order of its outputs.

    Raises:
        OptionError: a setting is for nested models, and this one is plain.
        TrainingError: it does not name its outputs, or names classes that the data do not have.
    """
    assert settings.finetune is not None
    nested, hierarchy = isinstance(start, NHL), splits.images.hierarchy
    given = [] if nested else list_nested_only(settings)
    if given:
        raise OptionError(f"{', '.join(given)}: for nested models only, and {settings.finetune!r} is plain; remove it")
    what, fix = f"the model to fine-tune {settings.finetune!r}", "pass data of the same classes"
    known = list_outputs(start, what=what)
    if hierarchy is None:
        check_outputs(start, splits.images.classes, what=what, fix=fix)
        return replace(splits, start=start)
    try:
        found = match(known, hierarchy)
    except DataError as error:
        raise TrainingError(f"{what} has other classes than the data: {error}") from None
    kept = replace(splits, start=start).restrict([found[name] for name in known])
    others = sum(map(len, splits.parts)) - sum(map(len, kept.parts))
    return replace(kept, others=others)


def check_not_empty(splits: Splits) -> Splits:
    """The same splits.

    Raises:
        TrainingError: there is nothing to train or to evaluate on.
    """
    if not len(splits.images):
        raise TrainingError(f"{splits.images.name} has no image of these classes; pass other data")
    if splits.val_images is None or len(splits.val_images):
        return splits
    if splits.share:
        raise TrainingError(
            f"{splits.images.name} has too few images to hold out {splits.share:g} of each class; raise --val-share, or"
            " pass --val-share 0 to train without evaluation"
        )
    raise TrainingError(f"{splits.val_images.name} has no image of these classes; pass another --val-split")


def split_images(
    open_part: Callable[[str], Images],
    source: str,
    *,
    train_split: str,
    val_split: str | None,
    share: float | None,
    seed: int,
) -> Splits:
    """The images to learn from and to evaluate on: a split, else a share of each class of the first, by the seed.

    Which rows are held out depends on the images and the seed alone, not on how the classes are numbered. Each part may
    be empty.

    Args:
        open_part: opens a split.
        source: of the data.
        val_split: None for the one that the data have, if any.
        share: to hold out where there is no such split; by default as many as the images need, none if 0.
    """
    images = open_part(train_split)
    val_split = val_split or find_validation(source)
    if val_split is not None:
        val_images = open_part(val_split)
        check_same_labels(images, val_images)
        return Splits(images, val_images)
    share = choose_val_share(len(images)) if share is None else share
    if not share:
        return Splits(images, None)
    rest, held_out = images.hold_out(share, seed=seed)
    return Splits(rest, held_out, share)


def choose_val_share(images: int) -> float:
    """A fifth of few images, since a class needs some to be judged by; a tenth of many."""
    return 0.2 if images < 1_000 else 0.1


def open_split(settings: Settings, split: str, *, hierarchy: Hierarchy | None) -> Images:
    """The images of one split, of all classes."""
    return open_images(
        settings.source,
        hierarchy=hierarchy,
        split=split,
        image=settings.image,
        column=settings.column,
    )


def check_same_labels(images: Images, val_images: Images) -> None:
    """Checks that two splits number their classes alike.

    Raises:
        DataError: they do not.
    """
    for label, pair in enumerate(zip_longest(images.classes, val_images.classes)):
        if pair[0] != pair[1]:
            mine, theirs = ("missing" if name is None else repr(name) for name in pair)
            raise DataError(
                [
                    f"label {label} is {mine} in {images.name} and {theirs} in {val_images.name};"
                    " pass --hierarchy to number both"
                ]
            )


def find_hierarchy(settings: Settings) -> Hierarchy | None:
    """The hierarchy of the settings, or the one in the folder of the data."""
    file = Path(settings.source) / HIERARCHY_FILE
    if settings.hierarchy is not None:
        return load(settings.hierarchy)
    if file.is_file():
        return load(file)
    needs = {
        "--grow": settings.grow is not None,
        f"--model {settings.model}": settings.nested and settings.grow is None and settings.finetune is None,
        "--classes": bool(settings.classes),
    }
    flags = [flag for flag, given in needs.items() if given]
    if flags:
        open_data(settings.source)  # data that do not exist are the first problem to report
        raise OptionError(
            f"{' and '.join(flags)} need{'s' * (len(flags) == 1)} a hierarchy; pass --hierarchy, or add {str(file)!r}"
        )
    return None


def create_sampler(settings: Chosen, images: Images, process: Process) -> EpochSampler:
    """The batches of this process.

    Raises:
        TrainingError: there are fewer images than a step needs.
    """
    sampler = EpochSampler(
        len(images),
        batch_size=settings.batch_size,
        seed=settings.seed,
        grad_accum_steps=settings.grad_accum_steps,
        rank=process.rank,
        world_size=process.world_size,
    )
    if not sampler.steps_per_epoch:
        raise TrainingError(
            f"a step needs {count(sampler.step_size, 'image')} (--batch-size {settings.batch_size} x --grad-accum-steps"
            f" {settings.grad_accum_steps} x {process.world_size} processes), but there are {len(images)}; lower"
            " --batch-size"
        )
    return sampler
