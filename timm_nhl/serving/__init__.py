"""Many experts of one network in one process, on shared weights: `Experts`."""

from timm_nhl.serving.experts import Experts

__all__ = ["Experts"]
