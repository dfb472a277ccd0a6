"""A trained model with the classes of its outputs: a nested model knows them, a plain one may need a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy.dataset import HIERARCHY_FILE, match
from hierarchy.english import count
from hierarchy.io import load
from timm_nhl.errors import EvaluationError
from timm_nhl.export import find_folder, list_label_names, load_model
from timm_nhl.models import NHL


@dataclass(frozen=True)
class Classifier:
    """A trained model in eval mode.

    Args:
        source: where it was loaded from, for messages.
        model: images -> (B, K) scores.
        classes: (K,) the class of each output, by id or by name.
        hierarchy: of these classes, if the model or its folder has one.
    """

    source: str
    model: nn.Module
    classes: tuple[str, ...]
    hierarchy: Hierarchy | None

    def along(self, hierarchy: Hierarchy) -> Classifier:
        """The same with the ids of a hierarchy that has all the classes, by id or else by name.

        Raises:
            EvaluationError: classes that it does not have, or two outputs for one class; all of them are named.
        """
        return replace(self, classes=match_classes(self.source, self.classes, hierarchy))

    def outputs(self, classes: Sequence[str]) -> tuple[int, ...]:
        """The output of each of some classes, by id.

        Raises:
            EvaluationError: classes that have none; the first few are named.
        """
        output_of = {id: output for output, id in enumerate(self.classes)}
        missing = [id for id in classes if id not in output_of]
        if missing:
            some = ", ".join(map(repr, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            raise EvaluationError(f"{self.source!r} has no output for {some}; use a model of these classes")
        return tuple(output_of[id] for id in classes)


def match_classes(source: str, classes: Sequence[str], hierarchy: Hierarchy) -> tuple[str, ...]:
    """The ids of some classes in a hierarchy that has all of them, by id or else by name.

    Raises:
        EvaluationError: classes that it does not have, or two outputs for one class; all of them are named.
    """
    repeated = sorted(name for name, uses in Counter(classes).items() if uses > 1)
    if repeated:
        raise EvaluationError(
            f"{source!r} has several outputs named {', '.join(map(repr, repeated))}; name each class once"
        )
    try:
        label_of = match(classes, hierarchy)
    except HierarchyError as error:
        raise EvaluationError(f"{source!r}: {error}") from None
    return tuple(hierarchy.classes[label_of[name]] for name in classes)


def open_classifier(
    source: str,
    *,
    model: str | None = None,
    hierarchy: str | None = None,
    labels: Sequence[str] | None = None,
) -> Classifier:
    """Opens a trained model, nested or plain.

    Args:
        source: a folder that it was saved to, or a file of weights of a nested one.
        model: the architecture of a file of weights.
        hierarchy: the hierarchy of a file of weights, as `hierarchy.load` takes it.
        labels: the class of each output of a plain model, for a folder whose config does not name them.

    Raises:
        CheckpointError: a file is missing, corrupt or of another model.
        EvaluationError: the classes of a plain model's outputs are not known, or contradict each other.
    """
    is_file = not find_folder(source).is_dir()
    opened = load_model(source, model=model, hierarchy=hierarchy if is_file else None)
    if isinstance(opened, NHL):
        return Classifier(source, opened, opened.hierarchy.classes, opened.hierarchy)
    named = list_label_names(opened)
    classes = tuple(labels or ()) or named
    if classes != named and sorted(classes) == sorted(named):
        raise EvaluationError(
            f"--labels lists the classes of {source!r} in another order than the label_names of its config; remove"
            " --labels, or fix the config"
        )
    if not classes:
        raise EvaluationError(
            f"the classes of the outputs of {source!r} are unknown: its config has no label_names; pass --labels, a"
            " source of its classes in order (a .txt file with one id per line, or imagenet-1k)"
        )
    outputs: Any = opened.num_classes
    if len(classes) != outputs:
        raise EvaluationError(f"expected {count(outputs, 'class')} for the outputs of {source!r}, got {len(classes)}")
    file = find_folder(source) / HIERARCHY_FILE
    return Classifier(source, opened, classes, load(file) if file.is_file() else None)
