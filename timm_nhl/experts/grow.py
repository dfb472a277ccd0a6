"""Growing: a trained NHL gets more classes, and only their branches are trained; what was there stays as it is."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hierarchy import Hierarchy, load
from timm_nhl.errors import GrowthError
from timm_nhl.experts.extract import assembled, cfg_for
from timm_nhl.experts.node_index import rows_of, same_rows
from timm_nhl.experts.slicing import merge_heads
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level
from timm_nhl.models.param_groups import Layers

if TYPE_CHECKING:
    from timm_nhl.models.nhl import NHL


def grow(model: NHL, hierarchy: str | Mapping[str, Any] | Hierarchy) -> Growth:
    """Prepares a trained model for more classes: what to train is a `Growth`, what comes out is `Growth.grown()`.

    Args:
        model: a trained NHL, or an expert of one. It is copied, not changed.
        hierarchy: all old classes at their old places, in any order of labels, and new ones: in old groups, in new
            groups, in new superclasses.

    Raises:
        GrowthError: with every old class that is missing or elsewhere; or there is no new class; or the model is
            fused, without a classifier or without some of its levels.
        hierarchy.HierarchyError: a hierarchy that cannot be loaded.

    >>> import timm, timm_nhl
    >>> eight, twelve = (timm_nhl.balanced(16).at(range(count)) for count in (8, 12))
    >>> model = timm.create_model("test_resnet_nhl", hierarchy=eight)
    >>> growth = timm_nhl.grow(model, twelve)
    >>> growth(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 12])
    >>> growth.grown().expert(eight.classes).hierarchy == eight
    True
    """
    tree = load(hierarchy)
    _check_model(model)
    _check_places(model.hierarchy, tree)
    return Growth(model, tree)


class Growth(nn.Module):
    """A frozen NHL and the fresh branches that are trained beside it: (B, in_chans, H, W) -> (B, K), in label order.

    One softmax runs over old and new values, so the new ones learn to compete with the old. Only fresh branches have
    gradients, and only they are ever in train mode: norms of the old part keep their statistics.

    Has `old`, the frozen model; `levels`, the fresh nodes of those levels that have some; `head`, the fresh values;
    `hierarchy`, of all classes.
    """

    if TYPE_CHECKING:
        columns: Tensor

    def __init__(self, model: NHL, tree: Hierarchy) -> None:
        super().__init__()
        self.hierarchy, self.num_classes, self.in_chans = tree, len(tree), model.in_chans
        self.trainable = frozenset(name for name, value in model.named_parameters() if value.requires_grad)
        self.old = copy.deepcopy(model).requires_grad_(False)
        self.seams = tuple(_seams(model.hierarchy, tree))
        like = next(model.head.fc.parameters())
        with like.device:
            levels = {
                str(depth): Level(seam.fresh_counts, level.in_channels, level.branch)
                for depth, (level, seam) in enumerate(zip(model.each_level(), self.seams, strict=True))
                if seam.fresh_counts
            }
            new = len(tree) - len(model.hierarchy)
            head = Head(range(new), model.head.channels, pool=model.head.global_pool.pool_type, drop=model.head.drop)
        self.levels = nn.ModuleDict(levels).to(like.dtype)  # names of weights as in the grown model
        self.head = head.to(like.dtype)
        columns = _columns(model.hierarchy, tree, self.seams[2])
        self.register_buffer("columns", torch.tensor(columns, device=like.device), persistent=False)
        for name in ("pretrained_cfg", "default_cfg"):
            if hasattr(model, name):
                setattr(self, name, cfg_for(getattr(model, name), tree))
        self.train(model.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, K), in label order."""
        with torch.no_grad():
            maps = [self.old.trunk(x)]  # (B, in_chans, H, W) -> (B, C, h, w)
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
        return self

    def grown(self) -> NHL:
        """A plain NHL of all classes, with copies of the old weights and of the fresh ones as they are now."""
        fresh = self.fresh_levels()
        levels = [
            level.join(fresh[depth]).take(seam.order, seam.counts) if depth in fresh else copy.deepcopy(level)
            for depth, (level, seam) in enumerate(zip(self.old.each_level(), self.seams, strict=True))
        ]
        head = merge_heads(self.old.head, self.head, self.seams[2].order)
        model = assembled(self.old, self.hierarchy, trunk=copy.deepcopy(self.old.trunk), levels=levels, head=head)
        for name in ("pretrained_cfg", "default_cfg"):
            if hasattr(self, name):
                setattr(model, name, dict(getattr(self, name)))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self.trainable)
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
        """Looks at the labels of all images that are to be trained on.

        Raises:
            GrowthError: with every new class that has no image; or there are images of new classes only, which teach
                the new values to be high, and nothing when to be low.
        """
        seen, old = {self.hierarchy.classes[label] for label in labels}, set(self.old.hierarchy.classes)
        unseen = [id for id in self.hierarchy.classes if id not in old and id not in seen]
        if unseen:
            problems = [f"there is no image of the new class {id!r}" for id in unseen]
            raise GrowthError(problems, fix="add some to the images that are trained on, or leave the class out")
        if not seen & old:
            only_new = "there are images of new classes only: their values learn when to be high, and never when not"
            raise GrowthError([only_new], fix="add images of old classes, or a share of them")

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recomputes each fresh level in the backward pass; the old part has none."""
        for level in self.fresh_levels().values():
            level.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> Layers:
        """Layers for layer-wise learning rates: the frozen part, then the levels, then the head."""
        return Layers({})


@dataclass(frozen=True)
class Seam:
    """How one level of a grown tree is put together of old nodes and fresh ones.

    A place counts the old nodes of a level first and then the fresh ones, both in node order.

    Args:
        order: the place of each node, in node order.
        counts: how many children each parent has.
        parents: the places, one level up, of the parents of fresh nodes.
        fresh_counts: how many fresh children each of these has.
    """

    order: tuple[int, ...]
    counts: tuple[int, ...]
    parents: tuple[int, ...]
    fresh_counts: tuple[int, ...]


def _seams(old: Hierarchy, tree: Hierarchy) -> Iterator[Seam]:
    """The seam of each level, between a hierarchy and a larger one with all of its classes."""
    kept = same_rows(tree, old)
    assert kept is not None, "_check_places has let it pass"
    above: tuple[int, ...] = (0,)  # the place of each node one level up; of the trunk at first
    for depth, (before, now) in enumerate(zip(kept, rows_of(tree, range(len(tree))), strict=True)):
        fresh = sorted({*now.rows} - {*before.rows})
        place_of = {node: place for place, node in enumerate((*before.rows, *fresh))}
        parents = tree.parents((1, 2, 3)[depth])
        counts = Counter(parents[node] for node in fresh)
        order = tuple(place_of[node] for node in now.rows)
        yield Seam(
            order=order,
            counts=now.counts,
            parents=tuple(above[parent] for parent in sorted(counts)),
            fresh_counts=tuple(counts[parent] for parent in sorted(counts)),
        )
        above = order


def _columns(old: Hierarchy, tree: Hierarchy, leaves: Seam) -> list[int]:
    """For each label, its column among the old values, in the old order of labels, and then the fresh ones."""
    old_labels = {id: label for label, id in enumerate(old.classes)}
    return [old_labels.get(id, leaves.order[node]) for id, node in zip(tree.classes, tree.ancestors(3), strict=True)]


def _check_model(model: NHL) -> None:
    problems = []
    if model.fused:
        problems.append("the norms of this model are folded into its convolutions")
    if not model.head.classify:
        problems.append("this model has no classifier")
    if len(model.levels) < 3:
        problems.append(f"this model has {len(model.levels)} of its 3 levels left")
    if problems:
        raise GrowthError(problems, fix="grow the model that it was made of")


def _check_places(old: Hierarchy, tree: Hierarchy) -> None:
    rows = {row[0]: row for row in tree.rows}
    problems = []
    for row in old.rows:
        now = rows.get(row[0])
        if now is None:
            problems.append(f"class {row[0]!r} is missing")
        elif now != row:
            problems.append(f"class {row[0]!r} is now {_path(now)!r}, no longer {_path(row)!r}")
    if problems:
        raise GrowthError(
            problems, fix="give a hierarchy with all classes of the model, each in its group under its name"
        )
    if len(tree) == len(old):
        raise GrowthError(["the hierarchy has no class that the model has not"], fix="add the new classes to it")


def _path(row: tuple[str, str, str, str]) -> str:
    return "/".join((row[2], row[3], row[1]))
