"""Whether weights belong to a model, and bringing those of a backbone or of a larger NHL into it."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hierarchy import Hierarchy, HierarchyError, load
from timm_nhl.errors import CheckpointError
from timm_nhl.experts import Rows, match_labels, select_rows
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.levels import Level

if TYPE_CHECKING:
    from timm_nhl.models.nhl import NHL

LOCAL = "local-dir:"  # what timm wants in front of a folder
DIGEST = "hierarchy_digest"
EXACT = (  # what holds whole numbers up to 255 as they are, so that weights may be cast to it and back
    torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64,
)  # fmt: skip
_log = logging.getLogger(__name__)


def digest_of(tree: Hierarchy) -> Tensor:
    """A hierarchy's digest as a tensor, so that weights cannot be loaded into a model of another one unnoticed.

    A byte for each of its 64 hexadecimal digits, in the middle of 16 steps: an average of equal buffers, as some make
    it of a model's weights over time, is rounded down and may be one less (docs/decisions/0011).
    """
    return torch.tensor([16 * int(digit, 16) + 8 for digit in tree.digest], dtype=torch.uint8)


def digest_in(tensor: Tensor) -> str:
    """The digest that `digest_of` made a tensor of, also where all weights were cast to another type since.

    Raises:
        CheckpointError: it is none: of another length, or of a type or with values that a digest cannot have.

    >>> tree = Hierarchy.balanced(8)
    >>> digest_in(digest_of(tree) - 1) == digest_in(digest_of(tree).half()) == tree.digest
    True
    """
    values = tensor.tolist() if tensor.dtype in EXACT and tensor.shape == (64,) else []
    if not values or not all(0 <= value < 256 for value in values):  # not a number is neither
        raise CheckpointError(
            f"cannot tell the hierarchy of these weights: {DIGEST!r} is of shape {tuple(tensor.shape)} and type"
            f" {str(tensor.dtype).removeprefix('torch.')}, not the 64 bytes that were saved; convert all weights but"
            " it, or, if they are of the model's hierarchy, put the model's own in its place"
        )
    return "".join(f"{int(value) // 16:x}" for value in values)


def check_belongs(model: NHL, state: Mapping[str, Any], prefix: str = "") -> None:
    """Compares weights with a model before any of them is loaded.

    Raises:
        CheckpointError: they are of another hierarchy (both digests are named) or of another backbone.
    """
    digest = state.get(prefix + DIGEST)
    if isinstance(digest, Tensor) and not digest.is_meta:
        theirs = digest_in(digest)
        if theirs != model.hierarchy.digest:
            raise CheckpointError(
                f"these weights are of hierarchy {theirs[:12]}, the model has {model.hierarchy.digest[:12]}"
                f" ({len(model.hierarchy)} classes); build the model with the weights' hierarchy, then cut an expert"
            )
    mine = {f"{prefix}trunk.{name}": value for name, value in model.trunk.state_dict().items()}
    theirs_trunk = {name: value for name, value in state.items() if name.startswith(f"{prefix}trunk.")}
    if not theirs_trunk:
        return
    odd = differing(mine, theirs_trunk)
    if odd:
        raise CheckpointError(
            f"these weights are not of {model.trunk.backbone} cut at split={model.trunk.split}:"
            f" {len(odd)} tensors of the trunk differ (like {odd[0]!r}); build the model with the backbone,"
            " the split and the in_chans of the weights"
        )


def differing(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that only one of two models has, then of those whose shapes differ.

    >>> differing({"bias": torch.zeros(2), "scale": torch.ones(2)}, {"bias": torch.zeros(3), "shift": torch.zeros(2)})
    ['scale', 'shift', 'bias']
    """
    shared = sorted(own.keys() & other.keys())
    return sorted(own.keys() ^ other.keys()) + [name for name in shared if own[name].shape != other[name].shape]


