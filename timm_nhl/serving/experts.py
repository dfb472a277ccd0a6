"""Experts of one network, opened on request, kept by what they were asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

from timm_nhl.costs import Cost, CostCounter
from timm_nhl.errors import OptionError
from timm_nhl.experts import resolve_labels
from timm_nhl.models import NHL

SIZE = 128  # experts that are kept


class Experts:
    """Experts of one network for any classes, on its weights; threads may open and run them at the same time.

    The same classes give the same module until it is dropped, the one that was opened longest ago first. Dtype, device
    and mode of one expert are its own: `half()` of one changes neither the network nor another expert. Weights are
    shared, so none of them is meant to be trained.

    Args:
        model: the network, in eval mode.
        size: how many experts are kept.

    Raises:
        OptionError: the model is in train mode, or `size` is less than 1.

    >>> import timm, timm_nhl
    >>> experts = Experts(timm.create_model("test_resnet_nhl", num_classes=8).eval())
    >>> experts.open(["class 3", "class 5"]) is experts.open(["class 5", "class 3"])
    True
    """

    def __init__(self, model: NHL, *, size: int = SIZE) -> None:
        if model.training:
            raise OptionError("experts are opened to be run, and the model is in train mode; call model.eval()")
        if size < 1:
            raise OptionError(f"size={size} keeps no expert; use 1 or more")
        self.model, self.size = model, size
        self._kept: OrderedDict[tuple[int, ...], NHL] = OrderedDict()
        self._labels: OrderedDict[tuple[str, ...], tuple[int, ...]] = OrderedDict()  # of what was asked for
        self._counter: CostCounter | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def open(self, classes: str | Iterable[str]) -> NHL:
        """The expert of some classes, as `NHL.expert` takes them; its logits are in the network's label order.

        Raises:
            hierarchy.errors.UnknownNode, AmbiguousName: something asked for is not in the hierarchy.
            OptionError: nothing is asked for.
        """
        labels = self._resolve(classes)
        with self._lock:
            found = self._kept.get(labels)
            if found is None:
                ids = [self.model.hierarchy.classes[label] for label in labels]
                found = self._kept[labels] = self.model.expert(ids, share=True)
                if len(self._kept) > self.size:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(labels)
        return found

    def cost(self, classes: str | Iterable[str]) -> Cost:
        """What the expert of some classes costs; nothing is built."""
        labels = self._resolve(classes)
        with self._lock:
            if self._counter is None:
                self._counter = CostCounter(self.model)
            return self._counter.at(labels)

    def _resolve(self, classes: str | Iterable[str]) -> tuple[int, ...]:
        asked = (classes,) if isinstance(classes, str) else tuple(classes)
        with self._lock:
            labels = self._labels.get(asked)
        if labels is None:
            labels = tuple(resolve_labels(self.model.hierarchy, asked))
            with self._lock:
                self._labels[asked] = labels
                if len(self._labels) > 4 * self.size:
                    self._labels.popitem(last=False)
        return labels
