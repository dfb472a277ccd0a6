"""The warning about an expert that costs more than the plain network which it replaces."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from torch import nn

from hierarchy.english import count
from timm_nhl.costs import CostCounter, CountedTrunk, cost, count_trunk
from timm_nhl.models.backbone import Trunk

# what backbones raise that cannot run on the meta device, or not at this image size
UNCOUNTABLE = (RuntimeError, ValueError, TypeError, AssertionError)
_log = logging.getLogger(__name__)


def warn_if_dearer(expert: Any) -> bool:
    """Warns if an expert (an `NHL`) costs more MACs than its plain backbone without a classifier; whether it did."""
    trunk = expert.trunk
    cfg = getattr(expert, "pretrained_cfg", trunk.net.pretrained_cfg)
    size = (expert.in_chans, *cfg["input_size"][1:])
    args = {name: value for name, value in trunk.backbone_args.items() if name not in ("device", "dtype")}
    try:
        price = count_prices if _is_hashable(args) else count_prices.__wrapped__
        counted, plain = price(trunk.backbone, trunk.split, tuple(sorted(args.items())), size)
    except UNCOUNTABLE:
        return False
    macs = CostCounter(expert, input_size=size, trunk=counted).cost().macs
    if macs <= plain:
        return False
    _log.warning(
        "an expert of %s costs %.3g GMACs, %.2f times the plain %s (%.3g); `timm-nhl plan %s` compares other shapes",
        count(len(expert.hierarchy), "class"),
        macs / 1e9,
        macs / plain,
        trunk.backbone,
        plain / 1e9,
        trunk.backbone,
    )
    return True


@lru_cache(maxsize=256)
def count_prices(
    backbone: str, split: int, args: tuple[tuple[str, Any], ...], input_size: tuple[int, ...]
) -> tuple[CountedTrunk, int]:
    """What a trunk costs, and the MACs of its whole backbone, without their weights."""
    trunk: nn.Module = Trunk(backbone, split=split, device="meta", **dict(args))
    return count_trunk(trunk, input_size), cost(backbone, num_classes=0, input_size=input_size, **dict(args)).macs


def _is_hashable(args: dict[str, Any]) -> bool:
    try:
        hash(tuple(args.values()))
    except TypeError:
        return False
    return True
