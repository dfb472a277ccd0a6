"""A network whose high-level features are nested along a hierarchy: a trunk, three levels, one score per class."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from timm.models import reparameterize_model
from timm.models._input import update_model_input_size
from torch import Tensor, nn

from hierarchy import Hierarchy
from hierarchy.io import to_dict
from timm_nhl.errors import OptionError
from timm_nhl.experts import resolve_labels, select_rows
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.features import describe_features, forward_features, take_indices
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level
from timm_nhl.models.options import adapt_cfg, agree, build_branches, check_whole, explain_unknown, tune_batch_norms
from timm_nhl.models.param_groups import Layers, undecayed, number_layers
from timm_nhl.weights import DIGEST, check_belongs, encode_digest, load_custom


class NHL(nn.Module):
    """Nested high-level features (Kelm et al., 2024, arXiv 2403.05601) on any timm backbone.

    A trunk, then one branch per superclass, inside it one per group, inside it one per class; every leaf pools and
    gives one value. Branches meet nowhere else, so any of them can be cut out: `expert`.

    Args:
        backbone: name of a timm architecture.
        hierarchy: what `hierarchy.load` takes: a name, a path, a dict or a `Hierarchy`.
        num_classes: must agree with the hierarchy; alone it gives a balanced anonymous tree; 0 gives features (without
            a hierarchy those of a single branch).
        in_chans: channels of the images.
        global_pool: `avg`, `max`, `avgmax` or `""`.
        split: the split point, a tap of the backbone counted from the end; None is the published one (`Trunk`).
        widths, depths, strides: of each level's branches; `expansion`, `act`, `norm`, `drop`: of all.
        bn_momentum, bn_eps: of all batch norms, in trunk and levels.
        drop_rate: dropout in front of the classifier.
        drop_path_rate: stochastic depth of the trunk and, unless `drop_path` says otherwise, of the branches.
        labels: for each class, its label in the model that this one was cut out of; by default its own.
        device, dtype: where and as what the parameters are made.
        backbone_args: anything else goes to the backbone (`img_size`, ...).

    Raises:
        OptionError, SplitError: an option that cannot be.
        hierarchy.HierarchyError: a hierarchy that cannot be loaded.
        TypeError: an option that neither this nor the backbone has.

    >>> model = NHL("test_resnet", num_classes=8)
    >>> model(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 8])
    >>> model.expert(["class 3", "superclass 0"]).hierarchy.classes
    ('class 0', 'class 1', 'class 2', 'class 3')
    """

    hierarchy_digest: Tensor
    pretrained_cfg: dict[str, Any]

    def __init__(
        self,
        backbone: str,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
        *,
        num_classes: int | None = None,
        in_chans: int = 3,
        global_pool: str = "avg",
        split: int | None = None,
        widths: Sequence[int] = (128, 64, 32),
        expansion: int = 4,
        depths: Sequence[int] = (1, 1, 1),
        strides: Sequence[int] = (1, 1, 2),
        act: str = "relu",
        norm: Literal["batch", "group"] = "batch",
        bn_momentum: float | None = None,
        bn_eps: float | None = None,
        drop_rate: float = 0.0,
        drop: float = 0.0,
        drop_path: float | None = None,
        drop_path_rate: float = 0.0,
        labels: Sequence[int] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **backbone_args: Any,
    ) -> None:
        super().__init__()
        tree = agree(hierarchy, num_classes)
        drop_path = drop_path_rate if drop_path is None else drop_path
        common = {"expansion": expansion, "act": act, "norm": norm, "drop": drop}
        self.branches = build_branches(widths, depths, strides, drop_path=drop_path, **common)
        if drop_path_rate:
            backbone_args["drop_path_rate"] = drop_path_rate
        try:
            self.trunk = Trunk(backbone, split=split, in_chans=in_chans, device=device, dtype=dtype, **backbone_args)
        except TypeError as error:
            raise explain_unknown(error, backbone, list(inspect.signature(NHL).parameters)) from None
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.batch_norms = {"momentum": bn_momentum, "eps": bn_eps}
        self.grad_checkpointing = False
        self._build(tree, [], classify=num_classes != 0, pool=global_pool, device=device, dtype=dtype)
        if labels is not None and len(labels) != len(tree):
            raise OptionError(f"expected {len(tree)} labels, one for each class, got {len(labels)}")
        self.labels = self.labels if labels is None else tuple(labels)

    def _build(
        self,
        tree: Hierarchy,
        levels: Sequence[nn.Module],
        *,
        classify: bool,
        pool: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Makes the levels that are missing, and a fresh head, for a hierarchy."""
        rows = select_rows(tree, range(len(tree)))
        channels = [self.trunk.channels, *(branch.features for branch in self.branches)]
        with nullcontext() if device is None else torch.device(device):
            fresh = [
                Level(rows[depth].counts, channels[depth], self.branches[depth]).to(dtype=dtype).train(self.training)
                for depth in range(len(levels), 3)
            ]
            head = Head(tree.ancestors(3), channels[-1], pool=pool, drop=self.drop_rate, classify=classify)
            digest = encode_digest(tree)
        self.levels = nn.ModuleList([*levels, *fresh]).train(self.training)
        self.head = head.to(dtype=dtype).train(self.training)
        self.register_buffer(DIGEST, digest)
        tune_batch_norms(self, **self.batch_norms)
        self.set_grad_checkpointing(self.grad_checkpointing)
        self._describe(tree)

    def _describe(self, tree: Hierarchy) -> None:
        """Sets what timm reads off a model, for the levels there are."""
        self.hierarchy = tree
        self.labels = tuple(range(len(tree)))
        self.num_classes = len(tree) if self.head.classify else 0
        levels = self.each_level()
        self.num_features = levels[-1].nodes * levels[-1].out_channels if levels else self.trunk.channels
        self.head_hidden_size = self.num_features
        self.feature_info = describe_features(self.trunk, levels)

    def each_level(self) -> list[Level]:
        """The levels there are, with their type."""
        return [level for level in self.levels if isinstance(level, Level)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K), in label order."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K*D, h, w): the maps of all leaves, in node order."""
        x = self.trunk(x)  # (B, in_chans, H, W) -> (B, C, h, w)
        for level in self.levels:
            x = level(x)  # (B, P*C, h, w) -> (B, N*D, h', w')
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, K*D, h, w) -> (B, K), or with `pre_logits` what the classifier takes, (B, K*D); in label order."""
        y: Tensor = self.head(x, pre_logits)
        return y

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Features of the trunk's taps and of the levels, numbered as in `feature_info`.

        Returns the features, each (B, C_i, h_i, w_i), or the final ones and them.
        """
        early = stop_early or intermediates_only
        x, found = forward_features(
            self.trunk, self.each_level(), x, indices, stop_early=early, output_fmt=output_fmt
        )
        return found if intermediates_only else (x, found)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Removes what lies behind the last of some features, as numbered in `feature_info`; returns their numbers."""
        taken, last = take_indices(len(self.feature_info), indices)
        first_level = len(self.trunk.taps)
        missing = len(self.feature_info) - 1 - last
        if prune_head or missing:
            self.reset_classifier(0, "")
        if missing:
            self.levels = self.levels[: max(0, last - first_level + 1)]
            self.head.set_order(())  # what is left are not leaves
        if last < first_level - 1:
            self.trunk.cut(last)
        self._describe(self.hierarchy)
        return taken

    def expert(self, classes: str | Iterable[str], *, share: bool = False) -> NHL:
        """The network of some classes only: the trunk and just those branches that lead to them.

        Its logits are the same numbers as this network's at `expert.labels`; nothing is trained again.

        Args:
            classes: class ids, class names and node paths, mixed freely; `""` is everything.
            share: use this model's memory for the trunk, and for branches that lie side by side, instead of copies; for
                serving many experts. Dtype, device and mode of each are its own; training one changes the other.

        Raises:
            hierarchy.errors.UnknownNode, AmbiguousName: something asked for is not in the hierarchy.
            OptionError: nothing is asked for, or the model was pruned or sharded.
        """
        labels = resolve_labels(self.hierarchy, classes)
        check_whole(self, len(self.levels))
        tree, rows = self.hierarchy.at(labels), select_rows(self.hierarchy, labels)
        expert = self.assemble(
            tree,
            trunk=self.trunk.share() if share else copy.deepcopy(self.trunk),
            levels=[
                level.take(kept.rows, kept.counts, share=share)
                for level, kept in zip(self.each_level(), rows, strict=True)
            ],
            head=self.head.take(labels, tree.ancestors(3), share=share),
        )
        expert.labels = labels
        return expert

    def assemble(self, tree: Hierarchy, *, trunk: Trunk, levels: Sequence[Level], head: Head) -> NHL:
        """A model with the settings of this one, for another hierarchy, made of parts that fit it."""
        parts = {id(self.trunk): trunk, id(self.levels): nn.ModuleList(levels), id(self.head): head}
        parts |= {id(self.hierarchy): self.hierarchy}
        clone = copy.deepcopy(self, dict(parts))
        clone.levels.train(self.levels.training)
        clone.register_buffer(DIGEST, encode_digest(tree).to(self.hierarchy_digest.device))
        if hasattr(self, "pretrained_cfg"):
            clone.pretrained_cfg = clone.default_cfg = adapt_cfg(self.pretrained_cfg, tree)
        clone._describe(tree)
        return clone

    def fuse(self) -> NHL:
        """A copy for inference: batch norms of the levels folded into plain convolutions, the backbone reparameterised.

        It gives the same logits and is meant to be run and exported, not trained or saved. timm's
        `reparameterize_model` does the same, also to a module that contains this one.
        """
        fused: NHL = reparameterize_model(self)
        return fused.eval()

    @property
    def fused(self) -> bool:
        """Whether this is a copy that `fuse` made."""
        return any(level.fused for level in self.each_level())

    def get_classifier(self) -> nn.Module:
        """The classifier: what `forward_head(..., pre_logits=True)` gives -> logits."""
        return self.head.fc

    def reset_classifier(
        self,
        num_classes: int,
        global_pool: str | None = None,
        *,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
    ) -> None:
        """A fresh end, as timm defines it.

        With as many classes as now, a fresh classifier, and fresh levels only for those that were pruned; with another
        number or a hierarchy, fresh levels (a balanced anonymous tree for a number); 0 removes the classifier. Pooling
        stays unless given.
        """
        pool = self.head.global_pool.pool_type if global_pool is None else global_pool
        parameter = next(self.trunk.parameters())
        if hierarchy is None and num_classes == 0:
            self.head = Head(self.head.places, self.head.channels, pool=pool, drop=self.drop_rate, classify=False)
            self.head.to(parameter.device).train(self.training)
            self._describe(self.hierarchy)
            return
        same = hierarchy is None and num_classes == len(self.hierarchy)
        tree = self.hierarchy if same else agree(hierarchy, num_classes)
        levels = list(self.levels) if same else []
        self._build(tree, levels, classify=True, pool=pool, device=parameter.device, dtype=parameter.dtype)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recomputes each level (and the trunk's stages, where the backbone can) in the backward pass."""
        for level in self.each_level():
            level.grad_checkpointing = enable
        if enable != self.grad_checkpointing:
            self.trunk.set_grad_checkpointing(enable)
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> Layers:
        """Layers from the input to the head for layer-wise learning rates: the trunk's own, then levels, then head."""
        return number_layers(self.trunk.net, coarse=coarse)

    def no_weight_decay(self) -> set[str]:
        """Names of the trunk's parameters that the backbone exempts; timm itself exempts norms and biases."""
        return undecayed(self.trunk.net)

    @property
    def _model_args(self) -> dict[str, Any]:
        """What timm writes into a config to build this model again; the hierarchy as plain JSON."""
        cut = {} if self.labels == tuple(range(len(self.labels))) else {"labels": list(self.labels)}
        args = self.__dict__.get("_args", {})
        return {**args, **cut, "hierarchy": to_dict(self.hierarchy), "num_classes": self.num_classes}

    @_model_args.setter
    def _model_args(self, args: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in args.items() if name not in ("hierarchy", "num_classes", "labels")}
        self.__dict__["_args"] = kept

    def set_input_size(self, *args: Any, **kwargs: Any) -> None:
        """Resizes the positions and windows of a backbone that has them; others take any size as it is."""
        if hasattr(self.trunk.net, "set_input_size"):
            self.trunk.net.set_input_size(*args, **kwargs)
            update_model_input_size(self, kwargs.get("img_size", args[0] if args else None))

    def load_pretrained(self, checkpoint_path: str, prefix: str = "") -> None:
        """Loads a backbone's weights in a foreign format (timm's name for it)."""
        load_custom(self, checkpoint_path)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads weights, with `strict=False` any part of them, after checking that they belong to this model."""
        if strict:  # torch does not say so below
            self._check_belongs(state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self._check_belongs(state_dict, prefix=prefix, strict=False)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_belongs(self, state: Mapping[str, Any], **options: Any) -> None:
        trunk, tree = self.trunk, self.hierarchy
        check_belongs(
            state, trunk.state_dict(), hierarchy=tree, backbone=trunk.backbone, split=trunk.split, **options
        )
