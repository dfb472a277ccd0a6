"""Bringing pretrained weights into a nested model: those of its backbone, of itself, or of a larger nested model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import Tensor

from hierarchy import Hierarchy, HierarchyError, load
from timm_nhl.experts import Rows, match_labels, select_rows
from timm_nhl.weights.digest import DIGEST, decode_digest, encode_digest
from timm_nhl.weights.fitting import NET

_log = logging.getLogger(__name__)
RANDOM = "its levels and head are random until they are trained"


def adapt_pretrained(state: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Makes pretrained weights fit a nested model, as far as they can; warns of what stays random.

    timm calls this with a file's content (`pretrained_filter_fn`) and loads what it returns.

    Args:
        state: weights of the model's backbone, or of a nested model with the same trunk.
        model: an `NHL` as timm makes it.
    """
    backbone, own = model.trunk.backbone, model.state_dict()
    if not any(name.startswith(NET) for name in state):
        _log.warning("loaded weights of a plain %s into the trunk of %s_nhl; %s", backbone, backbone, RANDOM)
        return {**own, **_load_trunk(model, {**_describe_source(model), "state_dict": dict(state)})}
    digest = state.get(DIGEST)
    theirs = model.hierarchy.digest if digest is None else decode_digest(digest)
    if theirs == model.hierarchy.digest:
        _log.info("loaded all weights of %s_nhl", backbone)
        return _fit_router(dict(state), own)
    whole = _find_hierarchy(model, theirs)
    labels = None if whole is None else match_labels(whole, model.hierarchy)
    if whole is None or labels is None:
        _log.warning("loaded the trunk of a %s_nhl of other classes; %s", backbone, RANDOM)
        return {**own, **{name: value for name, value in state.items() if name.startswith("trunk.")}}
    _log.info("loaded %s classes of a larger %s_nhl", len(model.hierarchy), backbone)
    taken = {name: value for name, value in state.items() if not name.startswith("levels.")}
    every, kept = select_rows(whole, range(len(whole))), select_rows(whole, labels)
    for depth, level in enumerate(model.levels):
        taken |= _take_level(state, f"levels.{depth}.", level, every[depth].counts, kept[depth])
    for name, value in state.items():
        if name.startswith("head."):
            taken[name] = value[torch.tensor(labels)]
    return _fit_router({**taken, DIGEST: encode_digest(model.hierarchy)}, own)


def _fit_router(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a nested model without its router, or with a fresh one, where only one of both models has it."""
    mine, theirs = ({name for name in names if name.startswith("router.")} for names in (own, state))
    kept = {name: value for name, value in state.items() if name in own or name not in theirs}
    return {**kept, **{name: own[name] for name in mine - theirs}}


def _take_level(
    state: Mapping[str, Tensor], prefix: str, level: Any, counts: Sequence[int], kept: Rows
) -> dict[str, Tensor]:
    """The weights of a level, out of those of a larger one of the same kind that has `counts` children per parent."""
    with torch.device("meta"):
        whole = type(level)(counts, level.in_channels, level.branch)
    whole.load_state_dict(
        {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}, assign=True
    )
    weights: dict[str, Tensor] = whole.take(kept.rows, kept.counts).state_dict(prefix=prefix)
    return weights


def load_custom(model: Any, path: str) -> None:
    """Loads weights in a format of the backbone's own (`custom_load` of its cfg, like JAX's .npz) into the trunk."""
    source = {**_describe_source(model), "file": path, "custom_load": True}
    backbone = model.trunk.backbone
    _log.warning("loaded weights of a plain %s into the trunk of %s_nhl; %s", backbone, backbone, RANDOM)
    model.load_state_dict({**model.state_dict(), **_load_trunk(model, source)})


def _load_trunk(model: Any, pretrained_cfg: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a model's trunk, taken from a pretrained backbone that timm itself builds and loads.

    The backbone has the channels of its source: timm adapts the first convolution afterwards, in the nested model.
    """
    trunk = model.trunk
    args = {name: value for name, value in trunk.backbone_args.items() if name not in ("device", "dtype")}
    args["in_chans"] = (pretrained_cfg.get("input_size") or (3,))[0]
    cfg = {**pretrained_cfg, "architecture": trunk.backbone, "source": None}
    loaded = type(trunk)(trunk.backbone, split=trunk.split, pretrained=True, pretrained_cfg=cfg, **args)
    return {f"trunk.{name}": value for name, value in loaded.state_dict().items()}


def _describe_source(model: Any) -> dict[str, Any]:
    """The backbone's cfg, with what the model's own says about the inputs of the file."""
    cfg, own = timm.get_pretrained_cfg(model.trunk.backbone), getattr(model, "pretrained_cfg", {})
    inputs = {name: own[name] for name in ("input_size", "fixed_input_size") if name in own}
    return {**(cfg.to_dict() if cfg else {}), **inputs}


def _find_hierarchy(model: Any, digest: str) -> Hierarchy | None:
    """The hierarchy of the saved model that timm is loading, if it is there and has this digest."""
    source = getattr(model, "pretrained_model_args", {}).get("hierarchy")
    try:
        whole = load(source) if source is not None else None
    except HierarchyError:
        return None
    return whole if whole is not None and whole.digest == digest else None
