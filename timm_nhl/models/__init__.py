"""The nested network: a trunk of any timm backbone, three levels of branches, a head; its registration and weights.

`NHL` is the whole; an expert of it is another `NHL`.
"""

from timm_nhl.models.backbone import Trunk
from timm_nhl.models.head import Head
from timm_nhl.models.levels import Level
from timm_nhl.models.nhl import NHL
from timm_nhl.models.options import adapt_cfg
from timm_nhl.models.param_groups import Layers
from timm_nhl.models.registry import SUFFIX
from timm_nhl.models.routing import Router, choose

__all__ = ["NHL", "SUFFIX", "Head", "Layers", "Level", "Router", "Trunk", "adapt_cfg", "choose"]
