"""What a model's options mean together: its hierarchy, its three kinds of branches, its batch norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _BatchNorm

from hierarchy import Hierarchy, load
from hierarchy.english import count
from hierarchy.errors import nearest
from timm_nhl.errors import OptionError, UnknownOption
from timm_nhl.models.levels import Branch
from timm_nhl.presets import Shape

CLASSES = 1000  # when neither classes nor a hierarchy are given, as timm's own default


def agree(hierarchy: str | Mapping[str, Any] | Hierarchy | None, num_classes: int | None) -> Hierarchy:
    """The hierarchy of a model: the one given, or a balanced anonymous one; of one class for 0, which gives features.

    Raises:
        OptionError: the number of classes disagrees with the hierarchy, or is not one.
        hierarchy.HierarchyError: a hierarchy that cannot be loaded.
    """
    if num_classes is not None and (type(num_classes) is not int or num_classes < 0):
        raise OptionError(f"num_classes={num_classes!r} is not a whole number >= 0; use 0 for features")
    if hierarchy is None:
        return Hierarchy.balanced(CLASSES if num_classes is None else max(1, num_classes))
    tree = load(hierarchy)
    if num_classes not in (None, 0, len(tree)):
        raise OptionError(
            f"num_classes={num_classes} disagrees with the hierarchy, which has {count(len(tree), 'class')};"
            f" omit num_classes or pass {len(tree)} (0 for features)"
        )
    return tree


def build_branches(shape: Shape, channels: int, **common: Any) -> tuple[Branch, ...]:
    """What the branches of each level look like behind a trunk of some channels.

    Raises:
        OptionError: not one value for each level, or one that a branch cannot have.
    """
    widths, depths, strides = shape.widths_at(channels), shape.depths, shape.strides
    for name, values, example in (
        ("widths", widths, (128, 64, 32)),
        ("depths", depths, (1, 1, 1)),
        ("strides", strides, (1, 1, 2)),
    ):
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
            raise OptionError(
                f"{name}={values!r} does not give one value for each of the 3 levels; use {name}={example}"
            )
    return tuple(
        Branch(width=width, depth=depth, stride=stride, expansion=shape.expansion, **common)
        for width, depth, stride in zip(widths, depths, strides, strict=True)
    )


def check_router(router: bool | Sequence[str] | None) -> bool | tuple[str, ...]:
    """Whether a model has a router; a tuple of the groups that it scores, if they are given.

    Raises:
        OptionError: neither.
    """
    if router is None or isinstance(router, bool):
        return bool(router)
    if isinstance(router, str) or not isinstance(router, Sequence) or not all(isinstance(path, str) for path in router):
        raise OptionError(f"router={router!r} is neither True nor False nor a list of groups' paths; use True")
    return tuple(router)


def describe_shape(split: int, branches: Sequence[Branch]) -> dict[str, Any]:
    """The options that build a network of this shape, whatever preset it came from."""
    return {
        "split": split,
        **{f"{name}s": tuple(getattr(branch, name) for branch in branches) for name in ("width", "stride", "depth")},
        "expansion": branches[0].expansion,
    }


def tune_batch_norms(model: nn.Module, *, momentum: float | None, eps: float | None) -> None:
    """Sets momentum and epsilon of all batch norms, in trunk and levels.

    Raises:
        OptionError: a value out of range, or there are no batch norms.
    """
    for name, value in (("bn_momentum", momentum), ("bn_eps", eps)):
        if value is not None and not 0 < value <= 1:
            raise OptionError(f"{name}={value!r} is out of range; use a value above 0 and up to 1")
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms and (momentum, eps) != (None, None):
        raise OptionError("bn_momentum and bn_eps have no effect: this model has no batch norms; omit them")
    for norm in norms:
        norm.momentum = norm.momentum if momentum is None else momentum
        norm.eps = norm.eps if eps is None else eps


def check_whole(model: nn.Module, levels: int) -> None:
    """Makes sure that an expert can be cut out of a model.

    Raises:
        OptionError: the model was pruned, or its weights are sharded (FSDP2).
    """
    if levels < 3:
        raise OptionError(f"cannot cut an expert: the model has {levels} of its 3 levels left; cut before pruning")
    if any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        raise OptionError(
            "cannot cut an expert: the weights are sharded over processes; load the full state dict"
            " (torch.distributed.checkpoint.state_dict) into an unsharded model and cut that"
        )


def adapt_cfg(cfg: Mapping[str, Any], tree: Hierarchy) -> dict[str, Any]:
    """A model's cfg for other classes; where it names the outputs, it names theirs."""
    names = list(tree.classes) if cfg.get("label_names") else None
    return {**cfg, "num_classes": len(tree), "label_names": names, "label_descriptions": None}


def explain_unknown(error: TypeError, backbone: str, known: Sequence[str]) -> TypeError:
    """The error for an option that neither this package nor the backbone has; any other as it is."""
    _, found, rest = str(error).partition("unexpected keyword argument '")
    if not found:
        return error
    name = rest.partition("'")[0]
    return UnknownOption(f"unknown option {name!r}: neither timm_nhl nor {backbone} has it{nearest(name, known)}")
