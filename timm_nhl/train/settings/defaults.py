"""The defaults of a training that depend on its data: one table, with the reason of each value.

An option that is given always wins; what is chosen is printed, and saved in settings.json like what was given.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hierarchy.english import count
from timm_nhl.train.settings.config import Chosen, Settings, flag

Start = Literal["scratch", "pretrained", "frozen", "trained"]
STARTS = {
    "scratch": "random weights",
    "pretrained": "pretrained weights",
    "frozen": "a frozen trunk",
    "trained": "a trained network",
}
FEW, MANY = 1_000, 100_000  # images; between them is where most people's own data are


@dataclass(frozen=True)
class Facts:
    """What the defaults depend on.

    Args:
        images: to train on.
        classes: of these images.
        start: what the network starts from.
        nested: whether it has a trunk and branches.
        processes: that share a step.
    """

    images: int
    classes: int
    start: Start
    nested: bool = True
    processes: int = 1


@dataclass(frozen=True)
class Choice:
    """Values of some settings, and why they are chosen."""

    values: Mapping[str, Any]
    why: str


def choose(
    facts: Facts, *, opt: str | None = None, epochs: int | None = None, batch_size: int | None = None
) -> tuple[Choice, ...]:
    """The defaults for some data.

    Args:
        opt, epochs, batch_size: if they are given; what follows from them is chosen for them.

    >>> for choice in choose(Facts(images=800, classes=20, start="pretrained")):
    ...     print(dict(choice.values))
    {'opt': 'adamw', 'lr_base': 0.002, 'weight_decay': 0.05}
    {'trunk_lr_scale': 0.1}
    {'batch_size': 64, 'epochs': 40, 'warmup_epochs': 2.0, 'patience': 20}
    {'scale': (0.35, 1.0), 'color_jitter': 0.2}
    """
    few, many = facts.images < FEW, facts.images >= MANY
    trained = facts.start != "scratch"
    size = "few" if few else "many" if many else "some"
    if epochs is None:
        epochs = (40 if few else 10 if many else 20) if trained else (200 if few else 90 if many else 100)
    share = max(1, facts.images // facts.processes)
    if batch_size is None:
        # eight steps an epoch, but no fewer than eight images for the statistics of a batch norm
        batch_size = min(128, max(8, _floor_power_of_two(share // 8)), _floor_power_of_two(share))
    steps = epochs * max(1, share // batch_size)
    patience = epochs // 2 if epochs >= 10 else 0  # the top-1 of a short training says little about the next epoch
    stops = ", fewer if half of the epochs bring no progress" if patience else ""
    length = {"batch_size": batch_size, "epochs": epochs, "warmup_epochs": epochs / 20, "patience": patience}
    return (
        _choose_optimizer(opt or "adamw", facts),
        _choose_trunk(facts),
        Choice(length, f"{steps:,} steps for {size} images{stops}"),
        # a short training seldom sees an object of which a crop of 8 % has left a piece
        Choice({"scale": (0.08, 1.0), "color_jitter": 0.4}, "timm's, for long trainings")
        if many or (not trained and not few)
        else Choice({"scale": (0.35, 1.0), "color_jitter": 0.2}, f"milder than timm's, for {steps:,} steps"),
    )


def _choose_optimizer(opt: str, facts: Facts) -> Choice:
    fresh = facts.start == "scratch"
    if not any(word in opt.lower() for word in ("adam", "adan", "lamb")):
        return Choice({"opt": opt, "lr_base": 0.1 if fresh else 0.02, "weight_decay": 2e-5}, f"usual for {opt}")
    # 2e-3 at 64 images a step is what benchmarks/RESULTS.md trains with; a network without new parts needs less
    rate = 2e-3 if fresh or (facts.nested and facts.start != "trained") else 5e-4
    return Choice({"opt": opt, "lr_base": rate, "weight_decay": 0.05}, "suits convolutions and transformers")


def _choose_trunk(facts: Facts) -> Choice:
    if facts.start == "pretrained" and facts.nested:
        return Choice({"trunk_lr_scale": 0.1}, "the branches are new, the trunk is not")
    return Choice({"trunk_lr_scale": 1.0}, "nothing is newer than the rest")


def complete(settings: Settings, facts: Facts) -> tuple[Chosen, list[str]]:
    """Fills in what the settings leave open.

    Returns:
        The settings, and lines that say what was chosen or changed, and why.

    >>> settings, lines = complete(Settings("photos", "run", epochs=1, warmup_epochs=5), Facts(800, 20, "scratch"))
    >>> settings.opt, settings.warmup_epochs, lines[-1]
    ('adamw', 0.5, '--warmup-epochs 5 is more than half of --epochs 1; shortened to 0.5')
    """
    made = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    lines = []
    for choice in choose(facts, opt=settings.opt, epochs=settings.epochs, batch_size=settings.batch_size):
        fresh = {name: value for name, value in choice.values.items() if made[name] is None}
        if settings.lr is not None:
            fresh.pop("lr_base", None)
        made |= fresh
        if fresh and fresh != {"trunk_lr_scale": 1.0}:
            lines.append(f"  {' '.join(f'{flag(name)} {_show(value)}' for name, value in fresh.items())}: {choice.why}")
    if lines:
        what = f"{count(facts.images, 'image')} of {count(facts.classes, 'class')} and {STARTS[facts.start]}"
        lines.insert(0, f"chosen for {what}; give a flag to change it:")
    most = made["epochs"] / 2
    if made["warmup_epochs"] > most:
        lines.append(
            f"--warmup-epochs {made['warmup_epochs']:g} is more than half of --epochs {made['epochs']};"
            f" shortened to {most:g}"
        )
        made["warmup_epochs"] = most
    return Chosen(**made), lines


def find_start(settings: Settings) -> Start:
    """What the network starts from."""
    if settings.finetune is not None:
        return "trained"
    if settings.grow is not None or settings.freeze_trunk:
        return "frozen"
    return "pretrained" if settings.pretrained or settings.trunk_from is not None else "scratch"


def _floor_power_of_two(number: int) -> int:
    return 1 << max(number, 1).bit_length() - 1


def _show(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
