"""Named shapes of a nested network: where its trunk is cut and what its branches look like, on any backbone.

The values are in `table.py`.
"""

from timm_nhl.presets.choose import choose_shape
from timm_nhl.presets.rules import below_last_stage
from timm_nhl.presets.shape import Shape, SplitRule
from timm_nhl.presets.table import DEFAULT, PRESETS

__all__ = ["DEFAULT", "PRESETS", "Shape", "SplitRule", "below_last_stage", "choose_shape"]
