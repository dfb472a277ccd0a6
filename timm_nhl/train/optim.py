"""The optimizer over a network's parameter groups, and the schedule of its learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from torch import nn
from torch.optim import Optimizer

from timm_nhl.errors import OptionError, summarize
from timm_nhl.train.build import parse_kwargs
from timm_nhl.train.settings import Chosen


def create_optimizer(model: nn.Module, settings: Chosen, *, step_size: int) -> Optimizer:
    """Creates timm's optimizer over a model's parameter groups.

    Args:
        step_size: images per step.

    Raises:
        OptionError: it cannot be created with these arguments, or not on this machine.
    """
    options = parse_kwargs("--opt-kwargs", settings.opt_kwargs or ())
    groups = list(param_groups(model, settings))
    lr = base_lr(settings, step_size=step_size)
    try:
        return create_optimizer_v2(groups, settings.opt, lr=lr, momentum=settings.momentum, **options)
    except (AssertionError, ImportError, IndexError, RuntimeError, TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items()) or "no arguments"
        raise OptionError(
            f"cannot create optimizer {settings.opt!r} with {given}: {summarize(error)}; see --opt-kwargs"
        ) from error


def param_groups(model: nn.Module, settings: Chosen) -> Iterator[dict[str, Any]]:
    """timm's groups by weight decay and layer, split further by the learning rates of the trunk and the rest.

    A group's `lr_scale` is its factor on the learning rate, as in timm's layer decay; timm's schedulers apply it.
    """
    no_decay: Any = getattr(model, "no_weight_decay", set)()
    if settings.layer_decay is None:
        groups = param_groups_weight_decay(model, settings.weight_decay, no_weight_decay_list=no_decay)
    else:
        groups = param_groups_layer_decay(
            model, settings.weight_decay, no_weight_decay_list=no_decay, layer_decay=settings.layer_decay
        )
    names = {parameter: name for name, parameter in model.named_parameters()}
    for group in groups:
        by_scale: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            scale = settings.trunk_lr_scale if names[parameter].startswith("trunk.") else 1.0
            by_scale.setdefault(scale, []).append(parameter)
        for scale, parameters in by_scale.items():
            yield {**group, "params": parameters, "lr_scale": group.get("lr_scale", 1.0) * scale}


def base_lr(settings: Chosen, *, step_size: int) -> float:
    """The highest learning rate, scaled with the images of a step as in timm's train.py unless it is given."""
    if settings.lr is not None:
        return settings.lr
    assert settings.lr_base is not None  # one of them is chosen
    adaptive = any(word in settings.opt.lower() for word in ("ada", "lamb"))
    ratio = step_size / settings.lr_base_size
    scale = settings.lr_base_scale or ("sqrt" if adaptive else "linear")
    return settings.lr_base * (ratio**0.5 if scale == "sqrt" else ratio)


def create_scheduler(optimizer: Optimizer, settings: Chosen, *, steps_per_epoch: int) -> tuple[Any, int]:
    """Creates timm's schedule, a function of the step alone.

    Returns:
        The schedule, and the number of epochs with the cool-down.

    Raises:
        OptionError: timm cannot create it with these numbers.
    """
    milestones = settings.decay_milestones or (90, 180, 270)
    try:
        scheduler, epochs = create_scheduler_v2(
            optimizer,
            sched=settings.sched,
            num_epochs=settings.epochs,
            decay_epochs=settings.decay_epochs,
            decay_milestones=list(milestones),
            cooldown_epochs=settings.cooldown_epochs,
            decay_rate=settings.decay_rate,
            min_lr=settings.min_lr,
            warmup_lr=settings.warmup_lr,
            warmup_epochs=settings.warmup_epochs,  # type: ignore[arg-type]  # by step, fractions of epochs are fine
            step_on_epochs=False,
            updates_per_epoch=steps_per_epoch,
        )
    except ValueError as error:
        raise OptionError(f"cannot create the {settings.sched!r} schedule: {summarize(error)}") from None
    if settings.cooldown_epochs and epochs == settings.epochs:
        raise OptionError(f"--cooldown-epochs has no effect with --sched {settings.sched}; remove it")
    return scheduler, int(epochs)
