"""The settings of a training: one frozen dataclass, whose fields are also the flags of `timm-nhl train`.

Names are those of timm's train.py, and so are most defaults. What is best chosen by the data is None, and `Chosen` is a
`Settings` in which nothing of that is left open (`timm_nhl.train.settings.defaults`).
"""

# no `from __future__ import annotations`: typer evaluates the signature of `Settings` in the command's file

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass
from typer import Argument, Option

from timm_nhl.presets import PRESETS
from timm_nhl.train.settings.fields import (
    AUGMENTATION,
    AVERAGE,
    BY_DATA,
    DATA,
    LOSS,
    MACHINE,
    MODEL,
    OPTIMIZER,
    RECORD,
    SCHEDULE,
    Count,
    DropRate,
    Interpolation,
    NonNegative,
    Probability,
    each,
)


@dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Settings:
    """Everything that decides a training. A value that cannot be is a `pydantic.ValidationError`, a `ValueError`.

    >>> settings = Settings("digits", "run", model="test_resnet", epochs=3)
    >>> settings.model, settings.epochs, settings.opt  # the data choose the optimizer
    ('test_resnet', 3, None)
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
    val_split: Annotated[
        str | None, DATA(help="Split to evaluate on; by default validation or, without one, held-out training images.")
    ] = None
    val_share: Annotated[
        float | None,
        Field(ge=0, lt=1),
        DATA(
            help="Without a validation split: share of each class to hold out; 0 for no evaluation.",
            show_default=BY_DATA,
        ),
    ] = None
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
        str | None,
        MODEL(help="Add classes to this saved nested model: train new branches only; all with --freeze-trunk."),
    ] = None
    finetune: Annotated[
        str | None,
        MODEL(help="Train this saved model further, nested or plain, with the classes and the shape that it has."),
    ] = None
    trunk_from: Annotated[
        str | None, MODEL(help="Start the trunk from a trained backbone: a saved folder or a weights file.")
    ] = None
    freeze_trunk: Annotated[bool, MODEL(help="Do not train the trunk; its norms stay in eval mode.")] = False
    cache: Annotated[
        str | None, MODEL(help="Keep what a frozen trunk gives in this folder: each view of an image is computed once.")
    ] = None
    cache_views: Annotated[Count, MODEL(help="Augmented views of each image to keep; epochs take them in turn.")] = 8
    cache_gb: Annotated[float, Field(gt=0), MODEL(help="GiB that the folder of --cache may take.")] = 10.0
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

    opt: Annotated[str | None, OPTIMIZER(help="A timm optimizer.", show_default=BY_DATA)] = None
    opt_kwargs: Annotated[
        list[str] | None,
        OPTIMIZER(help="Further arguments of the optimizer, like 'betas=0.9,0.99 eps=1e-6'; may be repeated."),
    ] = None
    momentum: Annotated[Probability, OPTIMIZER(help="Momentum.")] = 0.9
    weight_decay: Annotated[float | None, Field(ge=0), OPTIMIZER(help="Weight decay.", show_default=BY_DATA)] = None
    clip_grad: Annotated[float | None, Field(gt=0), OPTIMIZER(help="Clip gradients; see --clip-mode.")] = None
    clip_mode: Annotated[Literal["norm", "value", "agc"], OPTIMIZER(help="How gradients are clipped.")] = "norm"
    layer_decay: Annotated[
        float | None, Field(gt=0, le=1), OPTIMIZER(help="Learning rate of each layer relative to the next.")
    ] = None
    trunk_lr_scale: Annotated[
        float | None, Field(ge=0), OPTIMIZER(help="Factor on --lr for a nested model's trunk.", show_default=BY_DATA)
    ] = None

    epochs: Annotated[
        int | None, Field(ge=1), SCHEDULE(help="Number of epochs, warm-up included.", show_default=BY_DATA)
    ] = None
    patience: Annotated[
        int | None,
        Field(ge=0),
        SCHEDULE(help="Stop after this many epochs without a better top-1; 0 for never.", show_default=BY_DATA),
    ] = None
    batch_size: Annotated[
        int | None, Field(ge=1), SCHEDULE(help="Images per process and forward pass.", show_default=BY_DATA)
    ] = None
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
    lr_base: Annotated[
        float | None,
        Field(ge=0),
        SCHEDULE(help="Learning rate at --lr-base-size images per step.", show_default=BY_DATA),
    ] = None
    lr_base_size: Annotated[Count, SCHEDULE(help="Images a step that --lr-base is for.")] = 256
    lr_base_scale: Annotated[
        Literal["linear", "sqrt"] | None,
        SCHEDULE(
            help="How --lr-base scales with images per step; by default sqrt for adaptive optimizers, otherwise linear."
        ),
    ] = None
    warmup_epochs: Annotated[
        float | None, Field(ge=0), SCHEDULE(help="Epochs of linear warm-up; at most half of all.", show_default=BY_DATA)
    ] = None
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
    scale: Annotated[
        tuple[float, float] | None,
        each(0, 1),
        AUGMENTATION(help="Random crop: range of the area.", show_default=BY_DATA),
    ] = None
    ratio: Annotated[tuple[float, float], each(0.01), AUGMENTATION(help="Random crop: range of the aspect ratio.")] = (
        3 / 4,
        4 / 3,
    )
    hflip: Annotated[Probability, AUGMENTATION(help="Probability of a horizontal flip.")] = 0.5
    vflip: Annotated[Probability, AUGMENTATION(help="Probability of a vertical flip.")] = 0.0
    color_jitter: Annotated[float | None, Field(ge=0), AUGMENTATION(help="Color jitter.", show_default=BY_DATA)] = None
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
    distill_temperature: Annotated[float, Field(gt=0), LOSS(help="Temperature of the distillation loss.")] = 2.0

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


class Chosen(Settings):
    """Settings of which nothing is left to choose; `defaults.complete` makes them."""

    opt: str
    weight_decay: float
    trunk_lr_scale: float
    epochs: int
    patience: int
    batch_size: int
    warmup_epochs: float
    scale: tuple[float, float]
    color_jitter: float


def describe(error: ValidationError) -> str:
    """All wrong values in one sentence, as flags.

    >>> try:
    ...     Settings("digits", "run", epochs=0, scale=(0, 2))
    ... except ValidationError as error:
    ...     describe(error)
    '--epochs 0 should be greater than or equal to 1; --scale 0 2 should be numbers of at least 0 and at most 1'
    """
    problems = {}
    for fault in error.errors():
        value = fault["input"] if not isinstance(fault["input"], tuple) else " ".join(map(str, fault["input"]))
        problems[f"{flag(str(fault['loc'][0]))} {value}"] = re.sub("^(Input|Value error,) ", "", fault["msg"])
    return "; ".join(f"{what} {why}" for what, why in problems.items())


def flag(name: str) -> str:
    """A setting's name on the command line."""
    return "--" + name.replace("_", "-")
