"""Everything that decides a training, as frozen values; the flags of `timm-nhl train` are made from it.

Names and defaults are those of timm's train.py; where one differs, its help says why.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hierarchy.errors import nearest
from timm_nhl.errors import OptionError

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    most: float = math.inf,
    free: bool = False,
) -> Any:
    """A field with its help.

    Args:
        choices: what it may be.
        least, most: within which a number, or each of several, must be.
        free: it does not decide the result, so a run that goes on may have another.
    """
    bounds = {"choices": choices, "least": least, "most": most}
    return field(default=default, metadata={"help": help, "free": free, **bounds})


@dataclass(frozen=True)
class DataSettings:
    """What is trained on."""

    hierarchy: str | None = option(
        None, "A shipped hierarchy, or a .json or .csv file; by default hierarchy.json in the data's folder, if there."
    )
    classes: tuple[str, ...] = option((), "Train on these classes only: ids, names or node paths.")
    train_split: str = option("train", "Split that is trained on.")
    val_split: str = option("validation", "Split that is evaluated on.")
    image: str | None = option(None, "Column of images; the only one by default.")
    column: str | None = option(None, "Label column; 'label', or the only one, by default.")
    workers: int = option(4, "Processes that load images.", free=True, least=0)


@dataclass(frozen=True)
class ModelSettings:
    """What is trained."""

    model: str = option("resnet50_nhl", "A model of timm, plain or nested (<backbone>_nhl).")
    model_kwargs: tuple[str, ...] = option((), "More options of the model, as KEY=VALUE; several by spaces.")
    pretrained: bool = option(False, "Start with timm's pretrained weights; of a nested model, its trunk.")
    grow: str | None = option(
        None, "Grow this trained nested model, a saved folder: only the branches of classes it has not are trained."
    )
    trunk_from: str | None = option(None, "Start the trunk with a trained backbone: its saved folder, or its weights.")
    freeze_trunk: bool = option(False, "Leave the trunk as it is: no gradients, and its norms in eval mode.")
    img_size: int | None = option(None, "Side of the images; that of the model by default.", least=1)
    mean: tuple[float, float, float] | None = option(None, "Mean of the images' channels, instead of the model's.")
    std: tuple[float, float, float] | None = option(None, "Deviation of the images' channels, instead of the model's.")
    interpolation: str | None = option(
        None, "Interpolation in evaluation, instead of the model's.", choices=INTERPOLATIONS
    )
    crop_pct: float | None = option(None, "Center crop in evaluation, instead of the model's.", least=0.01)
    crop_mode: str | None = option(None, "How evaluation crops.", choices=("squash", "border", "center"))
    drop: float = option(0.0, "Dropout in front of the classifier.", least=0, most=0.99)
    drop_path: float | None = option(None, "Stochastic depth, of trunk and branches.", least=0, most=0.99)
    branch_drop_path: float | None = option(
        None, "Stochastic depth of a nested model's branches, where it differs.", least=0, most=0.99
    )
    grad_checkpointing: bool = option(False, "Compute activations again in the backward pass, to save memory.")


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights are changed."""

    opt: str = option("sgd", "An optimizer of timm.")
    opt_eps: float | None = option(None, "Its epsilon; its own default.", least=0)
    opt_betas: tuple[float, ...] | None = option(None, "Its betas, like 0.9,0.99; its own default.")
    momentum: float = option(0.9, "Its momentum.", least=0, most=1)
    weight_decay: float = option(2e-5, "Weight decay.", least=0)
    clip_grad: float | None = option(None, "Clip gradients; see --clip-mode.", least=0)
    clip_mode: str = option("norm", "How gradients are clipped.", choices=("norm", "value", "agc"))
    layer_decay: float | None = option(None, "Learning rate of each layer over that of the next.", least=0, most=1)
    trunk_lr_scale: float = option(1.0, "Learning rate of a nested model's trunk over --lr.", least=0)
    branch_lr_scale: tuple[float, float, float] = option(
        (1.0, 1.0, 1.0), "Learning rates of superclass, group and class branches over --lr, like 1,1,2.", least=0
    )


