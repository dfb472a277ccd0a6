"""A network whose high-level features are nested along a hierarchy: a trunk, three levels, one score per class."""

# no `from __future__ import annotations`: torch.fx copies the annotations of `forward` and TorchScript reads them
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from timm.models._features import feature_take_indices
from timm.models._input import update_model_input_size
from torch import Tensor, nn

from hierarchy import Hierarchy
from hierarchy.io import to_dict
from timm_nhl.errors import OptionError
from timm_nhl.experts.extract import cut, fused
from timm_nhl.experts.node_index import Selection, active, current, labels_of, rows_of
from timm_nhl.models.anonymous import agreed
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Branch, Level
from timm_nhl.models.param_groups import number_layers, undecayed
from timm_nhl.models.weights import DIGEST, check_belongs, digest_of, load_custom


class NHL(nn.Module):
    """Nested high-level features (Kelm et al., 2024, arXiv 2403.05601) on any timm backbone.

    A trunk, then one branch per superclass, inside it one per group, inside it one per class; every leaf pools and
    gives one value. Branches meet nowhere else, so any of them can be cut out: `expert`, `select`.

    Args:
        backbone: name of a timm architecture.
        hierarchy: what `hierarchy.load` takes: a name, a path, a dict or a `Hierarchy`.
        num_classes: must agree with the hierarchy; alone it gives a balanced anonymous tree; 0 gives features.
        in_chans: channels of the images.
        global_pool: `avg`, `max`, `avgmax` or `""`.
        split: the split point, a tap of the backbone counted from the end; None is the published one (`Trunk`).
        widths, depths, strides: of each level's branches; `expansion`, `act`, `norm`, `drop`: of all.
        drop_rate: dropout in front of the classifier.
        drop_path_rate: stochastic depth of the trunk and, unless `drop_path` says otherwise, of the branches.
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

    if TYPE_CHECKING:  # only then: TorchScript reads annotations of a class when it runs
        trunk: Trunk
        levels: nn.ModuleList
        head: Head
        hierarchy: Hierarchy
        hierarchy_digest: Tensor
        pretrained_cfg: dict[str, Any]
        default_cfg: dict[str, Any]
        grad_checkpointing: bool

    # TorchScript would try to compile every property
    __jit_unused_properties__: ClassVar[list[str]] = ["_model_args", "labels", "fused"]

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
        drop_rate: float = 0.0,
        drop: float = 0.0,
        drop_path: float | None = None,
        drop_path_rate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **backbone_args: Any,
    ) -> None:
        super().__init__()
        if drop_path_rate:
            backbone_args["drop_path_rate"] = drop_path_rate
        for name, values in (("widths", widths), ("depths", depths), ("strides", strides)):
            if isinstance(values, (str, int)) or len(values) != 3:
                raise OptionError(f"{name}={values!r} is not one for each of the three levels; like {name}=(1, 1, 2)")
        self.branches = tuple(
            Branch(
                width=width,
                depth=depth,
                stride=stride,
                expansion=expansion,
                act=act,
                norm=norm,
                drop=drop,
                drop_path=drop_path_rate if drop_path is None else drop_path,
            )
            for width, depth, stride in zip(widths, depths, strides, strict=True)
        )
        tree = agreed(hierarchy, num_classes)
        self.trunk = Trunk(backbone, split=split, in_chans=in_chans, device=device, dtype=dtype, **backbone_args)
        self.in_chans = in_chans
        self.drop_rate = drop_rate
        self.grad_checkpointing = False
        self._build(tree, classify=num_classes != 0, pool=global_pool, device=device, dtype=dtype)

    def _build(
        self,
        tree: Hierarchy,
        *,
        classify: bool,
        pool: str,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Makes fresh levels and a fresh head for a hierarchy."""
        kept = rows_of(tree, range(len(tree)))
        channels = [self.trunk.channels, *(branch.features for branch in self.branches)]
        place: AbstractContextManager[Any] = nullcontext() if device is None else torch.device(device)
        with place:
            levels = [
                Level(rows.counts, inputs, branch)
                for rows, inputs, branch in zip(kept, channels, self.branches, strict=False)
            ]
            head = Head(tree.ancestors(3), channels[-1], pool=pool, drop=self.drop_rate, classify=classify)
            digest = digest_of(tree)
        self.levels = nn.ModuleList(levels).to(dtype=dtype).train(self.training)
        self.head = head.to(dtype=dtype).train(self.training)
        self.register_buffer(DIGEST, digest)
        self.describe(tree)

    def describe(self, tree: Hierarchy) -> None:
        """Sets what timm reads off a model, for the levels there are."""
        self.hierarchy = tree
        self.num_classes = len(tree) if self.head.classify else 0
        levels = self.each_level()
        self.num_features = levels[-1].nodes * levels[-1].out_channels if levels else self.trunk.channels
        self.head_hidden_size = self.num_features
        self.feature_info = [{**tap, "module": f"trunk.net.{tap['module']}"} for tap in self.trunk.taps]
        reduction = self.trunk.stride
        for depth, level in enumerate(levels):
            reduction *= level.branch.stride
            self.feature_info.append(
                {"num_chs": level.nodes * level.out_channels, "reduction": reduction, "module": f"levels.{depth}"}
            )

    def each_level(self) -> list[Level]:
        """The levels there are, with their type."""
        return [level for level in self.levels if isinstance(level, Level)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K), in label order."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K*D, h, w): the maps of all leaves, in node order."""
        if not torch.jit.is_scripting():
            selection = current(self)
            if selection is not None:
                return selection.forward_features(x)
        x = self.trunk(x)  # (B, in_chans, H, W) -> (B, C, h, w)
        for level in self.levels:
            x = level(x)  # (B, P*C, h, w) -> (B, N*D, h', w')
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """(B, K*D, h, w) -> (B, K), or (B, K*D) with `pre_logits`."""
        if not torch.jit.is_scripting():
            selection = current(self)
            if selection is not None:
                return selection.forward_head(x, pre_logits)
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
        if output_fmt != "NCHW":
            raise OptionError(f"output_fmt={output_fmt!r} is not available; use 'NCHW'")
        taken, most = feature_take_indices(len(self.feature_info), indices)  # type: ignore[arg-type]  # any sequence
        first_level = len(self.trunk.taps)
        *features, x = self.trunk.taps_of(x, sorted({index for index in taken if index < first_level}))
        of_index = dict(zip(sorted({index for index in taken if index < first_level}), features, strict=True))
        for index, level in enumerate(self.levels, first_level):
            if index > most and (stop_early or intermediates_only):
                break
            x = level(x)
            of_index[index] = x
        intermediates = [of_index[index] for index in taken]
        return intermediates if intermediates_only else (x, intermediates)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Removes what lies behind the last of some features, as numbered in `feature_info`; gives their numbers."""
        taken, most = feature_take_indices(len(self.feature_info), indices)  # type: ignore[arg-type]  # any sequence
        first_level = len(self.trunk.taps)
        if prune_head or most < len(self.feature_info) - 1:
            self.reset_classifier(0, "")
        self.levels = self.levels[: max(0, most - first_level + 1)]
        if most < first_level - 1:
            self.trunk.cut(most)
        self.describe(self.hierarchy)
        return list(taken)

    def expert(self, classes: str | Iterable[str], *, share: bool = False) -> "NHL":
        """The network of some classes only: the trunk and just those branches that lead to them.

        Its logits are the same numbers as this network's at `expert.labels`; nothing is trained again.

        Args:
            classes: class ids, class names and node paths, mixed freely; `""` is everything.
            share: use this model's trunk and, where the wanted branches lie side by side, its branches, instead of
                copies. For serving many experts; what is trained in one then changes the other.

        Raises:
            hierarchy.errors.UnknownNode, AmbiguousName, OptionError: as in `labels_of`.
        """
        return cut(self, labels_of(self.hierarchy, classes), share=share)

    def select(self, classes: str | Iterable[str]) -> AbstractContextManager[Selection]:
        """Computes only some classes inside a `with` block, on this model's own weights, in this thread only.

        The block's value has the `hierarchy` and `labels` of what the columns are. Costs no copy and a few
        milliseconds to enter. A scripted or exported model does not see it, a compiled one cannot: compile an expert.

        Raises: as `expert`.

        >>> model = NHL("test_resnet", num_classes=8).eval()
        >>> with model.select(["class 3", "class 5"]) as selection:
        ...     model(torch.zeros(2, 3, 64, 64)).shape, selection.labels
        (torch.Size([2, 2]), (3, 5))
        """
        return active(self, Selection(self, labels_of(self.hierarchy, classes)))

    def fuse(self) -> "NHL":
        """A copy for inference: batch norms of the levels folded into plain convolutions, the backbone reparameterised.

        It gives the same logits and is meant to be run and exported, not trained or saved. timm's
        `reparameterize_model` does the same, also to a module that contains this one.
        """
        return fused(self)

    @property
    def fused(self) -> bool:
        """Whether this is a copy that `fuse` made."""
        return any(level.fused for level in self.each_level())

    @property
    def labels(self) -> tuple[int, ...]:
        """For each label of this model, the label in the model it was cut out of; its own for a whole model."""
        return self.__dict__.get("_labels") or tuple(range(len(self.hierarchy)))

    def get_classifier(self) -> nn.Module:
        return self.head.fc

    def reset_classifier(
        self,
        num_classes: int,
        global_pool: str | None = None,
        *,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
    ) -> None:
        """A fresh end, as timm defines it.

        With as many classes as now, a fresh classifier; with another number or a hierarchy, fresh levels as well
        (a balanced anonymous tree for a number); 0 removes the classifier. Pooling stays unless given.
        """
        pool = self.head.global_pool.pool_type if global_pool is None else global_pool
        parameter = next(self.trunk.parameters())
        if hierarchy is None and num_classes in (0, len(self.hierarchy)):
            with parameter.device:
                head = Head(
                    self.hierarchy.ancestors(3),
                    self.head.channels,
                    pool=pool,
                    drop=self.drop_rate,
                    classify=num_classes > 0,
                )
            self.head = head.to(dtype=parameter.dtype).train(self.training)
            self.describe(self.hierarchy)
        else:
            tree = agreed(hierarchy, num_classes)
            self._build(tree, classify=True, pool=pool, device=parameter.device, dtype=parameter.dtype)
            self.set_grad_checkpointing(self.grad_checkpointing)
        self.__dict__.pop("_labels", None)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recomputes each level (and the trunk's stages, where the backbone can) in the backward pass."""
        self.grad_checkpointing = enable
        for level in self.each_level():
            level.grad_checkpointing = enable
        self.trunk.set_grad_checkpointing(enable)

    def group_matcher(self, coarse: bool = False) -> Any:
        """Layers from the input to the head for layer-wise learning rates: the trunk's own, then levels, then head."""
        return number_layers(self.trunk.net, coarse=coarse)

    def no_weight_decay(self) -> set[str]:
        """Names of the trunk's parameters that the backbone exempts; timm itself exempts norms and biases."""
        return undecayed(self.trunk.net)

    @property
    def _model_args(self) -> dict[str, Any]:
        """What timm writes into a config to build this model again; the hierarchy as plain JSON."""
        return {**self.__dict__.get("_args", {}), "hierarchy": to_dict(self.hierarchy), "num_classes": self.num_classes}

    @_model_args.setter
    def _model_args(self, args: Mapping[str, Any]) -> None:
        self.__dict__["_args"] = {
            name: value for name, value in args.items() if name not in ("hierarchy", "num_classes")
        }

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
            check_belongs(self, state_dict)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        check_belongs(self, state_dict, prefix, strict=False)
        super()._load_from_state_dict(state_dict, prefix, *args)
