"""A trained model that another one learns from."""

from __future__ import annotations

import os
from collections.abc import Sequence

from torch import nn

from timm_nhl.errors import TrainingError
from timm_nhl.eval.model_io import names_of
from timm_nhl.export import load_model
from timm_nhl.models.nhl import NHL


def teacher_of(folder: str | os.PathLike[str], *, classes: Sequence[str]) -> nn.Module:
    """Loads a saved model, plain or nested, that knows just these classes.

    Raises:
        CheckpointError: the folder holds no model, or a broken one.
        TrainingError: it has other classes, or the same in another order.
    """
    teacher = load_model(folder)
    known = classes_of(teacher)
    if known is None and teacher.num_classes != len(classes):
        raise TrainingError(
            f"the teacher in {str(folder)!r} has {teacher.num_classes} classes, this training {len(classes)};"
            " give one that was trained on the same"
        )
    if known is not None and known != tuple(classes):
        strange = [name for name in known if name not in classes] or [name for name in classes if name not in known]
        about = f"only one has {strange[0]!r}" if strange else "the order is another"
        raise TrainingError(
            f"the teacher in {str(folder)!r} has {len(known)} classes, this training {len(classes)}, and {about};"
            " give one that was trained on the same"
        )
    return teacher.requires_grad_(False)


def classes_of(model: nn.Module) -> tuple[str, ...] | None:
    """The ids of a model's classes, by label, where it says so."""
    if isinstance(model, NHL):
        return model.hierarchy.classes
    names = names_of(model)
    return names if names and len(names) == model.num_classes else None