@dataclass(frozen=True)
class ScheduleSettings:
    """How long, in what portions, at what learning rate."""

    epochs: int = option(300, "Epochs, the warm-up's among them.", least=1)
    batch_size: int = option(128, "Images a process computes at once.", least=1)
    grad_accum_steps: int = option(1, "Batches of a process that make up one step of the optimizer.", least=1)
    validation_batch_size: int | None = option(
        None, "Batch size of evaluation; --batch-size by default.", free=True, least=1
    )
    sched: str = option(
        "cosine",
        "Schedule of the learning rate, by step; timm's 'none' is 'constant' here, 'plateau' (deprecated) is left out.",
        choices=("cosine", "tanh", "step", "multistep", "poly", "wsd", "rsqrt", "constant"),
    )
    lr: float | None = option(None, "Learning rate; by default --lr-base for --lr-base-size images a step.", least=0)
    lr_base: float = option(0.1, "Learning rate for --lr-base-size images a step.", least=0)
    lr_base_size: int = option(256, "Images a step that --lr-base is for.", least=1)
    lr_base_scale: str | None = option(
        None,
        "How --lr-base grows with the images of a step; by default 'sqrt' for adaptive optimizers, else 'linear'.",
        choices=("linear", "sqrt"),
    )
    warmup_epochs: float = option(5, "Epochs of linear warm-up.", least=0)
    warmup_lr: float = option(1e-5, "Learning rate the warm-up begins with.", least=0)
    min_lr: float = option(0.0, "Learning rate at the end.", least=0)
    cooldown_epochs: int = option(0, "Epochs at --min-lr behind the schedule's end.", least=0)
    decay_epochs: float | None = option(
        None, "Epochs between decays ('step', else 90), or of the decay ('wsd', 'rsqrt'; else 0.2 of all).", least=0
    )
    decay_milestones: tuple[int, ...] = option((90, 180, 270), "Epochs of decays ('multistep'), like 90,180.")
    decay_rate: float = option(0.1, "Of each decay; the power of 'poly'.", least=0)


@dataclass(frozen=True)
class AugmentSettings:
    """What happens to images and labels before they are learned."""

    no_aug: bool = option(False, "No augmentation but mixup and CutMix.")
    train_crop_mode: str | None = option(None, "How training crops.", choices=("rrc", "rkrc", "rkrr"))
    scale: tuple[float, float] = option(
        (0.08, 1.0), "Random crop: least and largest part of the area.", least=0, most=1
    )
    ratio: tuple[float, float] = option((3 / 4, 4 / 3), "Random crop: least and largest aspect ratio.", least=0.01)
    hflip: float = option(0.5, "Probability of a horizontal flip.", least=0, most=1)
    vflip: float = option(0.0, "Probability of a vertical flip.", least=0, most=1)
    color_jitter: float = option(0.4, "Color jitter.", least=0)
    aa: str | None = option(None, "AutoAugment policy, like rand-m9-mstd0.5.")
    train_interpolation: str = option("random", "Interpolation in training.", choices=("random", *INTERPOLATIONS))
    reprob: float = option(0.0, "Probability of random erasing.", least=0, most=1)
    remode: str = option("pixel", "What random erasing leaves.", choices=("const", "rand", "pixel"))
    recount: int = option(1, "Most parts that are erased.", least=1)
    mixup: float = option(0.0, "Mixup alpha.", least=0)
    cutmix: float = option(0.0, "CutMix alpha.", least=0)
    mixup_prob: float = option(1.0, "Probability of mixup or CutMix.", least=0, most=1)
    mixup_switch_prob: float = option(0.5, "Probability of CutMix where both are on.", least=0, most=1)
    mixup_mode: str = option("batch", "Mixup and CutMix by", choices=("batch", "pair", "elem"))
    mixup_off_epoch: int = option(0, "Epoch that turns mixup and CutMix off; 0 is none.", least=0)
    smoothing: float = option(0.1, "Label smoothing.", least=0, most=0.99)


@dataclass(frozen=True)
class LossSettings:
    """What else a tree network learns from."""

    level_loss: tuple[float, float] = option(
        (0.0, 0.0),
        "Weights of cross-entropies on superclasses and groups beside that on classes, like 0.1,0.2.",
        least=0,
    )
    teacher: str | None = option(None, "Learn also from the logits of a trained model: its saved folder.")
    distill_weight: float = option(1.0, "Weight of the teacher's loss beside the labels'.", least=0)
    distill_temperature: float = option(
        1.0, "Temperature of the softmax that is compared with the teacher's.", least=0.01
    )


