"""How long a training is, and its learning rate at each step."""

from __future__ import annotations

from typing import Any

from timm.scheduler import create_scheduler_v2
from torch.optim import Optimizer

from timm_nhl.errors import OptionError
from timm_nhl.train.config import ScheduleSettings


def base_rate(settings: ScheduleSettings, *, opt: str, step_size: int) -> float:
    """The learning rate at its height, as timm's train.py computes it where none is given.

    >>> base_rate(ScheduleSettings(), opt="sgd", step_size=512)
    0.2
    >>> base_rate(ScheduleSettings(), opt="adamw", step_size=1024)
    0.2
    """
    if settings.lr is not None:
        return settings.lr
    adaptive = any(word in opt.lower() for word in ("ada", "lamb"))
    ratio = step_size / settings.lr_base_size
    scale = settings.lr_base_scale or ("sqrt" if adaptive else "linear")
    return settings.lr_base * (ratio**0.5 if scale == "sqrt" else ratio)


def schedule_of(optimizer: Optimizer, settings: ScheduleSettings, *, steps_per_epoch: int) -> tuple[Any, int]:
    """timm's schedule, a function of the step alone, and the number of epochs with those of the cool-down.

    Raises:
        OptionError: timm cannot make it of these numbers.
    """
    try:
        schedule, epochs = create_scheduler_v2(
            optimizer,
            sched=settings.sched,
            num_epochs=settings.epochs,
            decay_epochs=settings.decay_epochs,
            decay_milestones=list(settings.decay_milestones),
            cooldown_epochs=settings.cooldown_epochs,
            decay_rate=settings.decay_rate,
            min_lr=settings.min_lr,
            warmup_lr=settings.warmup_lr,
            warmup_epochs=settings.warmup_epochs,  # type: ignore[arg-type]  # parts of epochs are fine by step
            step_on_epochs=False,
            updates_per_epoch=steps_per_epoch,
        )
    except ValueError as error:
        raise OptionError(f"--sched {settings.sched!r} cannot be made: {str(error).rstrip('.')}") from None
    if settings.cooldown_epochs and epochs == settings.epochs:
        raise OptionError(f"--sched {settings.sched!r} has no end to cool down behind; leave out --cooldown-epochs")
    return schedule, int(epochs)
