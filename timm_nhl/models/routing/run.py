"""Running only those branches that each image of a batch needs, grouped by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.experts import Rows, select_rows
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level


@dataclass(frozen=True)
class Subtree:
    """What some groups need: the labels of their classes, the nodes of each level, each class's place among them."""

    labels: tuple[int, ...]
    rows: tuple[Rows, Rows, Rows]
    order: tuple[int, ...]


def run(levels: Sequence[Level], head: Head, tree: Hierarchy, features: Tensor, wanted: Tensor) -> Tensor:
    """The logits of the groups that each image wants: (B, C, h, w) -> (B, K), -inf for classes that did not run.

    A branch runs once, for all images that want it; siblings that the same images want run together.

    Args:
        levels, head: of the model, whose hierarchy is `tree`.
        features: of the trunk.
        wanted: (B, N) which groups each image wants, in node order; at least one.
    """
    found: list[tuple[Tensor, tuple[int, ...], Tensor]] = []  # images, labels, logits

    def finish(depth: int, x: Tensor, images: Tensor, groups: Sequence[int]) -> None:
        """Runs some groups from a level on, for all of these images."""
        subtree = find_subtree(tree, tuple(groups))
        for level, rows in zip(levels[depth:], subtree.rows[depth:], strict=True):
            x = level.take(rows.rows, rows.counts, share=True)(x)  # (b, P*C, h, w) -> (b, N*D, h', w')
        found.append((images, subtree.labels, head.take(subtree.labels, subtree.order, share=True)(x)))

    wanted = wanted.cpu()
    parents = torch.tensor(tree.parents(2))
    if alike(wanted):
        finish(0, features, torch.arange(len(wanted)), list_true(wanted[0]))
    else:
        for superclass in range(len(tree.nodes(1))):
            siblings = parents == superclass
            images = (wanted & siblings).any(1).nonzero().flatten()
            if not len(images):
                continue
            x, mine = features[images.to(features.device)], (wanted & siblings)[images]
            if alike(mine):
                finish(0, x, images, list_true(mine[0]))
                continue
            x = levels[0].take([superclass], [1], share=True)(x)  # (b, C, h, w) -> (b, D, h', w')
            for group in list_true(mine.any(0)):
                some = mine[:, group].nonzero().flatten()
                finish(1, x[some.to(x.device)], images[some], [group])
    return gather(found, len(wanted), len(tree))


def gather(found: Sequence[tuple[Tensor, Sequence[int], Tensor]], images: int, classes: int) -> Tensor:
    """Logits of some images' classes put together, -inf where there are none: (B, K), or (B, K, h, w) of maps."""
    first = found[0][2]
    logits = first.new_full((images, classes, *first.shape[2:]), -torch.inf)
    for rows, labels, values in found:
        columns = torch.tensor(labels, device=first.device)
        logits[rows.to(first.device)[:, None], columns] = values
    return logits


@lru_cache(maxsize=1024)
def find_subtree(tree: Hierarchy, groups: tuple[int, ...]) -> Subtree:
    """What the classes of some groups need."""
    wanted = set(groups)
    labels = tuple(label for label, group in enumerate(tree.ancestors(2)) if group in wanted)
    return Subtree(labels, select_rows(tree, labels), tree.at(labels).ancestors(3))


def alike(wanted: Tensor) -> bool:
    """Whether all images want the same groups."""
    return bool((wanted == wanted[:1]).all())


def list_true(mask: Tensor) -> list[int]:
    """Where a mask is true."""
    found: list[int] = mask.nonzero().flatten().tolist()
    return found