def fill(model: nn.Module, weights: Mapping[str, Tensor], *, unfit: str, fix: str) -> None:
    """Gives a model all its weights.

    Args:
        unfit, fix: what is wrong, and what to do about it, where they are of another model.

    Raises:
        CheckpointError: they are, with the number of tensors that differ and one of them.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError:  # torch lists every tensor, over several lines
        odd = differing(model.state_dict(), weights)
        raise CheckpointError(f"{unfit}: {len(odd)} tensors differ (like {odd[0]!r}); {fix}") from None


def folder_of(source: str | os.PathLike[str]) -> Path:
    """Where a saved model lies, with timm's `local-dir:` in front or without it.

    >>> folder_of("local-dir:runs/best").as_posix()
    'runs/best'
    """
    return Path(os.fspath(source).removeprefix(LOCAL))


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads a file of weights (safetensors, or a checkpoint of timm's or PyTorch's) without running anything in it.

    Raises:
        CheckpointError: it is missing, cut short, no weights, or a pickle that holds more than tensors.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"no file {str(path)!r}; check the name and the folder")
    try:
        state = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        if isinstance(error, pickle.UnpicklingError) or isinstance(error.__cause__, pickle.UnpicklingError):
            raise CheckpointError(
                f"{str(path)!r} is a pickle that holds more than tensors, or is cut short; nothing in it was run;"
                " save the weights alone, as safetensors"
            ) from None
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{str(path)!r} cannot be read as weights ({reason}); is the file complete?") from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{str(path)!r} holds no weights; give a file that a model was saved to")
    return dict(state)


def adapt(state: Mapping[str, Tensor], model: NHL) -> dict[str, Tensor]:
    """Makes pretrained weights fit a model: those of its backbone, of the same NHL, or of an NHL it is an expert of.

    timm calls this with the file's content (`pretrained_filter_fn`) and loads what it gives.

    Raises:
        CheckpointError: an NHL of a hierarchy that this model's is no part of, or of another backbone.
    """
    if any(name.startswith("trunk.net.") for name in state):
        return _adapt_nhl(dict(state), model)
    _log.info("the file holds %s: its weights go into the trunk, levels and head start fresh", model.trunk.backbone)
    cfg = timm.get_pretrained_cfg(model.trunk.backbone)
    source = {**(cfg.to_dict() if cfg else {}), **_source_fields(model)}
    return from_backbone(model, {**source, "state_dict": dict(state)})


def from_backbone(model: NHL, pretrained_cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """All weights of a model, the trunk's taken from a pretrained backbone that timm itself builds and loads.

    The backbone has the channels of its source: timm adapts the first convolution afterwards, in the NHL.
    """
    args = {name: value for name, value in model.trunk.backbone_args.items() if name not in ("device", "dtype")}
    args["in_chans"] = (pretrained_cfg.get("input_size") or (3,))[0]
    cfg = {**pretrained_cfg, "architecture": model.trunk.backbone, "source": None}
    trunk = Trunk(model.trunk.backbone, split=model.trunk.split, pretrained=True, pretrained_cfg=cfg, **args)
    own = model.state_dict()
    return {**own, **{f"trunk.{name}": value for name, value in trunk.state_dict().items()}}


def load_custom(model: NHL, path: str) -> None:
    """Loads weights in a format of the backbone's own (`custom_load` of its cfg, like JAX's .npz) into the trunk."""
    cfg = timm.get_pretrained_cfg(model.trunk.backbone)
    source = {**(cfg.to_dict() if cfg else {}), **_source_fields(model)}
    source |= {"file": path, "custom_load": True}
    model.load_state_dict(from_backbone(model, source))


def _source_fields(model: NHL) -> dict[str, Any]:
    """What a model's pretrained cfg says about the file's inputs, not about where it lies or about the head."""
    cfg = getattr(model, "pretrained_cfg", {})
    return {name: cfg[name] for name in ("input_size", "fixed_input_size") if name in cfg}


def _adapt_nhl(state: dict[str, Tensor], model: NHL) -> dict[str, Tensor]:
    digest = state.get(DIGEST)
    theirs = digest_in(digest) if digest is not None else model.hierarchy.digest
    if theirs == model.hierarchy.digest:
        _log.info("the file holds the whole %s_nhl: all of its weights are loaded", model.trunk.backbone)
        return state
    source = getattr(model, "pretrained_model_args", {}).get("hierarchy")
    try:
        whole = load(source) if source is not None else None
    except HierarchyError:
        whole = None
    labels = match_labels(whole, model.hierarchy) if whole is not None and whole.digest == theirs else None
    if whole is None or labels is None:
        return state  # `check_belongs` says what is wrong when timm loads it
    _log.info("the file holds %s_nhl for more classes: the rows of these are loaded", model.trunk.backbone)
    every, kept = select_rows(whole, range(len(whole))), select_rows(whole, labels)
    try:
        for depth, level in enumerate(model.each_level()):
            state = _take_level(state, f"levels.{depth}.", level, every[depth].counts, kept[depth])
    except RuntimeError:
        return state  # the levels of another model; torch says what is wrong when timm loads it
    heads = {name: value[torch.tensor(labels)] for name, value in state.items() if name.startswith("head.")}
    return {**state, **heads, DIGEST: model.hierarchy_digest.cpu()}


def _take_level(
    state: Mapping[str, Tensor], prefix: str, level: Level, counts: Sequence[int], kept: Rows
) -> dict[str, Tensor]:
    """The weights of a larger model with one of its levels cut down to the nodes of another model's level."""
    with torch.device("meta"):
        whole = Level(counts, level.in_channels, level.branch)
    whole.load_state_dict(
        {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}, assign=True
    )
    part = whole.take(kept.rows, kept.counts).state_dict(prefix=prefix)
    return {**{name: value for name, value in state.items() if not name.startswith(prefix)}, **part}
