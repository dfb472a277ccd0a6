"""Networks whose high-level features are nested along a class hierarchy, as a plugin for timm.

Importing it registers `<backbone>_nhl` for every backbone of timm:

>>> import timm, timm_nhl
>>> model = timm.create_model("test_resnet_nhl", num_classes=8)
>>> expert = model.expert(["class 3", "superclass 0"])
>>> len(expert.hierarchy)
4
"""

from timm_nhl.cost import Cost, cost
from timm_nhl.errors import NHLError
from timm_nhl.experts.grow import Growth, grow
from timm_nhl.models import registry as registry  # registers
from timm_nhl.models.anonymous import balanced
from timm_nhl.models.nhl import NHL

__all__ = ["NHL", "Cost", "Growth", "NHLError", "balanced", "cost", "grow"]
