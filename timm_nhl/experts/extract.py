"""Cutting the network of some classes out of a whole one, and folding norms for deployment."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from timm.models import reparameterize_model
from torch import nn

from hierarchy import Hierarchy
from timm_nhl.experts.node_index import rows_of
from timm_nhl.experts.slicing import take_head
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level, shallow
from timm_nhl.models.weights import DIGEST, digest_of

if TYPE_CHECKING:
    from timm_nhl.models.nhl import NHL


def cut(model: NHL, labels: Sequence[int], *, share: bool) -> NHL:
    """The network of the classes at these labels, ascending; `NHL.expert` says what `share` means."""
    tree = model.hierarchy.at(labels)
    kept = rows_of(model.hierarchy, labels)
    expert = assembled(
        model,
        tree,
        trunk=model.trunk if share else copy.deepcopy(model.trunk),
        levels=[
            level.take(rows.rows, rows.counts, share=share)
            for level, rows in zip(model.each_level(), kept, strict=True)
        ],
        head=take_head(model.head, kept[2].rows, share=share),
    )
    expert.__dict__["_labels"] = tuple(labels)
    return expert


def assembled(model: NHL, tree: Hierarchy, *, trunk: Trunk, levels: Sequence[Level], head: Head) -> NHL:
    """A model with the settings of another one, for another hierarchy, made of parts that fit it."""
    clone = shallow(model)
    clone.trunk, clone.head = trunk, head
    clone.levels = nn.ModuleList(levels)
    clone.levels.training = model.levels.training
    clone.head.set_order(tree.ancestors(3), model.head.order.device)
    clone.register_buffer(DIGEST, digest_of(tree).to(model.hierarchy_digest.device))
    for name in ("pretrained_cfg", "default_cfg"):
        if hasattr(model, name):
            setattr(clone, name, cfg_for(getattr(model, name), tree))
    clone.__dict__.pop("_labels", None)
    clone.describe(tree)
    return clone


def fused(model: NHL) -> NHL:
    """A copy in eval mode for inference: the backbone reparameterised, the levels' batch norms folded."""
    clone: Any = reparameterize_model(model)
    return cast("NHL", clone.eval())


def cfg_for(cfg: Mapping[str, Any], tree: Hierarchy) -> dict[str, Any]:
    """A model's cfg for other classes; where it names the outputs, it names theirs."""
    names = list(tree.classes) if cfg.get("label_names") else None
    return {**cfg, "num_classes": len(tree), "label_names": names, "label_descriptions": None}
