"""Everything that decides a training, as frozen values; the flags of `timm-nhl train` are made from it.

Names and defaults are those of timm's train.py; where one differs, its help says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from timm_nhl.errors import OptionError

Group = TypeVar("Group")


def option(default: Any, help: str, *, choices: tuple[str, ...] = (), free: bool = False) -> Any:
    """A field with its help.

    Args:
        choices: what it may be.
        free: it does not decide the result, so a run that goes on may have another.
    """
    return field(default=default, metadata={"help": help, "choices": choices, "free": free})


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
    workers: int = option(4, "Processes that load images.", free=True)


@dataclass(frozen=True)
class ModelSettings:
    """What is trained."""

    model: str = option("resnet50_nhl", "A model of timm, plain or nested (<backbone>_nhl).")
    model_kwargs: tuple[str, ...] = option((), "More options of the model, as KEY=VALUE; several by spaces.")
    pretrained: bool = option(False, "Start with timm's pretrained weights; of a nested model, its trunk.")
    trunk_from: str | None = option(None, "Start the trunk with a trained backbone: its saved folder, or its weights.")
    freeze_trunk: bool = option(False, "Leave the trunk as it is: no gradients, and its norms in eval mode.")
    img_size: int | None = option(None, "Side of the images; that of the model by default.")
    mean: tuple[float, float, float] | None = option(None, "Mean of the images' channels, instead of the model's.")
    std: tuple[float, float, float] | None = option(None, "Deviation of the images' channels, instead of the model's.")
    interpolation: str | None = option(None, "Interpolation in evaluation, instead of the model's.")
    crop_pct: float | None = option(None, "Center crop in evaluation, instead of the model's.")
    crop_mode: str | None = option(None, "How evaluation crops.", choices=("squash", "border", "center"))
    drop: float = option(0.0, "Dropout in front of the classifier.")
    drop_path: float | None = option(None, "Stochastic depth, of trunk and branches.")
    branch_drop_path: float | None = option(None, "Stochastic depth of a nested model's branches, where it differs.")
    grad_checkpointing: bool = option(False, "Compute activations again in the backward pass, to save memory.")


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights are changed."""

    opt: str = option("sgd", "An optimizer of timm.")
    opt_eps: float | None = option(None, "Its epsilon; its own default.")
    opt_betas: tuple[float, float] | None = option(None, "Its betas; its own default.")
    momentum: float = option(0.9, "Its momentum.")
    weight_decay: float = option(2e-5, "Weight decay.")
    clip_grad: float | None = option(None, "Clip gradients; see --clip-mode.")
    clip_mode: str = option("norm", "How gradients are clipped.", choices=("norm", "value", "agc"))
    layer_decay: float | None = option(None, "Learning rate of each layer over that of the next.")
    trunk_lr_scale: float = option(1.0, "Learning rate of a nested model's trunk over --lr.")
    branch_lr_scale: tuple[float, float, float] = option(
        (1.0, 1.0, 1.0), "Learning rates of superclass, group and class branches over --lr, like 1,1,2."
    )


@dataclass(frozen=True)
class ScheduleSettings:
    """How long, in what portions, at what learning rate."""

    epochs: int = option(300, "Epochs, the warm-up's among them.")
    batch_size: int = option(128, "Images a process computes at once.")
    grad_accum_steps: int = option(1, "Batches of a process that make up one step of the optimizer.")
    validation_batch_size: int | None = option(None, "Batch size of evaluation; --batch-size by default.", free=True)
    sched: str = option(
        "cosine",
        "Schedule of the learning rate, by step. timm's 'none' is 'constant' here, and its deprecated 'plateau' is not.",
        choices=("cosine", "tanh", "step", "multistep", "poly", "wsd", "rsqrt", "constant"),
    )
    lr: float | None = option(None, "Learning rate; by default --lr-base for --lr-base-size images a step.")
    lr_base: float = option(0.1, "Learning rate for --lr-base-size images a step.")
    lr_base_size: int = option(256, "Images a step that --lr-base is for.")
    lr_base_scale: str | None = option(
        None,
        "How --lr-base grows with the images of a step; by default 'sqrt' for adaptive optimizers, else 'linear'.",
        choices=("linear", "sqrt"),
    )
    warmup_epochs: float = option(5, "Epochs of linear warm-up.")
    warmup_lr: float = option(1e-5, "Learning rate the warm-up begins with.")
    min_lr: float = option(0.0, "Learning rate at the end.")
    cooldown_epochs: int = option(0, "Epochs at --min-lr behind the schedule's end.")
    decay_epochs: float = option(90, "Epochs between decays ('step'), or of the decay ('wsd', 'rsqrt').")
    decay_milestones: tuple[int, ...] = option((90, 180, 270), "Epochs of decays ('multistep'), like 90,180.")
    decay_rate: float = option(0.1, "Of each decay; the power of 'poly'.")


