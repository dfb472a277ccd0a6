"""Whether weights belong to a nested model, found before any of them is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.errors import CheckpointError
from timm_nhl.weights.digest import DIGEST, decode_digest
from timm_nhl.weights.files import list_differences

NET = "trunk.net."  # what the names of a backbone's tensors begin with in a nested model


def check_belongs(
    state: Mapping[str, Any],
    trunk: Mapping[str, Tensor],
    *,
    hierarchy: Hierarchy,
    backbone: str,
    split: int,
    prefix: str = "",
    strict: bool = True,
) -> None:
    """Compares weights with a nested model.

    Args:
        state: the weights, by name.
        trunk: the model's own trunk, by name; `backbone` and `split` describe it.
        hierarchy: the model's.
        prefix: what all names in `state` begin with.
        strict: all weights have to be there; without it, any part of them will do.

    Raises:
        CheckpointError: they belong to another hierarchy (both digests are named) or another trunk.
    """
    digest = state.get(prefix + DIGEST)
    if isinstance(digest, Tensor) and not digest.is_meta:
        theirs = decode_digest(digest)
        if theirs != hierarchy.digest:
            raise CheckpointError(
                f"these weights belong to hierarchy {theirs[:12]}, the model to {hierarchy.digest[:12]}"
                f" ({len(hierarchy)} classes); build the model with the weights' hierarchy, then cut an expert"
            )
    mine = {f"{prefix}trunk.{name}": value for name, value in trunk.items()}
    found = {name: value for name, value in state.items() if name.startswith(f"{prefix}trunk.")}
    if not found:
        if any(f"{prefix}{NET}{name.removeprefix(prefix)}" in mine for name in state):
            raise CheckpointError(
                f"these are weights of a plain {backbone}; to start a nested model from them, create it with"
                " pretrained=True and pretrained_cfg_overlay={'file': ...}"
            )
        return
    names = mine.keys() if strict else mine.keys() & found.keys()
    odd = list_differences({name: mine[name] for name in names}, found if strict else {n: found[n] for n in names})
    if odd:
        raise CheckpointError(
            f"these weights do not fit {backbone} cut at split={split}: {len(odd)} tensors of the trunk differ"
            f" (like {odd[0]!r}); build the model with the backbone, split and in_chans of the weights"
        )
