"""Picking and merging nodes: the same layers with other rows of their stacked tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from timm_nhl.models.layers import Stacked
from timm_nhl.models.level import Level
from timm_nhl.models.parent_conv import PerParent

Module = TypeVar("Module", bound=nn.Module)


def take(module: Module, rows: slice | Sequence[int], counts: Sequence[int]) -> Module:
    """A level (or a part of one) with only some of its nodes; views of its tensors for a slice, else copies.

    Args:
        rows: which nodes, ascending.
        counts: how many of them each parent that is left has.
    """
    return _restacked(lambda values: _rows(values, rows), counts, module)


def merge(first: Module, second: Module, order: Sequence[int], counts: Sequence[int]) -> Module:
    """A level (or a part of one) with the nodes of two alike, copied; settings are those of the first.

    Args:
        order: for each node, its place among the nodes of the first and then those of the second.
        counts: how many nodes each parent has.

    >>> from timm_nhl.models.layers import Scale
    >>> merge(Scale(2, 1, start=1.0), Scale(1, 1, start=3.0), [0, 2, 1], [3]).weight.flatten().tolist()
    [1.0, 3.0, 1.0]
    """
    return _restacked(lambda one, other: _rows(torch.cat((one, other)), order), counts, first, second)


def shallow(module: Module) -> Module:
    """A module with the same tensors and children, but its own tables of them and of hooks, and its own settings."""
    clone = module.__new__(type(module))
    for name, value in module.__dict__.items():
        clone.__dict__[name] = value.copy() if isinstance(value, (dict, set)) else value
    return clone


def _restacked(change: Callable[..., Tensor], counts: Sequence[int], *modules: Module) -> Module:
    """The first of some modules that are alike, with each of its tensors made of theirs of the same name."""
    first = modules[0]
    clone = shallow(first)
    clone._modules = {
        name: child if child is None else _restacked(change, counts, *_each(modules, "_modules", name))
        for name, child in first._modules.items()
    }
    clone._parameters = {
        name: None
        if parameter is None
        else nn.Parameter(
            change(*(each.detach() for each in _each(modules, "_parameters", name))),
            requires_grad=parameter.requires_grad,
        )
        for name, parameter in first._parameters.items()
    }
    clone._buffers = {
        name: buffer
        if buffer is None or name in first._non_persistent_buffers_set
        else change(*_each(modules, "_buffers", name))
        for name, buffer in first._buffers.items()
    }
    if isinstance(clone, (Stacked, Level)):
        clone.nodes = sum(counts)
    if isinstance(clone, PerParent):
        clone.set_counts(counts)
    return clone


def _each(modules: Iterable[nn.Module], table: str, name: str) -> list[Any]:
    return [getattr(module, table)[name] for module in modules]


def _rows(values: Tensor, rows: slice | Sequence[int]) -> Tensor:
    return values[rows] if isinstance(rows, slice) else values[torch.as_tensor(rows, device=values.device)]
