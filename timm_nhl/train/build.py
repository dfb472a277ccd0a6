"""What timm makes of the settings: the model with its first weights, the teacher, and the augmentations."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import timm
import torch
from timm.data import Mixup, create_transform, resolve_data_config
from timm.data.random_erasing import RandomErasing
from torch import Tensor, nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy.english import count
from timm_nhl.errors import CheckpointError, NHLError, OptionError, TrainingError, summarize
from timm_nhl.export import find_folder, list_label_names, load, load_model
from timm_nhl.growing import grow
from timm_nhl.models import NHL, SUFFIX
from timm_nhl.train.settings import Chosen, Settings
from timm_nhl.weights import read_weights

POSITIONAL = ("pos_embed", "relative_position_bias_table")  # tensors that grow with the image
FIXED_BY_DATA = ("hierarchy", "num_classes", "in_chans")  # model arguments that follow from the data


def create_model(
    settings: Chosen, *, hierarchy: Hierarchy | None, num_classes: int, start: nn.Module | None = None
) -> nn.Module:
    """Creates the model of a training.

    Args:
        hierarchy: of the classes; a nested model needs it.
        start: a model with these classes to train further, in place of a new one.

    Raises:
        OptionError: timm cannot create it with these arguments, or has no weights for it.
        CheckpointError: the weights of the trunk or of the saved model cannot be read, or are of another backbone.
        GrowthError: the model to grow does not fit the hierarchy.
    """
    if settings.grow is not None:
        assert hierarchy is not None  # the loop has made sure
        growth = grow(load(settings.grow), hierarchy)
        # old branches that learn with the new ones end within a point of training from scratch; see RESULTS.md
        model: nn.Module = growth.grown().requires_grad_(True) if settings.freeze_trunk else growth
    elif start is not None:
        model = start
    else:
        model = _create(settings, {"hierarchy": hierarchy} if settings.nested else {"num_classes": num_classes})
    if settings.trunk_from is not None:
        load_trunk(model, settings.trunk_from)
    if settings.freeze_trunk:
        model.get_submodule("trunk").requires_grad_(False)
    inputs = resolve_inputs(settings, model)
    # what timm recommends for testing its own weights does not hold for ours
    inputs |= {"test_input_size": None, "test_crop_pct": None, "test_pool_size": None}
    model.pretrained_cfg |= inputs  # type: ignore[operator]  # timm's dictionary
    if settings.grad_checkpointing:
        try:
            model.set_grad_checkpointing()  # type: ignore[operator]
        except (AssertionError, AttributeError, TypeError):  # what timm's models without it raise
            name = model.pretrained_cfg["architecture"]  # type: ignore[index]
            raise OptionError(f"--grad-checkpointing is not supported by {name}; remove it") from None
    return model


def _create(settings: Chosen, classes: Mapping[str, Any]) -> nn.Module:
    options = {**_fixed_size(settings), **parse_kwargs("--model-kwargs", settings.model_kwargs or ())}
    taken = [name for name in options if name in FIXED_BY_DATA]
    if taken:
        raise OptionError(f"--model-kwargs {', '.join(taken)}: the data decide this; remove it")
    if settings.router:
        options["router"] = True
    if settings.preset is not None:
        if "preset" in options:
            raise OptionError("--preset and --model-kwargs preset=... both choose a shape; remove one")
        options["preset"] = settings.preset
    if settings.drop:
        options["drop_rate"] = settings.drop
    if settings.drop_path is not None:
        options["drop_path_rate"] = settings.drop_path
    try:
        return timm.create_model(settings.model, pretrained=settings.pretrained, **options, **classes)
    except (NHLError, HierarchyError):
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError, OSError) as error:  # what timm's models raise
        given = ", ".join(f"{name}={value!r}" for name, value in options.items()) or "no arguments"
        raise OptionError(
            f"cannot create {settings.model!r} with {given}: {summarize(error)}; see --model-kwargs, --img-size and"
            " --pretrained"
        ) from error


def _fixed_size(settings: Chosen) -> dict[str, Any]:
    """The image size, for a backbone that has one built in."""
    backbone, dot, tag = settings.model.partition(".")
    cfg = timm.get_pretrained_cfg(backbone.removesuffix(SUFFIX) + dot + tag)
    fixed = cfg is not None and cfg.fixed_input_size
    return {"img_size": settings.img_size} if settings.img_size is not None and fixed else {}


def resolve_inputs(settings: Chosen, model: nn.Module) -> dict[str, Any]:
    """Size, normalisation and crop of the images, as timm resolves them."""
    names = ("img_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
    return dict(resolve_data_config({name: getattr(settings, name) for name in names}, model=model))


def parse_kwargs(name: str, words: Iterable[str]) -> dict[str, Any]:
    """Arguments as KEY=VALUE: Python literals, anything else is text.

    Raises:
        OptionError: with all words that are not KEY=VALUE.

    >>> parse_kwargs("--model-kwargs", ["split=-3 strides=2,1,2", "norm=group"])
    {'split': -3, 'strides': (2, 1, 2), 'norm': 'group'}
    """
    pairs = [pair.partition("=") for words_ in words for pair in words_.split()]
    bad = ["".join(pair) for pair in pairs if not pair[1] or not pair[0].isidentifier()]
    if bad:
        raise OptionError(f"invalid {name} {', '.join(map(repr, bad))}; use KEY=VALUE")
    return {key: _literal(text) for key, _, text in pairs}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def load_trunk(model: nn.Module, source: str) -> None:
    """Loads the trunk of a nested model from a trained plain backbone or the trunk of another nested model.

    Args:
        source: a saved folder, or a weights file with timm's names.

    Raises:
        CheckpointError: it cannot be read, or lacks weights of the trunk.
    """
    assert isinstance(model, NHL)
    path = find_folder(source)
    state = read_weights(path / "model.safetensors" if path.is_dir() else path)
    theirs = {name.removeprefix("trunk.net."): value for name, value in state.items()}
    mine = model.trunk.net.state_dict()
    odd = [name for name, value in mine.items() if name not in theirs or theirs[name].shape != value.shape]
    if odd and all(name in theirs and name.endswith(POSITIONAL) for name in odd):
        raise CheckpointError(
            f"{source!r} was trained at another image size: {odd[0]!r} is {_shape(theirs[odd[0]])}, expected"
            f" {_shape(mine[odd[0]])}; pass its --img-size"
        )
    if odd:
        raise CheckpointError(
            f"{source!r} is not a {model.trunk.backbone}: {len(odd)} of {len(mine)} trunk tensors are missing or have"
            f" another shape (first: {odd[0]!r}); pass a trained {model.trunk.backbone}"
        )
    model.trunk.net.load_state_dict({name: theirs[name] for name in mine})


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def load_teacher(folder: str, *, classes: Sequence[str]) -> nn.Module:
    """Loads a saved model, plain or nested, whose outputs are exactly these classes, in this order.

    Raises:
        CheckpointError: the folder does not hold a model, or a broken one.
        TrainingError: its outputs are other classes, the same in another order, or not named.
    """
    teacher = load_model(folder)
    check_outputs(teacher, classes, what=f"the teacher {folder!r}", fix="pass a teacher trained on the same classes")
    return teacher.requires_grad_(False)


def check_outputs(model: nn.Module, classes: Sequence[str], *, what: str, fix: str) -> None:
    """Checks that a model's outputs are these classes, in this order.

    Raises:
        TrainingError: they are not, or not named.
    """
    known = list_outputs(model, what=what)
    if known != tuple(classes):
        odd = [name for name in known if name not in classes] or [name for name in classes if name not in known]
        how = f"only one of them has {odd[0]!r}" if odd else "in another order"
        raise TrainingError(f"{what} has {count(len(known), 'class')}, this training {len(classes)}, {how}; {fix}")


def list_outputs(model: nn.Module, *, what: str) -> tuple[str, ...]:
    """The class of each output of a saved model.

    Raises:
        TrainingError: its config does not name them.
    """
    known = model.hierarchy.classes if isinstance(model, NHL) else list_label_names(model)
    if not known:
        raise TrainingError(
            f"{what} does not name its {model.num_classes} outputs, so they cannot be matched to the classes; add"
            " label_names (ids by output) to its config.json"
        )
    return tuple(known)


def train_transform(settings: Settings, inputs: Mapping[str, Any]) -> Any:
    """The random transform of a Pillow image to a (C, H, W) array of bytes.

    Args:
        inputs: from `resolve_inputs`.

    Raises:
        OptionError: timm does not know the AutoAugment policy.
    """
    try:
        return create_transform(
            inputs["input_size"],
            is_training=True,
            use_prefetcher=True,  # bytes, which the loader normalises on the device
            no_aug=settings.no_aug,
            train_crop_mode=settings.train_crop_mode,
            scale=settings.scale,
            ratio=settings.ratio,
            hflip=settings.hflip,
            vflip=settings.vflip,
            color_jitter=settings.color_jitter or 0.0,
            auto_augment=settings.aa,
            interpolation=settings.train_interpolation,
            mean=inputs["mean"],
            std=inputs["std"],
        )
    except (AssertionError, KeyError, ValueError, IndexError, TypeError):  # what timm raises for unknown policies
        if settings.aa is None:
            raise
        raise OptionError(
            f"--aa {settings.aa!r} is not a policy of timm; use one like rand-m9-mstd0.5, augmix or original"
        ) from None


def random_erasing(settings: Chosen, device: torch.device) -> RandomErasing | None:
    """Random erasing of normalised images; None if it is off."""
    if settings.no_aug or not settings.reprob:
        return None
    return RandomErasing(settings.reprob, mode=settings.remode, max_count=settings.recount, device=device)


def mixup(settings: Chosen, *, num_classes: int) -> Mixup | None:
    """Mixup and CutMix, which turn (B,) labels into (B, K) probabilities; None if both are off."""
    if not settings.mixup and not settings.cutmix:
        return None
    return Mixup(
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
        prob=settings.mixup_prob,
        switch_prob=settings.mixup_switch_prob,
        mode=settings.mixup_mode,
        label_smoothing=settings.smoothing,
        num_classes=num_classes,
    )