@dataclass(frozen=True)
class AugmentSettings:
    """What happens to images and labels before they are learned."""

    no_aug: bool = option(False, "No augmentation but mixup, cutmix and random erasing.")
    train_crop_mode: str | None = option(None, "How training crops.", choices=("rrc", "rkrc", "rkrr"))
    scale: tuple[float, float] = option((0.08, 1.0), "Random crop: least and largest part of the area.")
    ratio: tuple[float, float] = option((3 / 4, 4 / 3), "Random crop: least and largest aspect ratio.")
    hflip: float = option(0.5, "Probability of a horizontal flip.")
    vflip: float = option(0.0, "Probability of a vertical flip.")
    color_jitter: float = option(0.4, "Color jitter.")
    aa: str | None = option(None, "AutoAugment policy, like rand-m9-mstd0.5.")
    train_interpolation: str = option("random", "Interpolation in training.")
    reprob: float = option(0.0, "Probability of random erasing.")
    remode: str = option("pixel", "What random erasing leaves.", choices=("const", "rand", "pixel"))
    recount: int = option(1, "Most parts that are erased.")
    mixup: float = option(0.0, "Mixup alpha.")
    cutmix: float = option(0.0, "CutMix alpha.")
    mixup_prob: float = option(1.0, "Probability of mixup or CutMix.")
    mixup_switch_prob: float = option(0.5, "Probability of CutMix where both are on.")
    mixup_mode: str = option("batch", "Mixup and CutMix by", choices=("batch", "pair", "elem"))
    mixup_off_epoch: int = option(0, "Epoch that turns mixup and CutMix off; 0 is none.")
    smoothing: float = option(0.1, "Label smoothing.")


@dataclass(frozen=True)
class LossSettings:
    """What else a tree network learns from."""

    level_loss: tuple[float, float] = option(
        (0.0, 0.0), "Weights of cross-entropies on superclasses and groups beside that on classes, like 0.1,0.2."
    )
    teacher: str | None = option(None, "Learn also from the logits of a trained model: its saved folder.")
    distill_weight: float = option(1.0, "Weight of the teacher's loss beside the labels'.")
    distill_temperature: float = option(1.0, "Temperature of the softmax that is compared with the teacher's.")


@dataclass(frozen=True)
class AverageSettings:
    """The moving average of the weights; if it is on, it is what is saved."""

    model_ema: bool = option(False, "Keep a moving average of the weights, evaluate it too, and save it.")
    model_ema_decay: float = option(0.9998, "Its decay.")
    model_ema_warmup: bool = option(False, "Average over fewer steps at the beginning.")


@dataclass(frozen=True)
class MachineSettings:
    """Where and how it is computed."""

    device: str = option("cuda", "Device, like cuda, cpu or mps; without a GPU, cpu.")
    amp: bool = option(False, "Mixed precision.")
    amp_dtype: str = option(
        "bfloat16", "Its type; timm's default is float16, which needs its loss scaled.", choices=("bfloat16", "float16")
    )
    channels_last: bool = option(False, "Memory format of images and weights.")
    torchcompile: str | None = option(None, "Compile the model with this backend, like inductor.")
    torchcompile_mode: str | None = option(None, "Mode of the compiler.")
    sync_bn: bool = option(False, "Batch norms over the batches of all processes.")
    seed: int = option(42, "Of everything random.")


@dataclass(frozen=True)
class RecordSettings:
    """What is written on the way."""

    eval_every: int = option(1, "Evaluate every so many epochs, and after the last; 0 is never.")
    save_every: int = option(0, "Save the state also every so many steps, beside every epoch's end.", free=True)
    log_interval: int = option(50, "Steps between looks at the loss.", free=True)


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
        """Settings by the names of the flags.

        Raises:
            OptionError: a name that is none, or values that cannot be.
        """
        return cls(source).with_values(**values)

    def with_values(self, **values: Any) -> Settings:
        """These settings but for some values, by the names of the flags."""
        groups = {}
        for name, kind in GROUPS.items():
            own = {key: values.pop(key) for key in [field.name for field in fields(kind)] if key in values}
            groups[name] = dataclasses.replace(getattr(self, name), **own)
        if values:
            raise OptionError(f"no settings {', '.join(map(repr, values))}")
        return dataclasses.replace(self, **groups)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a file."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Settings:
        """Settings out of a file's values; what is missing has its default."""
        values = {key: value for name in GROUPS for key, value in content.get(name, {}).items()}
        return cls.of(content["source"], **{key: _plain(value) for key, value in values.items()})


GROUPS: Mapping[str, Any] = {
    "data": DataSettings,
    "model": ModelSettings,
    "optimizer": OptimizerSettings,
    "schedule": ScheduleSettings,
    "augment": AugmentSettings,
    "loss": LossSettings,
    "average": AverageSettings,
    "machine": MachineSettings,
    "record": RecordSettings,
}


def options() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Every option, with the name of its group."""
    for name, kind in GROUPS.items():
        for each in fields(kind):
            yield name, each


def _plain(value: Any) -> Any:
    """A value as the settings have it: JSON's lists are tuples."""
    return tuple(value) if isinstance(value, list) else value
