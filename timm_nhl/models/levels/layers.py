"""Picking and adding nodes of plain layers.

A layer of N nodes is a plain module, like `nn.Conv2d(groups=N)` or `nn.BatchNorm2d(N * C)`, whose tensors hold one
block of rows per node: (N*k, ...). So the layer of some nodes has their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)

OUTPUT_SIZES = ("out_channels", "out_features", "num_features", "num_channels", "nodes")
INPUT_SIZES = ("in_channels", "groups", "num_groups")


def take(layer: Module, rows: Sequence[int], nodes: int, *, siblings: bool = False, share: bool = False) -> Module:
    """The layer of some nodes, in the order given.

    Args:
        layer: a plain layer, each of whose tensors is (N*k, ...) or a scalar.
        rows: the nodes to keep.
        nodes: N, the number of nodes in the layer.
        siblings: all nodes read the same input channels, so these do not change.
        share: use views of the tensors, where the nodes lie side by side, instead of copies.

    >>> norm = nn.BatchNorm2d(6)  # of 3 nodes
    >>> take(norm, [2, 0], nodes=3).num_features
    4
    """
    chosen = _find_index(rows, share=share)
    kept = _change(lambda values: _pick(values, chosen, nodes, share=share), layer)
    _resize(kept, len(rows), nodes, siblings=siblings)
    return kept


def join(first: Module, second: Module, *, siblings: bool = False) -> Module:
    """The layer with the nodes of two layers of the same kind, those of the first in front; settings are the first's.

    >>> join(nn.BatchNorm2d(6), nn.BatchNorm2d(2)).num_features
    8
    """
    both = _change(lambda one, other: one.clone() if one.ndim == 0 else torch.cat((one, other)), first, second)
    for name in OUTPUT_SIZES + (() if siblings else INPUT_SIZES):
        if hasattr(both, name):
            setattr(both, name, getattr(first, name) + getattr(second, name))
    return both


def shallow(module: Module) -> Module:
    """A module with the same tensors and children, but with its own tables of them, hooks and settings."""
    clone = module.__new__(type(module))
    for name, value in module.__dict__.items():
        clone.__dict__[name] = value.copy() if isinstance(value, (dict, set)) else value
    return clone


def _change(change: Callable[..., Tensor], *layers: Module) -> Module:
    """The first of some layers of the same kind, with each tensor computed from theirs of the same name."""

    def tensors(table: str, name: str) -> list[Any]:
        return [getattr(layer, table)[name].detach() for layer in layers]

    clone = shallow(layers[0])
    for name, value in layers[0]._parameters.items():
        if value is not None:
            changed = change(*tensors("_parameters", name))
            clone._parameters[name] = nn.Parameter(changed, requires_grad=value.requires_grad)
    for name, buffer in layers[0]._buffers.items():
        if buffer is not None:
            clone._buffers[name] = change(*tensors("_buffers", name))
    return clone


def _find_index(rows: Sequence[int], *, share: bool) -> slice | Tensor:
    """What picks some rows: a slice where they lie side by side and may be shared, else their numbers."""
    if share and list(rows) == list(range(rows[0], rows[0] + len(rows))):
        return slice(rows[0], rows[0] + len(rows))
    return torch.as_tensor(rows, device="cpu")  # which picks from tensors on any device


def _pick(values: Tensor, chosen: slice | Tensor, nodes: int, *, share: bool) -> Tensor:
    """(N*k, ...) -> (M*k, ...)."""
    if values.ndim == 0:  # BatchNorm2d counts its batches
        return values if share else values.clone()
    size = len(values) // nodes
    if isinstance(chosen, slice):
        return values[chosen.start * size : chosen.stop * size]
    blocks = values.view(nodes, size, *values.shape[1:])  # (N*k, ...) -> (N, k, ...)
    return blocks[chosen].flatten(0, 1)


def _resize(layer: nn.Module, kept: int, nodes: int, *, siblings: bool) -> None:
    """Writes the sizes for the kept nodes into a fresh layer."""
    sizes = vars(layer)  # plain numbers; a Module's own way to set them is slow
    for name in OUTPUT_SIZES + (() if siblings else INPUT_SIZES):
        if name in sizes:
            sizes[name] = sizes[name] // nodes * kept
