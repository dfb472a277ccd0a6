"""The settings of a training: one frozen dataclass, whose fields are also the flags of `timm-nhl train`.

Names and defaults are those of timm's train.py; where one differs, its help says why.
"""

# no `from __future__ import annotations`: typer evaluates the signature of `Settings` in the command's file

import math
import re
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from typer import Argument, Option

from timm_nhl.presets import PRESETS

Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
DropRate = Annotated[float, Field(ge=0, lt=1)]


def each(low: float, high: float = math.inf) -> AfterValidator:
    """A bound for every number of a tuple; typer takes no bounds inside one."""

    def validate(values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(low <= value <= high for value in values):
            raise ValueError(
                f"should be numbers of at least {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
            )
        return values

    return AfterValidator(validate)


DATA, MODEL, OPTIMIZER, SCHEDULE, AUGMENTATION, LOSS, AVERAGE, MACHINE, RECORD = (
    partial(Option, rich_help_panel=panel)
    for panel in (
        "Data",
        "Model",
        "Optimizer",
        "Schedule",
        "Augmentation",
        "Loss",
        "Moving average",
        "Machine",
        "Evaluation and logging",
    )
)


@dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Settings:
    """Everything that decides a training. A value that cannot be is a `pydantic.ValidationError`, a `ValueError`.

    >>> settings = Settings("digits", "run", model="test_resnet", epochs=3)
    >>> settings.model, settings.epochs, settings.opt
    ('test_resnet', 3, 'sgd')
    """

    source: Annotated[
        str, Argument(metavar="DATA", help="A saved folder, .parquet, an image folder, or a name on the Hub.")
    ]
    out: Annotated[str, Option(help="Folder to write to. A run that was stopped resumes at its last finished epoch.")]

    hierarchy: Annotated[
        str | None,
        DATA(help="A shipped hierarchy, or a .json or .csv file; by default hierarchy.json in DATA, if it exists."),
    ] = None
    classes: Annotated[
        list[str] | None, DATA(help="Train on these classes only: an id, name or node path; may be repeated.")
    ] = None
    train_split: Annotated[str, DATA(help="Split to train on.")] = "train"
    val_split: Annotated[str, DATA(help="Split to evaluate on.")] = "validation"
    image: Annotated[str | None, DATA(help="Image column; by default the only one.")] = None
    column: Annotated[str | None, DATA(help="Label column; by default 'label', or the only one.")] = None
    workers: Annotated[int, Field(ge=0), DATA(help="Processes that load images.")] = 4

    model: Annotated[str, MODEL(help="A timm model, plain or nested (<backbone>_nhl).")] = "resnet50_nhl"
    preset: Annotated[
        str | None,
        MODEL(help=f"Shape of a nested model ({', '.join(PRESETS)}); --model-kwargs replace some of its values."),
    ] = None
    model_kwargs: Annotated[
        list[str] | None, MODEL(help="Further arguments of the model, like 'split=-3 strides=2,1,2'; may be repeated.")
    ] = None
    pretrained: Annotated[bool, MODEL(help="Start from timm's pretrained weights; a nested model's trunk does.")] = (
        False
    )
    grow: Annotated[
        str | None, MODEL(help="Add classes to this saved nested model: train only the branches of new classes.")
    ] = None
    trunk_from: Annotated[
        str | None, MODEL(help="Start the trunk from a trained backbone: a saved folder or a weights file.")
    ] = None
    freeze_trunk: Annotated[bool, MODEL(help="Do not train the trunk; its norms stay in eval mode.")] = False
    router: Annotated[
        bool, MODEL(help="Also train a router, which scores groups by the trunk: what branches does an image need?")
    ] = False
    img_size: Annotated[int | None, Field(ge=1), MODEL(help="Image size; by default the model's.")] = None
    mean: Annotated[tuple[float, float, float] | None, MODEL(help="Channel means; by default the model's.")] = None
    std: Annotated[
        tuple[float, float, float] | None, MODEL(help="Channel standard deviations; by default the model's.")
    ] = None
    interpolation: Annotated[
        Interpolation | None, MODEL(help="Interpolation for evaluation; by default the model's.")
    ] = None
    crop_pct: Annotated[
        float | None, Field(gt=0), MODEL(help="Center crop for evaluation; by default the model's.")
    ] = None
    crop_mode: Annotated[
        Literal["squash", "border", "center"] | None, MODEL(help="Crop mode for evaluation; by default the model's.")
    ] = None
    drop: Annotated[DropRate, MODEL(help="Dropout before the classifier.")] = 0.0
    drop_path: Annotated[
        float | None, Field(ge=0, lt=1), MODEL(help="Stochastic depth of the trunk and the branches.")
    ] = None
    grad_checkpointing: Annotated[bool, MODEL(help="Recompute activations in the backward pass to save memory.")] = (
        False
    )

    opt: Annotated[str, OPTIMIZER(help="A timm optimizer.")] = "sgd"
    opt_kwargs: Annotated[
        list[str] | None,
        OPTIMIZER(help="Further arguments of the optimizer, like 'betas=0.9,0.99 eps=1e-6'; may be repeated."),
    ] = None
    momentum: Annotated[Probability, OPTIMIZER(help="Momentum.")] = 0.9
    weight_decay: Annotated[NonNegative, OPTIMIZER(help="Weight decay.")] = 2e-5
    clip_grad: Annotated[float | None, Field(gt=0), OPTIMIZER(help="Clip gradients; see --clip-mode.")] = None
    clip_mode: Annotated[Literal["norm", "value", "agc"], OPTIMIZER(help="How gradients are clipped.")] = "norm"
    layer_decay: Annotated[
        float | None, Field(gt=0, le=1), OPTIMIZER(help="Learning rate of each layer relative to the next.")
    ] = None
    trunk_lr_scale: Annotated[NonNegative, OPTIMIZER(help="Factor on --lr for a nested model's trunk.")] = 1.0
    branch_lr_scale: Annotated[
        tuple[float, float, float],
        each(0),
        OPTIMIZER(help="Factors on --lr for superclass, group and class branches."),
    ] = (1.0, 1.0, 1.0)

    epochs: Annotated[Count, SCHEDULE(help="Number of epochs, warm-up included.")] = 300
    batch_size: Annotated[Count, SCHEDULE(help="Images per process and forward pass.")] = 128
    grad_accum_steps: Annotated[Count, SCHEDULE(help="Forward passes per optimizer step.")] = 1
    validation_batch_size: Annotated[
        int | None, Field(ge=1), SCHEDULE(help="Batch size of evaluation; by default --batch-size.")
    ] = None
    sched: Annotated[
        Literal["cosine", "tanh", "step", "multistep", "poly", "wsd", "rsqrt", "constant"],
        SCHEDULE(help="Learning rate schedule, by step. timm's 'none' is 'constant'; its deprecated 'plateau' is out."),
    ] = "cosine"
    lr: Annotated[
        float | None,
        Field(ge=0),
        SCHEDULE(help="Learning rate; by default --lr-base at --lr-base-size images per step."),
    ] = None
    lr_base: Annotated[NonNegative, SCHEDULE(help="Learning rate at --lr-base-size images per step.")] = 0.1
    lr_base_size: Annotated[Count, SCHEDULE(help="Images a step that --lr-base is for.")] = 256
    lr_base_scale: Annotated[
        Literal["linear", "sqrt"] | None,
        SCHEDULE(
            help="How --lr-base scales with images per step; by default sqrt for adaptive optimizers, otherwise linear."
        ),
    ] = None
    warmup_epochs: Annotated[NonNegative, SCHEDULE(help="Epochs of linear warm-up.")] = 5.0
    warmup_lr: Annotated[NonNegative, SCHEDULE(help="Learning rate at the start of the warm-up.")] = 1e-5
    min_lr: Annotated[NonNegative, SCHEDULE(help="Learning rate at the end.")] = 0.0
    cooldown_epochs: Annotated[int, Field(ge=0), SCHEDULE(help="Epochs at --min-lr after the schedule ends.")] = 0
    decay_epochs: Annotated[
        float | None,
        Field(gt=0),
        SCHEDULE(help="Epochs between decays ('step': 90), or of the decay ('wsd', 'rsqrt': 0.2 of all)."),
    ] = None
    decay_milestones: Annotated[
        list[int] | None, SCHEDULE(help="Epoch of a decay ('multistep': 90, 180 and 270); may be repeated.")
    ] = None
    decay_rate: Annotated[NonNegative, SCHEDULE(help="Factor of each decay; the power of 'poly'.")] = 0.1

    no_aug: Annotated[bool, AUGMENTATION("--no-aug", help="No augmentation but mixup and CutMix.")] = False
    train_crop_mode: Annotated[Literal["rrc", "rkrc", "rkrr"] | None, AUGMENTATION(help="Crop mode of training.")] = (
        None
    )
    scale: Annotated[tuple[float, float], each(0, 1), AUGMENTATION(help="Random crop: range of the area.")] = (0.08, 1)
    ratio: Annotated[tuple[float, float], each(0.01), AUGMENTATION(help="Random crop: range of the aspect ratio.")] = (
        3 / 4,
        4 / 3,
    )
    hflip: Annotated[Probability, AUGMENTATION(help="Probability of a horizontal flip.")] = 0.5
    vflip: Annotated[Probability, AUGMENTATION(help="Probability of a vertical flip.")] = 0.0
    color_jitter: Annotated[NonNegative, AUGMENTATION(help="Color jitter.")] = 0.4
    aa: Annotated[str | None, AUGMENTATION(help="AutoAugment policy, like rand-m9-mstd0.5.")] = None
    train_interpolation: Annotated[
        Literal["random", Interpolation], AUGMENTATION(help="Interpolation in training.")
    ] = "random"
    reprob: Annotated[Probability, AUGMENTATION(help="Probability of random erasing.")] = 0.0
    remode: Annotated[Literal["const", "rand", "pixel"], AUGMENTATION(help="What erased regions are filled with.")] = (
        "pixel"
    )
    recount: Annotated[Count, AUGMENTATION(help="Most regions erased per image.")] = 1
    mixup: Annotated[NonNegative, AUGMENTATION(help="Mixup alpha.")] = 0.0
    cutmix: Annotated[NonNegative, AUGMENTATION(help="CutMix alpha.")] = 0.0
    mixup_prob: Annotated[Probability, AUGMENTATION(help="Probability of mixup or CutMix.")] = 1.0
    mixup_switch_prob: Annotated[Probability, AUGMENTATION(help="Probability of CutMix when both are on.")] = 0.5
    mixup_mode: Annotated[Literal["batch", "pair", "elem"], AUGMENTATION(help="What shares one mixing weight.")] = (
        "batch"
    )
    mixup_off_epoch: Annotated[
        int, Field(ge=0), AUGMENTATION(help="Epoch at which mixup and CutMix end; 0 for never.")
    ] = 0
    smoothing: Annotated[DropRate, AUGMENTATION(help="Label smoothing.")] = 0.1

    router_weight: Annotated[NonNegative, LOSS(help="Weight of the router's loss on groups.")] = 1.0
    teacher: Annotated[str | None, LOSS(help="Distill the logits of this saved model.")] = None
    distill_weight: Annotated[NonNegative, LOSS(help="Weight of the distillation loss.")] = 1.0
    distill_temperature: Annotated[float, Field(gt=0), LOSS(help="Temperature of the distillation loss.")] = 1.0

    model_ema: Annotated[bool, AVERAGE(help="Keep a moving average of the weights; evaluate and save it.")] = False
    model_ema_decay: Annotated[Probability, AVERAGE(help="Its decay.")] = 0.9998
    model_ema_warmup: Annotated[bool, AVERAGE(help="Average over fewer steps at the start.")] = False

    device: Annotated[str | None, MACHINE(help="Like cuda or cpu; by default cuda if there is a GPU.")] = None
    amp: Annotated[bool, MACHINE(help="Mixed precision.")] = False
    amp_dtype: Annotated[
        Literal["bfloat16", "float16"], MACHINE(help="Its type. timm's default is float16, which needs loss scaling.")
    ] = "bfloat16"
    channels_last: Annotated[bool, MACHINE(help="Memory format of images and weights.")] = False
    torchcompile: Annotated[str | None, MACHINE(help="Compile the model with this backend, like inductor.")] = None
    torchcompile_mode: Annotated[str | None, MACHINE(help="Mode of the compiler.")] = None
    sync_bn: Annotated[bool, MACHINE(help="Share batch norm statistics between processes; needs GPUs.")] = False
    seed: Annotated[int, Field(ge=0), MACHINE(help="Seed of everything random.")] = 42

    eval_every: Annotated[
        int, Field(ge=0), RECORD(help="Epochs between evaluations; the last one always has one; 0 for never.")
    ] = 1
    log_interval: Annotated[Count, RECORD(help="Steps between reports of the loss.")] = 50

    @property
    def nested(self) -> bool:
        """Whether `model` names a nested model."""
        return self.model.partition(".")[0].endswith("_nhl")


def describe(error: ValidationError) -> str:
    """All wrong values in one sentence, as flags.

    >>> try:
    ...     Settings("digits", "run", epochs=0, scale=(0, 2))
    ... except ValidationError as error:
    ...     describe(error)
    '--epochs 0 should be greater than or equal to 1; --scale 0 2 should be numbers of at least 0 and at most 1'
    """
    problems = {}
    for each in error.errors():
        value = each["input"] if not isinstance(each["input"], tuple) else " ".join(map(str, each["input"]))
        problems[f"{flag(str(each['loc'][0]))} {value}"] = re.sub("^(Input|Value error,) ", "", each["msg"])
    return "; ".join(f"{what} {why}" for what, why in problems.items())


def flag(name: str) -> str:
    """A setting's name on the command line."""
    return "--" + name.replace("_", "-")
