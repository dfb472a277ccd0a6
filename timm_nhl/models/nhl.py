"""A network whose high-level features are nested along a hierarchy: a trunk, three levels, one score per class."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, cast

import torch
from timm.models import reparameterize_model
from torch import Tensor, nn

from hierarchy import Hierarchy
from hierarchy.english import count
from timm_nhl.errors import OptionError
from timm_nhl.experts import resolve_labels, select_rows
from timm_nhl.models.backbone import Trunk
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level
from timm_nhl.models.options import (
    adapt_cfg,
    agree,
    build_branches,
    check_router,
    check_whole,
    explain_unknown,
    tune_batch_norms,
)
from timm_nhl.models.price import warn_if_dearer
from timm_nhl.models.routing import RoutedModel, Router
from timm_nhl.presets import choose_shape
from timm_nhl.weights import DIGEST, encode_digest


class NHL(RoutedModel):
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
        preset: name of a shape in `timm_nhl.presets`, which decides those of the next five options that are not given;
            by default the published one.
        split: the split point, a tap of the backbone counted from the end (`Trunk`).
        widths: bottleneck width of the branches of each level, superclasses first.
        strides: stride of the first block of each level.
        depths: blocks per branch of each level.
        expansion: channels of a block's output as a multiple of its width.
        act: activation of all branches.
        norm: norm layer of all branches.
        drop: dropout inside all branches.
        bn_momentum: momentum of all batch norms in trunk and levels.
        bn_eps: epsilon of all batch norms in trunk and levels.
        drop_rate: dropout in front of the classifier.
        drop_path_rate: stochastic depth of the trunk and, unless `drop_path` says otherwise, of the branches.
        router: True adds a `Router` of the hierarchy's groups; for an expert, the paths of all groups that are scored.
        labels: for each class, its label in the model that this one was cut out of; by default its own.
        device: where the parameters are created.
        dtype: type of the parameters.
        backbone_args: anything else goes to the backbone (`img_size`, ...).

    Raises:
        OptionError: an option is invalid.
        SplitError: the backbone does not have this split point.
        hierarchy.HierarchyError: the hierarchy cannot be loaded.
        TypeError: neither the network nor its backbone has such an option.

    >>> model = NHL("test_resnet", num_classes=8)
    >>> model(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 8])
    >>> model.expert(["class 3", "superclass 0"]).hierarchy.classes
    ('class 0', 'class 1', 'class 2', 'class 3')
    """

    hierarchy_digest: Tensor

    def __init__(
        self,
        backbone: str,
        hierarchy: str | Mapping[str, Any] | Hierarchy | None = None,
        *,
        num_classes: int | None = None,
        in_chans: int = 3,
        global_pool: str = "avg",
        preset: str | None = None,
        split: int | None = None,
        widths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        depths: Sequence[int] | None = None,
        expansion: int | None = None,
        act: str = "relu",
        norm: Literal["batch", "group"] = "batch",
        bn_momentum: float | None = None,
        bn_eps: float | None = None,
        drop_rate: float = 0.0,
        drop: float = 0.0,
        drop_path: float | None = None,
        drop_path_rate: float = 0.0,
        router: bool | Sequence[str] = False,
        labels: Sequence[int] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **backbone_args: Any,
    ) -> None:
        super().__init__()
        tree = agree(hierarchy, num_classes)
        shape = choose_shape(preset, split=split, widths=widths, strides=strides, depths=depths, expansion=expansion)
        if drop_path_rate:
            backbone_args["drop_path_rate"] = drop_path_rate
        try:
            self.trunk = Trunk(
                backbone, split=shape.split, in_chans=in_chans, device=device, dtype=dtype, **backbone_args
            )
        except TypeError as error:
            raise explain_unknown(error, backbone, list(inspect.signature(NHL).parameters)) from None
        common = {
            "act": act,
            "norm": norm,
            "drop": drop,
            "drop_path": drop_path_rate if drop_path is None else drop_path,
        }
        self.branches = build_branches(shape, self.trunk.channels, **common)
        self.in_chans, self.drop_rate = in_chans, drop_rate
        self.batch_norms = {"momentum": bn_momentum, "eps": bn_eps}
        self.grad_checkpointing = self.warned = False
        self.register_module("router", None)  # in front of the levels and the head: timm takes the last to be the head
        self.scored = check_router(router)
        self._build(tree, [], classify=num_classes != 0, pool=global_pool, device=device, dtype=dtype)
        if labels is not None and len(labels) != len(tree):
            raise OptionError(f"expected {count(len(tree), 'label')}, one for each class, got {len(labels)}")
        if labels is not None:
            self.labels = tuple(labels)

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
            router = None
            if self.scored and classify:
                scored = tree.nodes(2) if isinstance(self.scored, bool) else self.scored
                router = Router(channels[0], scored, tree.nodes(2)).to(dtype=dtype).train(self.training)
            digest = encode_digest(tree)
        self.router = router
        self.levels = nn.ModuleList([*levels, *fresh])
        self.levels.training = self.training
        self.head = head.to(dtype=dtype).train(self.training)
        self.register_buffer(DIGEST, digest)
        tune_batch_norms(self, **self.batch_norms)
        self.set_grad_checkpointing(self.grad_checkpointing)
        self._describe(tree)

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
        """`(B, K*D, h, w) -> (B, K)`, or `(B, K*D)` with `pre_logits`, before the classifier; in label order."""
        y: Tensor = self.head(x, pre_logits)
        return y

    def expert(self, classes: str | Iterable[str], *, share: bool = False) -> NHL:
        """The network of some classes only: the trunk and just those branches that lead to them.

        Its logits are the same numbers as this network's at `expert.labels`; nothing is trained again. A warning is
        logged, once, if an expert costs more multiply-accumulates than the plain backbone.

        Args:
            classes: class ids, class names and node paths, mixed freely; `""` is everything.
            share: use this model's memory for the trunk, and for branches whose rows are adjacent instead of copies, to
                serve many experts. Dtype, device and mode of each are its own; training one changes the other.

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
            router=None if self.router is None else self.router.take(tree.nodes(2), share=share),
        )
        expert.labels = labels
        self.warned = expert.warned = self.warned or warn_if_dearer(expert)
        return expert

    def assemble(
        self, tree: Hierarchy, *, trunk: Trunk, levels: Sequence[Level], head: Head, router: Router | None
    ) -> NHL:
        """A model with the settings of this one, for another hierarchy, made of parts that fit it."""
        parts: dict[int, Any] = {id(self.trunk): trunk, id(self.levels): nn.ModuleList(levels), id(self.head): head}
        if self.router is not None:
            parts[id(self.router)] = router
        for name in ("hierarchy", "labels", "pretrained_cfg", "default_cfg"):  # replaced below, so they are not copied
            if hasattr(self, name):
                parts[id(getattr(self, name))] = getattr(self, name)
        clone = copy.deepcopy(self, parts)
        clone.levels.training = self.levels.training
        clone.scored = False if router is None else router.scored
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
        fused: Any = reparameterize_model(self)
        return cast(NHL, fused.eval())

    @property
    def fused(self) -> bool:
        """Whether this is a copy that `fuse` made."""
        return any(level.fused for level in self.each_level())
