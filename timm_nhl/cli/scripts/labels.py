"""Pairs the labels of timm's datasets with the hierarchy of a nested model while somebody's script runs.

timm numbers the classes of an image folder by sorted name, a hierarchy has an order of its own. A script that gets
both would train and measure the wrong classes without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import timm
import timm.data

from hierarchy import Hierarchy
from hierarchy.dataset import match
from hierarchy.english import count
from hierarchy.errors import HierarchyError
from timm_nhl.errors import OptionError
from timm_nhl.models import NHL

TRUST = "pass --trust-labels to `timm-nhl run` if label i is class i of the hierarchy"


@contextmanager
def paired_labels(notify: Callable[[str], None]) -> Iterator[None]:
    """Numbers the classes of every dataset that timm opens in this block as the model made in it does.

    Args:
        notify: receives a line for each dataset that timm alone would have numbered otherwise.

    Raises:
        OptionError: the classes of a dataset cannot be paired with the model's, or a class map contradicts them.
    """
    labels = _Labels(notify)
    create_reader, create_dataset = timm.data.dataset.create_reader, timm.data.create_dataset
    find_model = timm.models._factory.model_entrypoint

    def paired_reader(name: str, root: Any = None, split: str = "train", **options: Any) -> Any:
        def read(**changes: Any) -> Any:
            return create_reader(name, root=root, split=split, **{**options, **changes})

        return labels.pair(read, source=str(root or name), given=bool(options.get("class_map")))

    def paired_dataset(*args: Any, **options: Any) -> Any:
        dataset = create_dataset(*args, **options)
        if not hasattr(dataset, "reader"):  # of torchvision: timm has no class map for it
            labels.check(
                _classes(dataset), source=str(getattr(dataset, "root", "the dataset")), fix="leave out 'torch/'"
            )
        return dataset

    def seen_model(name: str, *args: Any) -> Any:
        create = find_model(name, *args)

        def make(*args: Any, **options: Any) -> Any:
            model = create(*args, **options)
            labels.see(model)
            return model

        return make

    with (
        patch("timm.data.dataset.create_reader", paired_reader),
        patch("timm.data.create_dataset", paired_dataset),
        patch("timm.data.dataset_factory.create_dataset", paired_dataset),
        patch("timm.models._factory.model_entrypoint", seen_model),
    ):
        yield


def pair(classes: Mapping[str, int], hierarchy: Hierarchy) -> dict[str, int]:
    """The label in a hierarchy of each class of a dataset that the hierarchy has, by id or else by name.

    Raises:
        DataError: a name of two classes, or two names of one class.

    >>> pets = Hierarchy(("n2", "n1"), ("tabby", "hound"), (("mammals", "cats"), ("mammals", "dogs")))
    >>> pair({"hound": 0, "shark": 1, "tabby": 2}, pets)
    {'hound': 1, 'tabby': 0}
    """
    known = {*hierarchy.classes, *hierarchy.names}
    return match([name for name in classes if name in known], hierarchy)


@dataclass
class _Labels:
    """The hierarchy of the last nested model that was made, and the datasets that were opened before it."""

    notify: Callable[[str], None]
    hierarchy: Hierarchy | None = None
    early: list[tuple[Mapping[str, int], str]] = field(default_factory=list)  # (classes, source)

    def see(self, model: Any) -> None:
        """Remembers a model's hierarchy; checks the datasets that were opened before the model was made."""
        if not isinstance(model, NHL) or model.hierarchy == Hierarchy.balanced(len(model.hierarchy)):
            return  # the classes of an anonymous tree have no meaning of their own
        self.hierarchy = model.hierarchy
        for classes, source in self.early:
            self.check(classes, source=source, fix="make the model before the dataset")

    def pair(self, read: Callable[..., Any], *, source: str, given: bool) -> Any:
        """Opens a dataset whose labels are those of the hierarchy.

        Args:
            read: opens it, given a class map or not.
            given: the script has given a class map of its own, which is checked and kept.
        """
        reader = read()
        classes = _classes(reader)
        if self.hierarchy is None or given:
            self.check(classes, source=source, fix="leave out the class map")
            return reader
        paired = self._paired(classes, source)
        moved = sum(label != classes[name] for name, label in paired.items())
        if not moved and len(paired) == len(classes):
            return reader
        others = len(classes) - len(paired)
        left = f"; leaving out {count(others, 'class')} that the hierarchy does not have" if others else ""
        self.notify(f"{source}: taking labels from the model's hierarchy, not from timm's sorted class names{left}")
        return read(class_map=paired)

    def check(self, classes: Mapping[str, int], *, source: str, fix: str) -> None:
        """Compares labels that cannot be changed here with the hierarchy, once a model has one."""
        if self.hierarchy is None:
            self.early.append((classes, source))
            return
        for name, label in self._paired(classes, source).items():
            if classes[name] != label:
                raise OptionError(
                    f"{name!r} has label {classes[name]} in {source!r} and label {label} in the model's hierarchy;"
                    f" {fix}, and `timm-nhl run` pairs labels by class name"
                )

    def _paired(self, classes: Mapping[str, int], source: str) -> dict[str, int]:
        assert self.hierarchy is not None
        try:
            paired = pair(classes, self.hierarchy)
        except HierarchyError as error:
            raise OptionError(f"cannot pair the classes of {source!r} with the model's hierarchy: {error}") from None
        if not paired:
            some = ", ".join(repr(name) for name in list(classes)[:3])
            found = f"its classes (like {some}) are not in it" if classes else "it does not name its classes"
            raise OptionError(
                f"cannot pair the labels of {source!r} with the model's hierarchy: {found}; name the classes by id or"
                f" name, or {TRUST}"
            )
        return paired


def _classes(source: Any) -> Mapping[str, int]:
    """The label of each class, by the name that a reader of timm or a dataset of torchvision knows it by."""
    for name in ("wnid_to_idx", "class_to_idx", "class_name_to_idx"):
        if getattr(source, name, None):
            return dict(getattr(source, name))
    return {}
