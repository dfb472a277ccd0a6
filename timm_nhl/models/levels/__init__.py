"""The levels of a nested network: all branches of one depth, held and computed together.

A level consists of plain `nn.Conv2d(groups=N)` and `nn.BatchNorm2d(N * C)`; only `ParentConv` is ours, because siblings
read the same maps. `take` and `join` pick and add nodes: that is how experts are cut and networks grow.
"""

from timm_nhl.models.levels.branch import Branch
from timm_nhl.models.levels.layers import join, shallow, take
from timm_nhl.models.levels.level import Level
from timm_nhl.models.levels.parent_conv import ParentConv

__all__ = ["Branch", "Level", "ParentConv", "join", "shallow", "take"]
