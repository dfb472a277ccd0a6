"""Closed-form fits, without gradient descent: branches start near what the flat network computes for their classes.

Level by level, the first block of every branch is fitted to those channels of the flat network's last map that tell
its classes best: by ridge regression of the expansion and the shortcut, behind reductions that stay random. Then each
leaf's weights are fitted to the flat network's logit of its class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timm_nhl.errors import OptionError
from timm_nhl.models import NHL, Level

RIDGE = 1e-2  # of the mean variance of the inputs
TOGETHER = 32  # leaves; at 224 px their maps of 1,000 images are .3 GB with the preset edge
SMALLEST = 1e-3  # standard deviation of a channel, below which it is not scaled up


def check_norms(model: NHL) -> None:
    """Makes sure that the branches can be fitted.

    Raises:
        OptionError: their norms are not batch norms.
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.levels.modules()):
        raise OptionError("--steps fit needs batch norms; remove norm=group, or pass --steps init,distil")


def fit(model: NHL, outputs: dict[str, Tensor], learned: Sequence[int]) -> None:
    """Fits the branches of a fresh network; its trunk stays.

    Args:
        model: its branches have batch norms.
        outputs: for M images, `trunk` (M, C, h, w), `logits` (M, K) and `maps` (M, D, h', w') of the flat network.
        learned: for each output of the model, its class among all K.
    """
    fc: Any = model.head.fc
    x, logits, maps = (outputs[name].to(fc.weight) for name in ("trunk", "logits", "maps"))
    targets = logits[:, list(learned)]  # (M, S)
    relevance = relate(maps.mean((2, 3)), targets)  # (S, D)
    model.eval()
    with torch.no_grad():
        for place, features in fit_branches(model, x, maps, relevance):
            weight, bias = regress(features, targets[:, place : place + 1])
            fc.weight[place], fc.bias[place] = weight[0], bias[0]


def fit_branches(model: NHL, x: Tensor, maps: Tensor, relevance: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Fits the branches depth first, so that the maps of few branches are held at a time.

    Yields for each output of the model its place and the pooled features (M, D) of its leaf.

    Args:
        x: (M, C, h, w), the trunk's features.
        maps: (M, D', h', w').
        relevance: (S, D').
    """
    first, second, third = model.each_level()
    superclass, group, leaf = (torch.tensor(model.hierarchy.ancestors(level)) for level in (1, 2, 3))
    for top in range(first.nodes):
        own = superclass == top
        y = fit_nodes(first, [top], x, maps, relevance[own].sum(0, keepdim=True))
        for middle in group[own].unique().tolist():
            own = group == middle
            z = fit_nodes(second, [middle], y, maps, relevance[own].sum(0, keepdim=True))
            places = own.nonzero().flatten()[leaf[own].argsort()]  # outputs, in the order of their leaves
            for some in places.split(TOGETHER):
                made = fit_nodes(third, leaf[some].tolist(), z, maps, relevance[some])
                features = model.head.global_pool(made).unflatten(1, (len(some), -1))  # -> (M, N, D)
                yield from zip(some.tolist(), features.unbind(1), strict=True)


def fit_nodes(level: Level, nodes: list[int], x: Tensor, maps: Tensor, relevance: Tensor) -> Tensor:
    """Fits siblings that lie side by side in a level; returns their maps, (M, N*D, H', W').

    Args:
        x: (M, C, H, W), the maps of their parent.
        maps: (M, D', h', w').
        relevance: (N, D').
    """
    siblings = level.take(nodes, [len(nodes)], share=True)  # what is written is the level's
    fit_level(siblings, x, maps, relevance)
    y: Tensor = siblings(x)
    return y


def relate(pooled: Tensor, targets: Tensor) -> Tensor:
    """How much each channel says about each logit: the size of their covariance, for channels of equal variance.

    (M, D), (M, S) -> (S, D).
    """
    centered = (pooled - pooled.mean(0)) / pooled.std(0).clamp(min=1e-6)
    return ((targets - targets.mean(0)).T @ centered / len(pooled)).abs()


def fit_level(level: Any, x: Tensor, maps: Tensor, relevance: Tensor) -> None:
    """Fits the first block of each branch of a level; later blocks start as the identity anyway.

    Args:
        x: (M, P*C, H, W), what the level reads.
        maps: (M, D, h', w').
        relevance: (N, D), of each channel of `maps` for each branch.
    """
    block = level.blocks[0]
    reduced = block.reduce(x)
    set_statistics(block.norm1, reduced)
    hidden = block.conv(block.act1(block.norm1(reduced)))
    set_statistics(block.norm2, hidden)
    hidden = block.act2(block.norm2(hidden))  # (M, N*width, H', W')
    strided = x[:, :, :: block.stride, :: block.stride]  # (M, P*C, H', W')
    offsets = torch.zeros_like(block.norm4.bias)
    for node, (parent, child) in enumerate(list_places(block.shortcut.counts)):
        own = slice(node * block.features, (node + 1) * block.features)
        best = relevance[node].topk(min(block.features, maps.shape[1])).indices
        best = best[torch.arange(block.features) % len(best)]  # all of them twice where there are too few
        wanted = F.interpolate(maps[:, best], size=hidden.shape[-2:], mode="bilinear", align_corners=False)
        goal = wanted.permute(0, 2, 3, 1).flatten(0, 2)  # (M, D', H', W') -> (M*H'*W', D')
        inputs = torch.cat(
            (
                hidden[:, node * block.width : (node + 1) * block.width],
                strided[:, parent * block.in_channels : (parent + 1) * block.in_channels],
            ),
            dim=1,
        )
        inputs = inputs.permute(0, 2, 3, 1).flatten(0, 2)
        weight, offsets[own] = regress(inputs, goal / goal.std(0).clamp(min=SMALLEST))
        block.expand.weight[own] = weight[:, : block.width, None, None]
        rows = slice(child * block.features, (child + 1) * block.features)
        block.shortcut.parents[parent].weight[rows] = weight[:, block.width :]
    for norm, layer, read in ((block.norm3, block.expand, hidden), (block.norm4, block.shortcut, x)):
        set_statistics(norm, layer(read))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())  # with these, the norm changes nothing
        norm.bias.copy_(norm.running_mean)
    block.norm4.bias += offsets


def list_places(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """For each child, its parent and its place among the siblings.

    >>> list(list_places([2, 1]))
    [(0, 0), (0, 1), (1, 0)]
    """
    return ((parent, child) for parent, count in enumerate(counts) for child in range(count))


def set_statistics(norm: Any, x: Tensor) -> None:
    """Gives a batch norm the statistics of (M, C, H, W)."""
    norm.running_mean.copy_(x.mean((0, 2, 3)))
    norm.running_var.copy_(x.var((0, 2, 3)))


def regress(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression: (M, C), (M, D) -> weights (D, C) and offsets (D,)."""
    center, goal = x.mean(0), y.mean(0)
    x = x - center
    gram = x.T @ x / len(x)
    gram += RIDGE * gram.diagonal().mean().clamp(min=1e-8) * torch.eye(len(gram), dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(gram, x.T @ (y - goal) / len(x)).T
    return weight, goal - weight @ center
