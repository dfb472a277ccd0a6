"""How optimizers group a model's parameters: which layer each is of, and which are not decayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timm.models import group_parameters
from torch import nn

from timm_nhl.models.layers import BatchNorm, LayerNorm, Scale

if TYPE_CHECKING:
    from timm_nhl.models.nhl import NHL


class Layers:
    """Parameter name -> number of its layer: those of the trunk, then the three levels, then the head."""

    def __init__(self, table: Mapping[str, int]) -> None:
        self.table, self.depth = table, max(table.values(), default=0)

    def __call__(self, name: str) -> int:
        if name.startswith("levels."):
            return self.depth + 1 + int(name.split(".")[1])
        return self.depth + 4 if name.startswith("head.") else self.table.get(name, 0)


def layer_of(model: NHL, *, coarse: bool) -> Layers:
    """The layers of a model; the trunk's as the backbone itself numbers them, if it does."""
    net = model.trunk.net
    groups: dict[str, int] = {}
    if hasattr(net, "group_matcher"):
        groups = group_parameters(net, net.group_matcher(coarse=coarse), reverse=True)
    return Layers({f"trunk.net.{name}": layer for name, layer in groups.items()})


def undecayed(model: NHL) -> set[str]:
    """Names of the parameters of norms, and what the backbone says."""
    names = {f"trunk.net.{name}" for name in getattr(model.trunk.net, "no_weight_decay", set)()}
    return names | norms_of(model.levels)


def norms_of(levels: nn.Module) -> set[str]:
    """Names of the parameters of the norms in some levels that are called `levels`."""
    names = set()
    for name, module in levels.named_modules(prefix="levels"):
        if isinstance(module, (BatchNorm, LayerNorm, Scale)):
            names |= {f"{name}.{parameter}" for parameter, _ in module.named_parameters()}
    return names