@dataclass(frozen=True)
class AverageSettings:
    """The moving average of the weights; if it is on, it is what is saved."""

    model_ema: bool = option(False, "Keep a moving average of the weights, evaluate it too, and save it.")
    model_ema_decay: float = option(0.9998, "Its decay.", least=0, most=1)
    model_ema_warmup: bool = option(False, "Average over fewer steps at the beginning.")


@dataclass(frozen=True)
class MachineSettings:
    """Where and how it is computed."""

    device: str | None = option(None, "Device, like cuda or cpu; by default cuda where there is a GPU, else cpu.")
    amp: bool = option(False, "Mixed precision.")
    amp_dtype: str = option(
        "bfloat16", "Its type; timm's default is float16, which needs its loss scaled.", choices=("bfloat16", "float16")
    )
    channels_last: bool = option(False, "Memory format of images and weights.")
    torchcompile: str | None = option(None, "Compile the model with this backend, like inductor.")
    torchcompile_mode: str | None = option(None, "Mode of the compiler.")
    sync_bn: bool = option(False, "Batch norms over the batches of all processes.")
    seed: int = option(42, "Of everything random.", least=0)


@dataclass(frozen=True)
class RecordSettings:
    """What is written on the way."""

    eval_every: int = option(1, "Evaluate every so many epochs, and after the last; 0 is never.", least=0)
    save_every: int = option(
        0, "Save the state also every so many steps, beside every epoch's end.", free=True, least=0
    )
    log_interval: int = option(50, "Steps between looks at the loss.", free=True, least=1)


@dataclass(frozen=True)
class Settings:
    """A training: on which data, and everything else by group.

    >>> settings = Settings.of("digits", model="test_resnet", epochs=3)
    >>> settings.model.model, settings.schedule.epochs, settings.optimizer.opt
    ('test_resnet', 3, 'sgd')
    >>> Settings.from_dict(settings.to_dict()) == settings
    True
    """

    source: str
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    augment: AugmentSettings = AugmentSettings()
    loss: LossSettings = LossSettings()
    average: AverageSettings = AverageSettings()
    machine: MachineSettings = MachineSettings()
    record: RecordSettings = RecordSettings()

    @classmethod
    def of(cls, source: str, **values: Any) -> Settings:
        """Settings by the names of their fields, which are those of the flags, whatever group they are in.

        Raises:
            OptionError: with all names that are none.
        """
        return cls(source).but(**values)

    def but(self, **values: Any) -> Settings:
        """These settings with some values changed; arguments and errors as in `of`."""
        known = {each.name: group for group, each in options()}
        strangers = [f"no setting {name!r}{nearest(name, known)}" for name in values if name not in known]
        if strangers:
            raise OptionError("; ".join(strangers))
        changed = {
            group: dataclasses.replace(
                getattr(self, group), **{name: value for name, value in values.items() if known[name] == group}
            )
            for group in {known[name] for name in values}
        }
        return dataclasses.replace(self, **changed)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, by group."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Settings out of plain values; what is missing has its default.

        Raises:
            OptionError: as in `of`; or there is no source.
        """
        groups = [value for value in content.values() if isinstance(value, Mapping)]
        if not isinstance(content.get("source"), str):
            raise OptionError("these settings name no data ('source'); give settings that a training saved")
        return cls.of(content["source"], **{name: _plain(value) for group in groups for name, value in group.items()})


def options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every option, behind the name of its group.

    >>> [(group, option.name) for group, option in options()][0]
    ('data', 'hierarchy')
    """
    for name, kind in groups().items():
        for each in fields(kind):
            yield name, each


def groups() -> dict[str, type[Any]]:
    """The groups of options by name; a group's docstring is its heading.

    >>> groups()["average"].__name__
    'AverageSettings'
    """
    return {each.name: type(each.default) for each in fields(Settings) if dataclasses.is_dataclass(each.default)}


def _plain(value: Any) -> Any:
    """A value as the settings have it: JSON's lists are tuples."""
    return tuple(value) if isinstance(value, list) else value
