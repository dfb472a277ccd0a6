"""The flat classifier that is converted: where it comes from, and which classes of a hierarchy it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from hierarchy import Hierarchy
from hierarchy.dataset import match
from hierarchy.english import count
from hierarchy.errors import nearest
from timm_nhl.errors import OptionError, summarize
from timm_nhl.eval import Classifier, open_classifier
from timm_nhl.export import find_folder, list_label_names
from timm_nhl.models import NHL


@dataclass(frozen=True)
class Teacher:
    """A flat classifier in eval mode, without gradients.

    Args:
        source: where it was loaded from, for messages.
        model: images -> (B, outputs).
        backbone: timm's name of its architecture.
        outputs: (K,) for each class of a hierarchy its output, or -1 if it has none.
        hierarchy: of these classes, if its folder has one.
    """

    source: str
    model: nn.Module
    backbone: str
    outputs: tuple[int, ...]
    hierarchy: Hierarchy | None

    @property
    def known(self) -> torch.Tensor:
        """(K,), whether it has the class."""
        return torch.tensor(self.outputs) >= 0

    @property
    def digest(self) -> str:
        """The SHA-256 of its weights and of what its outputs are."""
        found = hashlib.sha256(repr((self.backbone, self.outputs)).encode())
        for name, value in sorted(self.model.state_dict().items()):
            found.update(name.encode())
            found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return found.hexdigest()

    def along(self, tree: Hierarchy, classes: Sequence[str]) -> Teacher:
        """The same with the outputs of a hierarchy's classes, which are matched by id or else by name.

        Args:
            classes: of its outputs.

        Raises:
            hierarchy.errors.DataError: two outputs for one class, or one for two.
        """
        shared = [name for name in classes if tree.index.candidates(name)]
        label_of = match(shared, tree)
        output_of = {label_of[name]: output for output, name in enumerate(classes) if name in label_of}
        return replace(self, outputs=tuple(output_of.get(label, -1) for label in range(len(tree))))


def open_flat(
    source: str, *, names: tuple[str, ...] | None = None, weights: str | None = None
) -> tuple[Teacher, tuple[str, ...]]:
    """Opens a flat classifier; also returns the class of each of its outputs.

    Args:
        source: a folder of a training or of a saved model, or the name of a timm model.
        names: of its classes, in order, if its config does not name them.
        weights: a file with the weights of a timm model.

    Raises:
        CheckpointError, EvaluationError: a file is missing, corrupt or of another model, or its classes are unknown.
        OptionError: it is nested, timm does not have it, or has no weights for it.
    """
    folder = _find_model(find_folder(source))
    if folder.is_dir() or folder.is_file():
        if weights is not None:
            raise OptionError(f"{source!r} has its own weights; remove --weights")
        opened = open_classifier(str(folder), labels=names)
    else:
        opened = _create(source, names, weights)
    model: Any = opened.model
    if isinstance(model, NHL):
        raise OptionError(f"{source!r} is nested already; convert a flat classifier, or add classes with train --grow")
    backbone = str(model.pretrained_cfg["architecture"])
    return Teacher(source, model.eval().requires_grad_(False), backbone, (), opened.hierarchy), opened.classes


def resize(teacher: Teacher, img_size: int) -> None:
    """Has a classifier take images of another size.

    Raises:
        OptionError: its architecture cannot.
    """
    model: Any = teacher.model
    channels = model.pretrained_cfg["input_size"][0]
    try:
        with torch.no_grad():
            model(torch.zeros(1, channels, img_size, img_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise OptionError(
            f"{teacher.source!r} cannot take images of {img_size} x {img_size} pixels ({summarize(error)}); pass"
            " another --img-size, or leave it out"
        ) from error
    size = (channels, img_size, img_size)
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": size, "test_input_size": None}


def _find_model(folder: Path) -> Path:
    """The best model of a training, else its last; any other path as it is."""
    if folder.is_dir() and not (folder / "config.json").exists():
        return next((folder / name for name in ("best", "last") if (folder / name).is_dir()), folder)
    return folder


def _create(name: str, classes: Sequence[str] | None, weights: str | None) -> Classifier:
    """A timm model with pretrained weights, or with those of a file."""
    known = timm.list_models(include_tags="." in name)
    if name not in known:
        near = nearest(name, known)
        raise OptionError(f"{name!r} is neither a folder of a trained model nor a timm model{near}; check the name")
    options: dict[str, Any] = {}
    if weights is not None:
        if classes is None:
            raise OptionError("--weights needs --labels, a source of the classes of its outputs in order")
        if not Path(weights).is_file():
            raise OptionError(f"no such file: {weights!r}; check --weights")
        options = {
            "num_classes": len(classes),
            "pretrained_cfg_overlay": {"file": weights, "num_classes": len(classes)},
        }
    try:
        model: Any = timm.create_model(name, pretrained=True, **options)
    except (RuntimeError, OSError, ValueError, KeyError) as error:  # no weights, no network, or of another model
        raise OptionError(
            f"cannot load pretrained weights of {name!r}: {summarize(error)}; give a saved folder, or a file with"
            " --weights and --labels"
        ) from error
    named = tuple(classes or list_label_names(model))
    if len(named) != model.num_classes:
        found = count(len(named), "name") if named else "no names"
        raise OptionError(
            f"{name!r} has {model.num_classes} outputs, but {found} for them; pass --labels, a source of its classes in"
            " order (a .txt file with one id per line, or imagenet-1k)"
        )
    return Classifier(name, model, named, None)
