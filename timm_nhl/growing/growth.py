"""Growing: a trained NHL gets more classes, and only their branches are trained; what was there stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hierarchy import Hierarchy, load
from timm_nhl.errors import GrowthError
from timm_nhl.growing.seams import check_places, find_seams, order_columns
from timm_nhl.models import NHL, Head, Layers, Level, Router, adapt_cfg


def grow(model: NHL, hierarchy: str | Mapping[str, Any] | Hierarchy) -> Growth:
    """Prepares a trained model for more classes: what to train is a `Growth`, what comes out is `Growth.grown()`.

    Args:
        model: a trained NHL, or an expert of one. It is copied, not changed.
        hierarchy: all old classes at their old places, in any order of labels, and new ones: in old groups, in new
            groups, in new superclasses.

    Raises:
        GrowthError: lists every old class that is missing or has moved; or there is no new class; or the model is
            fused, or lacks its classifier or some of its levels.
        hierarchy.HierarchyError: a hierarchy that cannot be loaded.

    >>> eight, twelve = (Hierarchy.balanced(16).at(range(count)) for count in (8, 12))
    >>> growth = grow(NHL("test_resnet", eight), twelve)
    >>> growth(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 12])
    >>> growth.grown().expert(eight.classes).hierarchy == eight
    True
    """
    tree = load(hierarchy)
    _check_model(model)
    check_places(model.hierarchy, tree)
    return Growth(model, tree)


class Growth(nn.Module):
    """A frozen NHL and the fresh branches that are trained with it: (B, in_chans, H, W) -> (B, K), in label order.

    One softmax runs over old and new values, so the new ones learn to compete with the old. Only fresh branches have
    gradients, and only they are ever in train mode: norms of the old part keep their statistics.

    Has `old`, the frozen model; `levels`, the fresh nodes of those levels that have some; `head`, the fresh values;
    `router`, which scores the groups that the old one does not, None if there are none; `hierarchy`, of all classes.
    """

    columns: Tensor
    router: Router | None
    pretrained_cfg: dict[str, Any]
    default_cfg: dict[str, Any]

    def __init__(self, model: NHL, tree: Hierarchy) -> None:
        super().__init__()
        self.hierarchy, self.num_classes, self.in_chans = tree, len(tree), model.in_chans
        self.frozen = frozenset(name for name, value in model.named_parameters() if not value.requires_grad)
        self.old = copy.deepcopy(model).requires_grad_(False)
        self.seams = tuple(find_seams(model.hierarchy, tree))
        like = next(model.head.fc.parameters())
        with like.device:
            levels = {
                str(depth): Level(seam.fresh_counts, level.in_channels, level.branch)
                for depth, (level, seam) in enumerate(zip(model.each_level(), self.seams, strict=True))
                if seam.fresh_counts
            }
            new = len(tree) - len(model.hierarchy)
            head = Head(range(new), model.head.channels, pool=model.head.global_pool.pool_type, drop=model.head.drop)
            self.router = None
            if model.router is not None and (unknown := [g for g in tree.nodes(2) if g not in model.router.scored]):
                self.router = model.router.extend(unknown)
        self.levels = nn.ModuleDict(levels).to(like.dtype)  # names of weights as in the grown model
        self.head = head.to(like.dtype)
        columns = order_columns(model.hierarchy, tree, self.seams[2])
        self.register_buffer("columns", torch.tensor(columns, device=like.device), persistent=False)
        if hasattr(model, "pretrained_cfg"):
            self.pretrained_cfg = self.default_cfg = adapt_cfg(model.pretrained_cfg, tree)
        self.train(model.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K), in label order."""
        with torch.no_grad():
            features = self.old.trunk(x)  # (B, in_chans, H, W) -> (B, C, h, w)
        return self._forward_branches(features)

    def forward_scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the scores of old and fresh groups: (B, in_chans, H, W) -> (B, K), (B, G)."""
        assert self.old.router is not None and self.router is not None  # the caller has looked
        with torch.no_grad():
            features = self.old.trunk(x)
            old = self.old.router(features)
        return self._forward_branches(features), torch.cat((old, self.router(features)), dim=1)

    def find_group_columns(self) -> Tensor:
        """For each group of the hierarchy, in node order, its column in the scores."""
        grown = self._join_routers()
        assert grown is not None
        return grown.own

    def _join_routers(self) -> Router | None:
        """The router of the grown model."""
        if self.old.router is None:
            return None
        joined = self.old.router if self.router is None else self.old.router.join(self.router)
        return joined.take(self.hierarchy.nodes(2))

    def _forward_branches(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K)."""
        with torch.no_grad():
            maps = [features]
            for level in self.old.levels:
                maps.append(level(maps[-1]))  # (B, P*C, h, w) -> (B, N*D, h', w')
            old = self.old.head(maps[-1])  # (B, N*D, h', w') -> (B, K of the old)
        fresh: tuple[Tensor, ...] = ()  # (B, C, h, w) of each fresh node of the level above
        for depth, level in self.fresh_levels().items():
            parents = (*maps[depth].split(level.in_channels, dim=1), *fresh)
            x = level(torch.cat([parents[place] for place in self.seams[depth].parents], dim=1))
            fresh = x.split(level.out_channels, dim=1)
        return torch.cat((old, self.head(x)), dim=1).index_select(1, self.columns)

    def fresh_levels(self) -> dict[int, Level]:
        """The fresh nodes of each level that has some, by its depth from 0."""
        return {int(depth): level for depth, level in self.levels.items() if isinstance(level, Level)}

    def fresh_parameters(self) -> Iterator[nn.Parameter]:
        """What is trained."""
        return (value for value in self.parameters() if value.requires_grad)

    def train(self, mode: bool = True) -> Growth:
        """Train mode for the fresh branches; the old part stays in eval mode."""
        super().train(mode)
        self.old.eval()
        if self.router is not None:
            self.router.eval()  # its norm is the old one's
        return self

    def grown(self) -> NHL:
        """A plain NHL of all classes, with copies of the old weights and of the fresh ones as they are now."""
        fresh = self.fresh_levels()
        levels = [
            level.join(fresh[depth]).take(seam.order, seam.counts) if depth in fresh else copy.deepcopy(level)
            for depth, (level, seam) in enumerate(zip(self.old.each_level(), self.seams, strict=True))
        ]
        trunk = copy.deepcopy(self.old.trunk)
        head = self.old.head.join(self.head)
        labels = self.columns.tolist()
        head = head.take(labels, self.hierarchy.ancestors(3))
        model = self.old.assemble(self.hierarchy, trunk=trunk, levels=levels, head=head, router=self._join_routers())
        if hasattr(self, "pretrained_cfg"):
            model.pretrained_cfg = model.default_cfg = dict(self.pretrained_cfg)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in self.frozen)
        return model.train(self.training)

    @property
    def summary(self) -> str:
        """What is trained, in one line for a log."""
        known, trainable = len(self.old.hierarchy), sum(value.numel() for value in self.fresh_parameters())
        total = sum(value.numel() for value in self.parameters())
        return (
            f"growing {known} classes to {self.num_classes}: {trainable:,} of {total:,} parameters"
            " are trained, the others stay as they are"
        )

    def check_labels(self, labels: Iterable[int]) -> None:
        """Checks the labels of all training images.

        Raises:
            GrowthError: lists every new class without images; or all images are of new classes, which would teach
                their scores to be high and never to be low.
        """
        seen, old = {self.hierarchy.classes[label] for label in labels}, set(self.old.hierarchy.classes)
        unseen = [id for id in self.hierarchy.classes if id not in old and id not in seen]
        if unseen:
            problems = [f"no images of the new class {id!r}" for id in unseen]
            raise GrowthError(problems, fix="add some to the training images, or leave the class out")
        if not seen & old:
            only_new = "all training images are of new classes, so their scores would never learn to be low"
            raise GrowthError([only_new], fix="add images of old classes")

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recomputes each fresh level in the backward pass; the old part has none."""
        for level in self.fresh_levels().values():
            level.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> Layers:
        """Layers for layer-wise learning rates: the frozen part, then the levels, then the head."""
        return Layers({})


def _check_model(model: NHL) -> None:
    problems = []
    if model.fused:
        problems.append("the model is fused")
    if not model.head.classify:
        problems.append("the model has no classifier")
    if len(model.levels) < 3:
        problems.append(f"the model has {len(model.levels)} of its 3 levels left")
    if problems:
        raise GrowthError(problems, fix="grow the model it was made from")
