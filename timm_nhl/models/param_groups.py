"""How optimizers group a model's parameters: the layer of each, and which are exempt from weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.models import group_parameters


class Layers:
    """Parameter name -> number of its layer: those of the trunk, then the three levels, then head and router."""

    def __init__(self, table: Mapping[str, int]) -> None:
        self.table, self.depth = table, max(table.values(), default=0)

    def __call__(self, name: str) -> int:
        if name.startswith("levels."):
            return self.depth + 1 + int(name.split(".")[1])
        return self.depth + 4 if name.startswith(("head.", "router.")) else self.table.get(name, 0)


def number_layers(net: Any, *, coarse: bool) -> Layers:
    """The layers of a model whose trunk is `net`; the trunk's as the backbone itself numbers them, if it does."""
    groups: dict[str, int] = {}
    if hasattr(net, "group_matcher"):
        groups = group_parameters(net, net.group_matcher(coarse=coarse), reverse=True)
    return Layers({f"trunk.net.{name}": layer for name, layer in groups.items()})


def undecayed(net: Any) -> set[str]:
    """Names of the parameters that the backbone exempts from weight decay; timm itself exempts norms and biases."""
    return {f"trunk.net.{name}" for name in getattr(net, "no_weight_decay", set)()}
