"""What timm expects of every model, for a trunk with levels and a head behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.models._input import update_model_input_size
from torch import Tensor, nn

from hierarchy import Hierarchy
from hierarchy.io import to_dict
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.features import describe_features, forward_features, take_indices
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Branch, Level
from timm_nhl.models.options import agree, describe_shape
from timm_nhl.models.param_groups import Layers, number_layers, undecayed
from timm_nhl.weights import check_belongs, load_custom

NOT_KEPT = ("hierarchy", "num_classes", "labels", "preset", "router")  # arguments that the model itself describes


class TimmModel(nn.Module):
    """timm's methods of a nested model; `NHL` builds its parts and runs them."""

    trunk: Trunk
    levels: nn.ModuleList
    head: Head
    router: nn.Module | None
    scored: bool | tuple[str, ...]  # whether a classifier comes with a router; the groups it scores, if not its own
    branches: tuple[Branch, ...]
    hierarchy: Hierarchy
    labels: tuple[int, ...]  # for each class, its label in the model that this one was cut out of
    drop_rate: float
    grad_checkpointing: bool
    pretrained_cfg: dict[str, Any]
    default_cfg: dict[str, Any]

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
        raise NotImplementedError

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
        x, found = forward_features(self.trunk, self.each_level(), x, indices, stop_early=early, output_fmt=output_fmt)
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
            self.router = None
            self._describe(self.hierarchy)
            return
        same = hierarchy is None and num_classes == len(self.hierarchy)
        tree = self.hierarchy if same else agree(hierarchy, num_classes)
        levels = list(self.levels) if same else []
        self.scored = self.scored if same else bool(self.scored)
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
        """What timm writes into a config to build this model again: the hierarchy as JSON, a preset as options."""
        cut: dict[str, Any] = {} if self.labels == tuple(range(len(self.labels))) else {"labels": list(self.labels)}
        args = {**self.__dict__.get("_args", {}), **describe_shape(self.trunk.split, self.branches)}
        if self.scored:
            groups = self.hierarchy.nodes(2) if isinstance(self.scored, bool) else self.scored
            cut["router"] = groups == self.hierarchy.nodes(2) or list(groups)
        return {**args, **cut, "hierarchy": to_dict(self.hierarchy), "num_classes": self.num_classes}

    @_model_args.setter
    def _model_args(self, args: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in args.items() if name not in NOT_KEPT}
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
        check_belongs(state, trunk.state_dict(), hierarchy=tree, backbone=trunk.backbone, split=trunk.split, **options)
