"""What a model or an expert costs, by trunk, level and head, without building the expert.

Counted as `torch.utils.flop_counter` does: multiply-accumulates of convolutions, matrix products and attention (half
its FLOPs), nothing for norms, activations and pooling; one image.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from hierarchy import Hierarchy
from timm_nhl.experts import Rows, resolve_labels, select_rows
from timm_nhl.models import NHL, Level, Router

LEVELS = ("superclasses", "groups", "classes")


@dataclass(frozen=True)
class Part:
    """A part of a model: parameters, multiply-accumulates of one image, and activation memory of one image.

    `activation_bytes` is that of the outputs of all convolutions and matrix products in float32, about what the
    backward pass keeps.
    """

    name: str
    params: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Cost:
    """The parts of a model, from the input to the head; the totals are their sums."""

    parts: tuple[Part, ...]

    @property
    def params(self) -> int:
        return sum(part.params for part in self.parts)

    @property
    def macs(self) -> int:
        return sum(part.macs for part in self.parts)

    @property
    def activation_bytes(self) -> int:
        return sum(part.activation_bytes for part in self.parts)


def cost(
    model: nn.Module | str,
    classes: str | Iterable[str] | None = None,
    *,
    hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
    input_size: Sequence[int] | None = None,
    **options: Any,
) -> Cost:
    """Counts a model, or the expert of some classes that could be cut out of it.

    Args:
        model: a model, or the name of one, which is built on the meta device (any timm model, NHL or not).
        classes: ids, names and node paths of the expert; None for the whole model.
        hierarchy: for a name, the hierarchy as `timm.create_model` takes it.
        options: for a name, other arguments of `timm.create_model`.
        input_size: (channels, height, width); by default that of the model's cfg.

    Raises the errors of `timm.create_model` and `NHL.expert`.

    >>> full, expert = cost("test_resnet_nhl", num_classes=8), cost("test_resnet_nhl", ["class 3"], num_classes=8)
    >>> [part.name for part in full.parts]
    ['trunk', 'superclasses', 'groups', 'classes', 'head']
    >>> full.parts[0] == expert.parts[0], expert.macs < full.macs
    (True, True)
    """
    return CostCounter(model, hierarchy=hierarchy, input_size=input_size, **options).cost(classes)


class CostCounter:
    """Counts many experts of one model; the trunk is run once (on the meta device), the rest is arithmetic.

    Takes what `cost` takes but for the classes.
    """

    def __init__(
        self,
        model: nn.Module | str,
        *,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
        input_size: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(model, str):
            if hierarchy is not None:
                options["hierarchy"] = hierarchy
            model = timm.create_model(model, device="meta", **options)
        self.model = model
        cfg: Any = model.pretrained_cfg
        self.input_size = tuple(input_size or cfg["input_size"])
        if isinstance(model, NHL):
            self.trunk, self.map_size = _run(model.trunk, self.input_size, "trunk")

    @property
    def hierarchy(self) -> Hierarchy:
        """That of the nested model counted."""
        assert isinstance(self.model, NHL)
        return self.model.hierarchy

    def cost(self, classes: str | Iterable[str] | None = None) -> Cost:
        """The cost of the expert of some classes; None for the whole model."""
        model = self.model
        if not isinstance(model, NHL):
            return Cost((_run(model, self.input_size, "network")[0],))
        labels = range(len(model.hierarchy)) if classes is None else resolve_labels(model.hierarchy, classes)
        return self.at(labels)

    def at(self, labels: Sequence[int]) -> Cost:
        """The cost of the expert of the classes at these labels."""
        model = self.model
        assert isinstance(model, NHL)
        parts, size = [self.trunk], self.map_size
        if model.router is not None:
            parts.append(_router(model.router))
        for name, level, rows in zip(LEVELS, model.each_level(), select_rows(model.hierarchy, labels), strict=False):
            part, size = _level(name, level, rows, size)
            parts.append(part)
        if model.head.classify:
            each = model.head.channels
            parts.append(Part("head", len(labels) * (each + 1), len(labels) * each, 4 * len(labels)))
        return Cost(tuple(parts))

    def routed(self, logits: Tensor) -> Tensor:
        """The multiply-accumulates of each image that `NHL.route` gave logits: (B, K) -> (B,).

        Their mean is the expected cost of an image.
        """
        model = self.model
        assert isinstance(model, NHL)
        ran = logits.isfinite().cpu()  # (B, K)
        each_part = {part.name: part.macs for part in self.cost().parts}
        macs = torch.full((len(ran),), each_part["trunk"] + each_part["router"], dtype=torch.int64)
        levels: tuple[tuple[Literal[1, 2, 3], str], ...] = ((1, LEVELS[0]), (2, LEVELS[1]), (3, LEVELS[2]), (3, "head"))
        for level, name in levels:
            node_of = torch.tensor(model.hierarchy.ancestors(level))  # (K,)
            nodes = int(node_of.max()) + 1
            active = torch.zeros(len(ran), nodes, dtype=torch.int64).index_add(1, node_of, ran.long()) > 0  # (B, N)
            macs += active.sum(1) * (each_part[name] // nodes)
        return macs


def _router(router: Router) -> Part:
    """An expert keeps the whole router."""
    fc = router.fc
    params = sum(parameter.numel() for parameter in fc.parameters())
    return Part("router", params, fc.in_features * fc.out_features, 4 * fc.out_features)


def _level(name: str, level: Level, rows: Rows, size: tuple[int, int]) -> tuple[Part, tuple[int, int]]:
    """Each node costs the same: one node's share times the nodes kept."""
    params = sum(parameter.numel() for parameter in level.parameters()) // level.nodes
    macs, outputs, size = level.count(size)
    nodes = len(rows.rows)
    return Part(name, nodes * params, nodes * macs, 4 * nodes * outputs), size


def _run(module: nn.Module, input_size: tuple[int, ...], name: str) -> tuple[Part, tuple[int, int]]:
    """Runs a copy of a module on one image of the meta device; its cost, and the height and width it gives."""
    shadow = module if next(module.parameters()).is_meta else copy.deepcopy(module).to("meta")
    training = shadow.training
    shadow.eval()
    outputs = _Outputs()
    with torch.no_grad(), FlopCounterMode(display=False) as flops, outputs:
        y = shadow(torch.empty(1, *input_size, device="meta", dtype=next(shadow.parameters()).dtype))
    shadow.train(training)
    params = sum(parameter.numel() for parameter in module.parameters())
    return Part(name, params, flops.get_total_flops() // 2, 4 * outputs.elements), (y.shape[-2], y.shape[-1])


class _Outputs(TorchDispatchMode):
    """Counts the elements that convolutions and matrix products give."""

    counted = frozenset(("convolution", "mm", "addmm", "bmm", "baddbmm"))

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # its module is typed, this is not
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in self.counted:
            self.elements += result.numel()
        return result
