"""Parts of a hierarchy that are converted apart: which classes each has, and how they become one network.

The jobs exchange nothing; every part has whole superclasses, so no branch is made twice.
"""

from timm_nhl.converting.parts.merging import Part, join, merge
from timm_nhl.converting.parts.shards import choose_shard

__all__ = ["Part", "choose_shard", "join", "merge"]
