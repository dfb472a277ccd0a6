"""Parameter groups: which parameters decay, and the learning rate of each part of a network over the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.optim import Optimizer

from timm_nhl.errors import OptionError, summarize
from timm_nhl.train.config import OptimizerSettings


def optimizer_of(model: nn.Module, settings: OptimizerSettings, *, lr: float) -> Optimizer:
    """timm's optimizer over a model's parameter groups.

    Raises:
        OptionError: it cannot be made of these numbers, or not on this machine.
    """
    own: dict[str, Any] = {"betas": settings.opt_betas, "eps": settings.opt_eps}
    given = {name: value for name, value in own.items() if value is not None}
    groups = list(groups_of(model, settings))
    try:
        return create_optimizer_v2(groups, settings.opt, lr=lr, momentum=settings.momentum, **given)
    except (AssertionError, ImportError, IndexError, RuntimeError, TypeError, ValueError) as error:
        asked = ", ".join(f"{name}={value}" for name, value in given.items()) or "its defaults"
        raise OptionError(
            f"--opt {settings.opt!r} cannot be made with {asked} ({summarize(error)}); see --opt-betas and"
            " --opt-eps, or use another"
        ) from error


def groups_of(model: nn.Module, settings: OptimizerSettings) -> Iterator[dict[str, Any]]:
    """timm's groups by decay and layer, parted further by the learning rates of trunk, levels and head.

    A rate is the group's `lr_scale`, as in timm's layer decay, which its schedulers multiply with the learning rate.
    """
    undecayed: Any = getattr(model, "no_weight_decay", set)()
    if settings.layer_decay is None:
        groups = param_groups_weight_decay(model, settings.weight_decay, no_weight_decay_list=undecayed)
    else:
        groups = param_groups_layer_decay(
            model, settings.weight_decay, no_weight_decay_list=undecayed, layer_decay=settings.layer_decay
        )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scales = _scales(settings)
    for group in groups:
        by_scale: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_scale.setdefault(_scale(names[id(parameter)], scales), []).append(parameter)
        for scale, parameters in by_scale.items():
            yield {**group, "params": parameters, "lr_scale": group.get("lr_scale", 1.0) * scale}


def _scales(settings: OptimizerSettings) -> Mapping[str, float]:
    """Learning rates over the common one, by how a parameter's name begins; the head goes with the class branches."""
    superclass, group, leaf = settings.branch_lr_scale
    return {
        "trunk.": settings.trunk_lr_scale,
        "levels.0.": superclass,
        "levels.1.": group,
        "levels.2.": leaf,
        "head.": leaf,
    }


def _scale(name: str, scales: Mapping[str, float]) -> float:
    return next((scale for start, scale in scales.items() if name.startswith(start)), 1.0)
