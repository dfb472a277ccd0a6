"""Bundles on images of their classes, next to the model they are of: rows, drops, and what quantising did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hierarchy import Hierarchy
from timm_nhl.bundle import Bundle, open_bundle
from timm_nhl.costs import Cost, Part
from timm_nhl.data import Images
from timm_nhl.errors import EvaluationError
from timm_nhl.eval.intervals import Estimate, estimate_share
from timm_nhl.eval.metrics import Outcomes, judge
from timm_nhl.eval.model_io import match_classes
from timm_nhl.eval.predict import Track, select_classes, skip_tracking
from timm_nhl.rejection import Array

NAMED_LAYERS = 3


@dataclass(frozen=True)
class Opened:
    """A bundle whose classes are found among those of some images.

    Args:
        name: what rows call it.
        bundle: opened.
        labels: of its classes among the images', ascending.
        columns: the output of each of these.
    """

    name: str
    bundle: Bundle
    labels: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def cost(self) -> Cost:
        """Of the network in it."""
        facts = self.bundle.facts
        return Cost((Part("bundle", facts["params"], facts["macs"], 0),))

    def outputs(self, images: Images, track: Track = skip_tracking) -> dict[str, Array]:
        """What it says of images, one by one: logits in the order of `labels`."""
        found = [self.bundle.predict(image) for image, _ in track(images, self.name)]
        every = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        return {**every, "logits": every["logits"][:, list(self.columns)]}

    def judge(self, images: Images, track: Track = skip_tracking) -> tuple[Hierarchy, Outcomes]:
        """What it predicts for the images of its classes, of which there is one at least, and their hierarchy."""
        some = select_classes(images, self.labels)
        assert some.hierarchy is not None
        logits = torch.from_numpy(self.outputs(some, track)["logits"])
        return some.hierarchy, judge(logits, torch.from_numpy(some.labels), images=some.rows)


def open_bundles(folders: Iterable[str | Path], tree: Hierarchy, *, threads: int | None = None) -> tuple[Opened, ...]:
    """Opens bundles by the first graph that each has.

    Args:
        tree: of the images; it has the bundles' classes, by id or else by name.

    Raises:
        BundleError: a bundle that cannot be opened.
        EvaluationError: a class that the hierarchy does not have.
    """
    found = []
    for folder in folders:
        bundle = open_bundle(folder, threads=threads)
        ids = match_classes(str(folder), [label.id for label in bundle.labels], tree)
        label_of = {id: label for label, id in enumerate(tree.classes)}
        pairs = sorted((label_of[id], output) for output, id in enumerate(ids))
        labels, columns = zip(*pairs, strict=True)
        found.append(Opened(f"{Path(folder).name} ({bundle.precision})", bundle, labels, columns))
    return tuple(found)


@dataclass(frozen=True)
class ClassDrop:
    """How often a model and a bundle of it are right about the images of one class."""

    id: str
    name: str
    images: int
    model: Estimate
    bundle: Estimate


def compare_classes(tree: Hierarchy, model: Outcomes, bundle: Outcomes) -> tuple[ClassDrop, ...]:
    """Each class that has images, largest drop first; both are about the same images."""
    found = []
    for label, (id, name) in enumerate(zip(tree.classes, tree.names, strict=True)):
        own = model.targets == label
        if own.any():
            images = int(own.sum())
            shares = [estimate_share(int(each.correct[own].sum()), images) for each in (model, bundle)]
            found.append(ClassDrop(id, name, images, *shares))
    return tuple(sorted(found, key=lambda each: each.bundle.value - each.model.value))


def check_drop(opened: Opened, model: str, drop: float, most: float) -> None:
    """Makes sure that a bundle is not much less right than its model.

    Args:
        model: the row it is compared with.
        drop: points of top-1 that it loses.
        most: that it may lose.

    Raises:
        EvaluationError: it loses more; with the layers that quantising changed most.
    """
    if drop <= most:
        return
    layers: Sequence[dict[str, Any]] = opened.bundle.facts.get("layers") or ()
    worst = ", ".join(f"{each['output']} ({each['decibels']} dB)" for each in layers[:NAMED_LAYERS])
    said = (
        f"quantising changes {worst} most; calibrate on more images of the classes, or export with --fp16"
        if worst
        else "nothing in it is quantised, so it may be of another model; export the model again"
    )
    raise EvaluationError(
        f"{opened.name!r} loses {drop:.1f} points of top-1 to {model!r}, and --max-drop allows {most:g}; {said}"
    )
