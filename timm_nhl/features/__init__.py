"""Outputs of a network that no longer changes, computed once and kept on disk: what a frozen trunk sees in every image.

An entry is addressed by digests of weights, images and transform, so a wrong one is never read; any number of processes
may fill and read it, and any of them may be killed.
"""

from timm_nhl.features.branches import TRUNK, FeatureLoader, OnFeatures, TrunkOutputs
from timm_nhl.features.cache import Cached, cache_outputs

__all__ = ["TRUNK", "Cached", "FeatureLoader", "OnFeatures", "TrunkOutputs", "cache_outputs"]
