"""Which settings cannot be, all reported at once, before anything is opened or built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hierarchy.errors import nearest
from timm_nhl.errors import OptionError
from timm_nhl.presets import PRESETS
from timm_nhl.train.settings.config import Settings, flag


def check(settings: Settings) -> None:
    """Checks the names that timm knows, then which settings go together.

    Raises:
        OptionError: with everything that is wrong.

    >>> check(Settings("digits", "run", model="test_resnet", mixup=0.2, batch_size=3))
    Traceback (most recent call last):
    timm_nhl.errors.OptionError: --batch-size 3 is odd, but mixup and CutMix need pairs of images
    """
    problems = [*unknown_names(settings), *conflicts(settings)]
    if problems:
        raise OptionError("; ".join(problems))


def unknown_names(settings: Settings) -> Iterator[str]:
    """What timm does not know."""
    import timm  # not above: the command line reads the settings without torch
    from timm.optim import list_optimizers

    models = timm.list_models(include_tags="." in settings.model)
    if settings.model not in models:
        yield f"--model {settings.model!r} is not a timm model, plain or nested{nearest(settings.model, models)}"
    preset = settings.preset
    if preset is not None and preset not in PRESETS:
        known = ", ".join(map(repr, PRESETS))
        yield f"--preset {preset!r} is not available; use one of {known}{nearest(preset, PRESETS)}"
    opt, optimizers = settings.opt or "adamw", [str(name) for name in list_optimizers()]
    if opt.lower().removeprefix("lookahead_") not in optimizers:
        yield f"--opt {opt!r} is not a timm optimizer{nearest(opt, optimizers)}"
    elif opt.lower().endswith("adahessian"):
        yield f"--opt {opt!r} needs second derivatives, which this loop does not compute; use another"


def list_nested_only(settings: Settings) -> list[str]:
    """The flags given that mean something for nested models only."""
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    names = ("preset", "trunk_from", "freeze_trunk", "trunk_lr_scale", "router", "router_weight")
    return [flag(name) for name in names if getattr(settings, name) != defaults[name]]


def conflicts(settings: Settings) -> Iterator[str]:
    """Settings that do not go together."""
    s, defaults = settings, {field.name: field.default for field in dataclasses.fields(Settings)}
    if (s.mixup or s.cutmix) and s.batch_size is not None and s.batch_size % 2:
        yield f"--batch-size {s.batch_size} is odd, but mixup and CutMix need pairs of images"
    for name in ("scale", "ratio"):
        low, high = getattr(s, name) or (0, 0)
        if low > high:
            yield f"{flag(name)} {low:g} {high:g} is not a range; give the smaller number first"
    if not s.nested and s.grow is None:
        given = list_nested_only(s)
        if given:
            yield f"{', '.join(given)}: for nested models only; use --model {s.model.partition('.')[0]}_nhl"
    if s.grow is not None and s.finetune is not None:
        yield "--grow and --finetune both start from a saved model; remove one"
    elif s.grow is not None or s.finetune is not None:
        fixed = ("model", "preset", "model_kwargs", "pretrained", "trunk_from", "img_size", "mean", "std",
                 "drop", "drop_path", "router")  # fmt: skip
        start, more = ("--finetune", ("classes",)) if s.grow is None else ("--grow", ())
        given = [flag(name) for name in (*fixed, *more) if getattr(s, name) != defaults[name]]
        if given:
            yield f"{', '.join(given)}: {start} keeps its model as it is; remove these flags"
    elif s.trunk_from is not None and s.pretrained:
        yield "--trunk-from and --pretrained both set the trunk's weights; remove one"
    if s.cache is not None:
        if not s.freeze_trunk:
            yield "--cache needs a trunk that does not change; add --freeze-trunk"
        images = ("router", "teacher", "mixup", "cutmix", "reprob")
        given = [flag(name) for name in images if getattr(s, name) != defaults[name]]
        if given:
            yield f"{', '.join(given)}: need the images, which --cache does not keep; remove one"
    elif (s.cache_views, s.cache_gb) != (defaults["cache_views"], defaults["cache_gb"]):
        yield "--cache-views and --cache-gb have no effect without --cache; remove them"
    if s.val_split is not None and s.val_share is not None:
        yield "--val-share has no effect with --val-split; remove one"
    if s.trunk_lr_scale is not None and (s.freeze_trunk or s.grow is not None):
        yield f"--trunk-lr-scale has no effect with {'--grow' if s.grow is not None else '--freeze-trunk'}; remove one"
