"""Old names of `timm_nhl.weights`, until their users are rebuilt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm_nhl import weights
from timm_nhl.weights import DIGEST as DIGEST
from timm_nhl.weights import adapt_pretrained as adapt
from timm_nhl.weights import encode_digest as digest_of
from timm_nhl.weights import load_custom

__all__ = ["DIGEST", "adapt", "check_belongs", "digest_of", "load_custom"]


def check_belongs(model: Any, state: Mapping[str, Any], prefix: str = "", strict: bool = True) -> None:
    trunk = model.trunk
    weights.check_belongs(
        state,
        trunk.state_dict(),
        hierarchy=model.hierarchy,
        backbone=trunk.backbone,
        split=trunk.split,
        prefix=prefix,
        strict=strict,
    )
