"""What a model or an expert costs, by trunk, level and head, without building the expert.

Counted as `torch.utils.flop_counter` does: multiply-accumulates of convolutions, matrix products and attention (half
its FLOPs), nothing for norms, activations and pooling; one image.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeGuard

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from hierarchy import Hierarchy
from timm_nhl.experts import Rows, resolve_labels, select_rows

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


class Nested(Protocol):
    """What is counted of a nested model."""

    hierarchy: Hierarchy
    trunk: nn.Module
    router: Any
    head: Any

    def each_level(self) -> Sequence[Any]:
        """The levels, which count themselves."""


CountedTrunk = tuple[Part, tuple[int, int]]  # its cost, and the height and width that it gives


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

    Takes what `cost` takes but for the classes; and the trunk's cost, if it is known.
    """

    def __init__(
        self,
        model: nn.Module | str,
        *,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
        input_size: Sequence[int] | None = None,
        trunk: CountedTrunk | None = None,
        **options: Any,
    ) -> None:
        if isinstance(model, str):
            if hierarchy is not None:
                options["hierarchy"] = hierarchy
            model = create_on_meta(model, **options)
        self.model = model
        cfg: Any = model.pretrained_cfg if input_size is None else {"input_size": input_size}
        self.input_size = tuple(cfg["input_size"])
        if is_nested(model):
            self.trunk, self.map_size = trunk or count_trunk(model.trunk, self.input_size)

    @property
    def hierarchy(self) -> Hierarchy:
        """That of the nested model counted."""
        assert is_nested(self.model)
        return self.model.hierarchy

    def cost(self, classes: str | Iterable[str] | None = None) -> Cost:
        """The cost of the expert of some classes; None for the whole model."""
        model = self.model
        if not is_nested(model):
            return Cost((_run(model, self.input_size, "network")[0],))
        labels = range(len(model.hierarchy)) if classes is None else resolve_labels(model.hierarchy, classes)
        return self.at(labels)

    def at(self, labels: Sequence[int]) -> Cost:
        """The cost of the expert of the classes at these labels."""
        return self.count(select_rows(self.hierarchy, labels))

    def count(self, rows: Sequence[Rows]) -> Cost:
        """The cost of the expert that keeps these nodes of the three levels."""
        model = self.model
        assert is_nested(model)
        parts = [self.trunk, *([] if model.router is None else [_router(model.router)])]
        parts += [_multiply(node, len(kept.rows)) for node, kept in zip(self._nodes, rows, strict=False)]
        if model.head.classify:
            each, classes = model.head.channels, len(rows[-1].rows)
            parts.append(Part("head", classes * (each + 1), classes * each, 4 * classes))
        return Cost(tuple(parts))

    @cached_property
    def _nodes(self) -> list[Part]:
        """What one node of each level costs; all nodes of a level cost the same."""
        assert is_nested(self.model)
        nodes, size = [], self.map_size
        for name, level in zip(LEVELS, self.model.each_level(), strict=False):
            params = sum(parameter.numel() for parameter in level.parameters()) // level.nodes
            macs, outputs, size = level.count(size)
            nodes.append(Part(name, params, macs, 4 * outputs))
        return nodes

    def routed(self, logits: Tensor) -> Tensor:
        """The multiply-accumulates of each image that `NHL.route` gave logits: (B, K) -> (B,).

        Their mean is the expected cost of an image.
        """
        model = self.model
        assert is_nested(model)
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


def _router(router: Any) -> Part:
    """An expert keeps the whole router."""
    fc = router.fc
    params = sum(parameter.numel() for parameter in fc.parameters())
    return Part("router", params, fc.in_features * fc.out_features, 4 * fc.out_features)


def _multiply(node: Part, times: int) -> Part:
    return Part(node.name, times * node.params, times * node.macs, times * node.activation_bytes)


def is_nested(model: nn.Module) -> TypeGuard[Nested]:
    """Whether a model is an `NHL`, which lies above this file."""
    return hasattr(model, "each_level")


def count_trunk(trunk: nn.Module, input_size: Sequence[int]) -> CountedTrunk:
    """What a trunk costs for an image of a size, and the height and width that it gives."""
    return _run(trunk, tuple(input_size), "trunk")


def create_on_meta(name: str, **options: Any) -> nn.Module:
    """A model on the meta device, whose parameters are not drawn: nothing could hold them."""
    import timm  # not above: importing timm registers the models, which need this file

    with _NoDraws():
        return timm.create_model(name, device="meta", **options)


class _NoDraws(TorchFunctionMode):
    """Skips what only changes values, which takes half of the time on the meta device."""

    skipped = frozenset(("normal_", "uniform_", "zero_", "fill_", "erfinv_", "mul_", "add_", "clamp_", "copy_"))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        values = args[0] if args else (kwargs or {}).get("tensor")
        if getattr(func, "__name__", "") in self.skipped and isinstance(values, torch.Tensor) and values.is_meta:
            return values
        return func(*args, **(kwargs or {}))


def _run(module: nn.Module, input_size: tuple[int, ...], name: str) -> tuple[Part, tuple[int, int]]:
    """Runs a copy of a module on one image of the meta device; its cost, and the height and width it gives."""
    shadow = module if next(module.parameters()).is_meta else _copy_to_meta(module)
    training, trained = shadow.training, [each for each in shadow.parameters() if each.requires_grad]
    shadow.eval().requires_grad_(False)  # FlopCounterMode fails on parameters that a module is called with
    outputs = _Outputs()
    with torch.no_grad(), FlopCounterMode(display=False) as flops, outputs, _NoNorms():
        y = shadow(torch.empty(1, *input_size, device="meta", dtype=next(shadow.parameters()).dtype))
    shadow.train(training)
    for parameter in trained:
        parameter.requires_grad_()
    params = sum(parameter.numel() for parameter in module.parameters())
    return Part(name, params, flops.get_total_flops() // 2, 4 * outputs.elements), (y.shape[-2], y.shape[-1])


class _NoNorms(TorchFunctionMode):
    """Passes activations through norms, which count nothing and take a third of the time on the meta device."""

    passed = frozenset(("batch_norm", "layer_norm", "group_norm"))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if getattr(func, "__name__", "") in self.passed else func(*args, **(kwargs or {}))


def _copy_to_meta(module: nn.Module) -> nn.Module:
    """A copy on the meta device; no value is copied on the way."""
    memo: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in module.buffers()}
    memo |= {id(each): nn.Parameter(each.detach().to("meta"), requires_grad=False) for each in module.parameters()}
    return copy.deepcopy(module, memo)


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
