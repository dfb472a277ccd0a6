"""The model that is trained: made by timm, with the weights and the settings of inputs that it starts with."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

import timm
from timm.data import resolve_data_config
from torch import Tensor, nn

from hierarchy import Hierarchy, HierarchyError
from timm_nhl.errors import CheckpointError, NHLError, OptionError, summarize
from timm_nhl.export import find_folder, load
from timm_nhl.growing import grow
from timm_nhl.models.nhl import NHL
from timm_nhl.models.registry import SUFFIX
from timm_nhl.train.config import ModelSettings
from timm_nhl.weights import read_weights

OF_POSITIONS = ("pos_embed", "relative_position_bias_table")  # how tensors are called that grow with the image


def student_of(settings: ModelSettings, *, tree: Hierarchy | None, classes: int) -> nn.Module:
    """Makes the model of a training, for the classes of its data.

    Args:
        tree: the hierarchy of the classes; a nested model needs it.
        classes: how many there are.

    Raises:
        OptionError: timm cannot make it with these options, or has no weights for it.
        CheckpointError: weights of the trunk or of the model to grow cannot be read, or are of another backbone.
        GrowthError: the model to grow does not fit the hierarchy.
    """
    if settings.grow is None:
        model = _fresh(settings, tree=tree, classes=classes)
    else:
        assert tree is not None  # as `train` made sure
        model = grow(load(settings.grow), tree)
    model.pretrained_cfg |= _without_tests(data_config(settings, model))  # type: ignore[operator]  # timm's dict
    if settings.grad_checkpointing:
        try:
            model.set_grad_checkpointing()  # type: ignore[operator]
        except (AssertionError, AttributeError, TypeError):  # what timm's models raise that have none
            raise OptionError(f"--grad-checkpointing: {settings.model} has none; leave it out") from None
    return model


def _fresh(settings: ModelSettings, *, tree: Hierarchy | None, classes: int) -> nn.Module:
    options = {**_inputs(settings), **parsed(settings.model_kwargs)}
    if settings.drop:
        options["drop_rate"] = settings.drop
    if settings.drop_path is not None:
        options["drop_path_rate"] = settings.drop_path
    if settings.branch_drop_path is not None:
        options["drop_path"] = settings.branch_drop_path
    if is_nested(settings.model):
        options["hierarchy"] = tree
    else:
        options["num_classes"] = classes
    try:
        model: nn.Module = timm.create_model(settings.model, pretrained=settings.pretrained, **options)
    except (NHLError, HierarchyError):
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError, OSError) as error:  # what timm's models raise
        reason = summarize(error)
        given = (
            ", ".join(f"{name}={value!r}" for name, value in options.items() if name != "hierarchy") or "its defaults"
        )
        raise OptionError(
            f"--model {settings.model!r} cannot be made with {given} ({reason}); see --model-kwargs, --img-size and"
            " --pretrained"
        ) from error
    if isinstance(model, NHL):
        if settings.trunk_from is not None:
            load_trunk(model, settings.trunk_from)
        if settings.freeze_trunk:
            model.trunk.requires_grad_(False)
    return model


def load_trunk(model: NHL, source: str) -> None:
    """Gives a model's trunk the weights of a trained one: a plain backbone, or the trunk of a nested model.

    Args:
        source: a folder that timm saved it to, or a file of weights under timm's names.

    Raises:
        CheckpointError: it cannot be read, or lacks weights of the trunk: it is of another backbone.
    """
    path = find_folder(source)
    state = read_weights(path / "model.safetensors" if path.is_dir() else path)
    net = model.trunk.net
    theirs = {name.removeprefix("trunk.net."): value for name, value in state.items()}
    mine = {name: theirs[name] for name, value in net.state_dict().items() if _like(theirs.get(name), value)}
    odd = [name for name in net.state_dict() if name not in mine]
    if odd and all(name in theirs and name.endswith(OF_POSITIONS) for name in odd):
        raise CheckpointError(
            f"{source!r} was trained on images of another size: {odd[0]!r} is {_shape(theirs[odd[0]])} there,"
            f" {_shape(net.state_dict()[odd[0]])} here; give the --img-size it was trained on"
        )
    if odd:
        raise CheckpointError(
            f"{source!r} is not of {model.trunk.backbone}: {len(odd)} of {len(net.state_dict())} tensors of the trunk"
            f" are missing or of another shape (like {odd[0]!r}); give a trained {model.trunk.backbone}"
        )
    net.load_state_dict(mine)


def is_nested(name: str) -> bool:
    """Whether a name is one of a nested model, with or without a tag.

    >>> is_nested("resnet50_nhl.a1_in1k"), is_nested("resnet50")
    (True, False)
    """
    return name.partition(".")[0].endswith(SUFFIX)


def data_config(settings: ModelSettings, model: nn.Module) -> dict[str, Any]:
    """Size, normalisation and crop of the model's images, as timm resolves them."""
    asked = {
        "img_size": settings.img_size,
        "mean": settings.mean,
        "std": settings.std,
        "interpolation": settings.interpolation,
        "crop_pct": settings.crop_pct,
        "crop_mode": settings.crop_mode,
    }
    return dict(resolve_data_config(asked, model=model))


def parsed(words: Iterable[str]) -> dict[str, Any]:
    """Options of a model out of KEY=VALUE: Python's values, and else text.

    Raises:
        OptionError: with all words that have no `=`.

    >>> parsed(["split=-3 strides=2,1,2", "norm=layer"])
    {'split': -3, 'strides': (2, 1, 2), 'norm': 'layer'}
    """
    pairs = [word for words_ in words for word in words_.split()]
    bad = [pair for pair in pairs if not pair.partition("=")[1] or not pair.partition("=")[0].isidentifier()]
    if bad:
        raise OptionError(f"--model-kwargs {', '.join(map(repr, bad))} is not KEY=VALUE; like split=-3")
    return {key: _value(text) for key, _, text in (pair.partition("=") for pair in pairs)}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))


def _like(theirs: Tensor | None, mine: Tensor) -> bool:
    return theirs is not None and theirs.shape == mine.shape


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _inputs(settings: ModelSettings) -> dict[str, Any]:
    """The size of images for a backbone that has one built in."""
    backbone, dot, tag = settings.model.partition(".")
    cfg = timm.get_pretrained_cfg(backbone.removesuffix(SUFFIX) + dot + tag)
    fixed = cfg is not None and cfg.fixed_input_size
    return {"img_size": settings.img_size} if settings.img_size is not None and fixed else {}


def _without_tests(config: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as they are trained with, for a model's cfg: what timm recommended for testing other weights is gone."""
    return {**config, "test_input_size": None, "test_crop_pct": None, "test_pool_size": None}
