"""The settings of a conversion: one frozen dataclass, whose fields are also the flags of `timm-nhl convert`."""

# no `from __future__ import annotations`: typer evaluates the signature of `Conversion` in the command's file

from functools import partial
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from typer import Argument, Option

from timm_nhl.presets import PRESETS

STEPS = ("init", "fit", "distil")
Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
DATA, SHAPE, PART, DISTIL, MACHINE = (
    partial(Option, rich_help_panel=panel)
    for panel in ("Data", "Shape of the nested network", "Part of the classes", "Distillation", "Machine")
)


@dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class Conversion:
    """Everything that decides a conversion. A value that cannot be is a `pydantic.ValidationError`, a `ValueError`.

    >>> Conversion("runs/flat", "photos", "runs/nested").steps
    'init,fit,distil'
    """

    model: Annotated[
        str,
        Argument(
            metavar="MODEL", help="The flat classifier: a folder of a training or of a saved model, or a timm model."
        ),
    ]
    source: Annotated[
        str, Argument(metavar="DATA", help="A saved folder, .parquet, an image folder, or a name on the Hub.")
    ]
    out: Annotated[str, Option(help="Folder to write to. A conversion that was stopped resumes at its last epoch.")]

    hierarchy: Annotated[
        str | None,
        DATA(
            help="A shipped hierarchy, or a .json or .csv file; by default MODEL's, or hierarchy.json in DATA, or else"
            " one group of all classes of MODEL."
        ),
    ] = None
    labels: Annotated[
        str | None, DATA(help="A source of MODEL's classes, in order, if its config does not name them.")
    ] = None
    weights: Annotated[
        str | None, DATA(help="A file of weights for a timm MODEL, in place of its pretrained ones; needs --labels.")
    ] = None
    no_labels: Annotated[
        bool, DATA("--no-labels", help="Ignore the labels of the images; only MODEL's answers teach.")
    ] = False
    train_split: Annotated[str, DATA(help="Split to learn from.")] = "train"
    val_split: Annotated[
        str | None,
        DATA(help="Split to evaluate on; by default the validation split, or else images held out of --train-split."),
    ] = None
    val_share: Annotated[
        float | None,
        Field(gt=0, lt=1),
        DATA(help="Without a validation split: share of each class to hold out; by default as in a training."),
    ] = None
    image: Annotated[str | None, DATA(help="Image column; by default the only one.")] = None
    column: Annotated[str | None, DATA(help="Label column; by default 'label', or the only one.")] = None
    img_size: Annotated[int | None, Field(ge=1), DATA(help="Image size; by default MODEL's.")] = None
    workers: Annotated[int, Field(ge=0), DATA(help="Processes that load images.")] = 4

    cache: Annotated[
        str | None,
        DATA(help="Folder of what trunk and MODEL give for the images; by default in --out. Parts may share one."),
    ] = None
    cache_gb: Annotated[float, Field(gt=0), DATA(help="GiB that the folder of --cache may take.")] = 10.0

    preset: Annotated[
        str | None, SHAPE(help=f"Shape ({', '.join(PRESETS)}); --model-kwargs replace some of its values.")
    ] = None
    model_kwargs: Annotated[
        list[str] | None,
        SHAPE(help="Further arguments of the nested model, like 'split=-3 strides=2,1,2'; may be repeated."),
    ] = None

    classes: Annotated[
        list[str] | None, PART(help="Build the branches of these classes only: an id, name or path; may be repeated.")
    ] = None

    shard: Annotated[
        str | None,
        PART(help="Build one of N parts only, like 2/4: whole superclasses. Merge the parts when all are done."),
    ] = None

    steps: Annotated[str, DISTIL(help="Which steps to do, in order: init, fit, distil; init comes first.")] = ",".join(
        STEPS
    )
    epochs: Annotated[
        int | None, Field(ge=1), DISTIL(help="Epochs of distillation; by default as many as the images need.")
    ] = None
    batch_size: Annotated[Count, DISTIL(help="Images per step.")] = 64
    lr: Annotated[float, Field(gt=0), DISTIL(help="Highest learning rate (AdamW).")] = 8e-3
    weight_decay: Annotated[NonNegative, DISTIL(help="Weight decay.")] = 0.05
    temperature: Annotated[float, Field(gt=0), DISTIL(help="Temperature of the distillation loss.")] = 2.0
    label_weight: Annotated[NonNegative, DISTIL(help="Weight of the loss on labels, beside MODEL's answers.")] = 0.5
    smoothing: Annotated[float, Field(ge=0, lt=1), DISTIL(help="Label smoothing.")] = 0.1
    views: Annotated[int, Field(ge=1), DISTIL(help="Augmented views of each image; the trunk sees each once.")] = 2
    scale: Annotated[tuple[float, float], DISTIL(help="Random crop: range of the area.")] = (0.35, 1.0)
    hflip: Annotated[float, Field(ge=0, le=1), DISTIL(help="Probability of a horizontal flip.")] = 0.5
    color_jitter: Annotated[NonNegative, DISTIL(help="Color jitter.")] = 0.4

    device: Annotated[str | None, MACHINE(help="Like cuda or cpu; by default cuda if there is a GPU.")] = None
    seed: Annotated[int, Field(ge=0), MACHINE(help="Seed of everything random.")] = 42
