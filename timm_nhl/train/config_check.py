"""What cannot be in a training's settings, all of it told at once, before anything is opened or built."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Any

import timm
from timm.optim import list_optimizers

from hierarchy.errors import nearest
from timm_nhl.errors import OptionError
from timm_nhl.export import find_folder
from timm_nhl.train.build import is_nested, parsed
from timm_nhl.train.config import Settings, options

OF_THE_GROWN = (  # settings of a model that one that is grown brings along
    "model", "model_kwargs", "pretrained", "trunk_from", "freeze_trunk", "img_size", "mean", "std", "drop", "drop_path",
    "branch_drop_path",
)  # fmt: skip
OF_THE_DATA = ("hierarchy", "num_classes", "in_chans")  # options of a model that its data decide


def check(settings: Settings) -> None:
    """Looks at every value alone, then at those that must go together.

    Raises:
        OptionError: with all that is wrong.

    >>> check(Settings.of("digits", model="test_resnet", epochs=0, warmup_epochs=0, mixup=0.2, batch_size=3))
    Traceback (most recent call last):
    timm_nhl.errors.OptionError: --epochs 0 is too small; use 1 or more
    """
    problems = list(_alone(settings)) or list(_together(settings))
    if problems:
        raise OptionError("; ".join(problems))


def flag(name: str) -> str:
    """How a setting is called on the command line."""
    return "--" + name.replace("_", "-")


def _alone(settings: Settings) -> Iterator[str]:
    for group, option in options():
        owner = getattr(settings, group)
        value, bounds = getattr(owner, option.name), option.metadata
        hint = typing.get_type_hints(type(owner))[option.name]
        said = f"{flag(option.name)} {shown(value)}"
        if not _fits(value, hint):
            yield f"{said} is no {_named(hint)}; like {flag(option.name)} {shown(_like(option, hint))}"
        elif value is not None and bounds["choices"] and value not in bounds["choices"]:
            yield f"{said} is none of {', '.join(bounds['choices'])}{nearest(value, bounds['choices'])}"
        elif any(map(math.isnan, _numbers(value))):
            yield f"{said} is no number; like {flag(option.name)} {shown(_like(option, hint))}"
        elif min(_numbers(value), default=bounds["least"]) < bounds["least"]:
            yield f"{said} is too small; use {bounds['least']:g} or more"
        elif max(_numbers(value), default=bounds["most"]) > bounds["most"]:
            yield f"{said} is too large; use {bounds['most']:g} or less"


def _together(settings: Settings) -> Iterator[str]:
    model, schedule, augment, loss = settings.model, settings.schedule, settings.augment, settings.loss
    architecture, dot, _ = model.model.partition(".")
    known = timm.list_models(include_tags=bool(dot))
    if model.model not in known and architecture not in timm.list_models():
        yield f"--model {model.model!r} is no model of timm, plain or nested{nearest(model.model, known)}"
    elif model.model not in known:
        yield f"--model {model.model!r}: {architecture} has no such weights{nearest(model.model, known)}"
    try:
        decided = [name for name in parsed(model.model_kwargs) if name in OF_THE_DATA]
        if decided:
            yield f"--model-kwargs {', '.join(decided)}: the data decide that, images have three colors; leave it out"
    except OptionError as error:
        yield str(error)
    opt, optimizers = settings.optimizer.opt, [str(name) for name in list_optimizers()]
    if opt.lower().removeprefix("lookahead_") not in optimizers:
        yield f"--opt {opt!r} is no optimizer of timm{nearest(opt, optimizers)}"
    elif opt.lower().endswith("adahessian"):
        yield f"--opt {opt!r} takes second derivatives, which are not computed here; use another"
    nested = is_nested(model.model) or model.grow is not None
    if nested and settings.optimizer.clip_mode == "agc" and settings.optimizer.clip_grad is not None:
        yield "--clip-mode agc would take a whole branch for one unit; use norm or value for a nested model"
    if schedule.sched == "rsqrt" and not schedule.warmup_epochs and schedule.decay_epochs is None:
        yield "--sched rsqrt begins to fall behind a warm-up; give --warmup-epochs"
    if schedule.sched == "step" and schedule.decay_epochs == 0:
        yield "--decay-epochs 0 leaves nothing between two decays; use more"
    if schedule.warmup_epochs >= schedule.epochs:
        yield (
            f"--warmup-epochs {schedule.warmup_epochs:g} leaves nothing of --epochs {schedule.epochs};"
            f" use fewer, 0 for none"
        )
    if (augment.mixup or augment.cutmix) and schedule.batch_size % 2:
        yield f"--batch-size {schedule.batch_size} is odd, and mixup takes images in pairs; use an even one"
    for name in ("scale", "ratio"):
        least, most = getattr(augment, name)
        if least > most:
            yield f"{flag(name)} {shown((least, most))} goes down; give the least first"
    if not is_nested(model.model):
        for name, default in (("trunk_from", None), ("freeze_trunk", False), ("branch_drop_path", None)):
            if getattr(model, name) != default:
                yield f"{flag(name)} is for nested models; use --model {architecture}_nhl, or leave it out"
        for name in ("trunk_lr_scale", "branch_lr_scale"):
            if set(_numbers(getattr(settings.optimizer, name))) != {1.0}:
                yield f"{flag(name)} is for nested models; use --model {architecture}_nhl, or leave it out"
    if model.grow is not None:
        decided = [name for name in OF_THE_GROWN if getattr(model, name) != getattr(Settings("").model, name)]
        if decided:
            yield f"{', '.join(map(flag, decided))}: the model of --grow has its own; leave these out"
    frozen = [name for name in ("grow", "freeze_trunk") if getattr(model, name)]
    if nested and frozen and settings.optimizer.trunk_lr_scale != 1.0:
        yield f"--trunk-lr-scale has no effect on a trunk that {flag(frozen[0])} leaves as it is; leave one out"
    if model.trunk_from is not None and model.pretrained:
        yield "--trunk-from and --pretrained both give the trunk its weights; leave one out"
    for name, path in (("grow", model.grow), ("trunk_from", model.trunk_from), ("teacher", loss.teacher)):
        if path is not None and not find_folder(path).exists():
            yield f"{flag(name)} {path!r} is not there; check the name and the folder"


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field is annotated with."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        if not isinstance(value, tuple):
            return False
        if parts[-1] is Ellipsis:
            return all(_fits(each, parts[0]) for each in value)
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is hint


def _named(hint: Any) -> str:
    """A type in words."""
    parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
    if isinstance(hint, types.UnionType):
        return _named(parts[0])
    if typing.get_origin(hint) is tuple:
        number = "list" if parts[-1] is Ellipsis else f"list of {len(parts)}"
        return f"{number}, each a {_named(parts[0])}"
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}[hint]


def _like(option: dataclasses.Field[Any], hint: Any) -> Any:
    """A value that could be."""
    if option.default is not None:
        return option.default
    base = typing.get_args(hint)[0] if isinstance(hint, types.UnionType) else hint
    if typing.get_origin(base) is tuple:
        return (0.5,) * len(typing.get_args(base))
    return {int: 1, float: 0.1, str: "name", bool: True}[base]


def _numbers(value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(each for each in values if isinstance(each, (int, float)) and not isinstance(each, bool))


def shown(value: Any) -> str:
    """A value as one writes it behind a flag, to the last digit.

    >>> shown((0.1, 2.0, 1e-05)), shown(0.481454660)
    ('0.1,2,1e-05', '0.48145466')
    """
    if isinstance(value, (tuple, list)):
        return ",".join(map(shown, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else repr(value)
