"""The slow, obvious NHL: one ordinary module per branch, one loop per level; the levels must give its numbers."""

from __future__ import annotations

import torch
from torch import nn


class Bottleneck(nn.Module):
    """One bottleneck of one node, written with plain layers."""

    def __init__(self, inputs, width, features, stride, project):
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))
        self.conv = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.expand = nn.Sequential(nn.Conv2d(width, features, 1, bias=False), nn.BatchNorm2d(features))
        self.shortcut = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, features, 1, stride=stride, bias=False), nn.BatchNorm2d(features)
            )

    def forward(self, x):
        y = self.reduce(x).relu()
        y = self.conv(y).relu()
        return (self.expand(y) + self.shortcut(x)).relu()


class Reference(nn.Module):
    """A trunk and a dict of branches by path; each leaf pools and has an FC of one output."""

    def __init__(self, model):
        super().__init__()
        self.trunk = model.trunk
        self.hierarchy = model.hierarchy
        self.branches = nn.ModuleList()
        channels = model.trunk.channels
        for depth, branch in enumerate(model.branches):
            nodes = self.hierarchy.nodes(depth + 1)
            blocks = nn.ModuleList()
            for _ in nodes:
                stack = [Bottleneck(channels, branch.width, branch.features, branch.stride, project=True)]
                stack += [
                    Bottleneck(branch.features, branch.width, branch.features, 1, project=False)
                    for _ in range(branch.depth - 1)
                ]
                blocks.append(nn.Sequential(*stack))
            self.branches.append(blocks)
            channels = branch.features
        self.fcs = nn.ModuleList(nn.Linear(channels, 1) for _ in self.hierarchy.nodes(3))
        self._copy(model)
        self.train(model.training)

    @torch.no_grad()
    def _copy(self, model):
        for level, blocks in zip(model.levels, self.branches, strict=True):
            for node, stack in enumerate(blocks):
                for block, mine in zip(level.blocks, stack, strict=True):
                    pairs = [(mine.reduce, block.reduce, block.norm1), (mine.conv, block.conv, block.norm2)]
                    pairs += [(mine.expand, block.expand, block.norm3)]
                    if isinstance(mine.shortcut, nn.Sequential):
                        pairs.append((mine.shortcut, block.shortcut, block.norm4))
                    for (conv, norm), layer, stacked in pairs:
                        products = getattr(layer, "parents", [layer])
                        weight = torch.cat([product.weight.flatten(1) for product in products])  # (N*D, C*k*k)
                        conv.weight.copy_(weight.unflatten(0, (len(blocks), -1))[node].view_as(conv.weight))
                        for name in ("weight", "bias", "running_mean", "running_var"):
                            getattr(norm, name).copy_(getattr(stacked, name).unflatten(0, (len(blocks), -1))[node])
        for label, fc in enumerate(self.fcs):
            fc.weight.copy_(model.head.fc.weight[label : label + 1])
            fc.bias.copy_(model.head.fc.bias[label : label + 1])

    def forward(self, x):
        maps = [self.trunk(x)]
        for depth, blocks in enumerate(self.branches):
            parents = self.hierarchy.parents(depth + 1)
            maps = [block(maps[parent]) for block, parent in zip(blocks, parents, strict=True)]
        leaves = dict(zip(self.hierarchy.nodes(3), maps, strict=True))
        paths = [self.hierarchy.nodes(3)[place] for place in self.hierarchy.ancestors(3)]  # by label
        scores = [fc(leaves[path].mean((2, 3))) for fc, path in zip(self.fcs, paths, strict=True)]
        return torch.cat(scores, dim=1)
