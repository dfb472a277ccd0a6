"""Weights by name: reading them from files, checking that they belong to a model, and making pretrained ones fit.

Knows tensors, hierarchies and backbones, not how a nested model is built; a model on disk is `timm_nhl.export`.
"""

from timm_nhl.weights.digest import DIGEST, decode_digest, encode_digest
from timm_nhl.weights.files import list_differences, load_weights, read_weights
from timm_nhl.weights.fitting import check_belongs
from timm_nhl.weights.pretrained import adapt_pretrained, load_custom

__all__ = [
    "DIGEST",
    "adapt_pretrained",
    "check_belongs",
    "decode_digest",
    "encode_digest",
    "list_differences",
    "load_custom",
    "load_weights",
    "read_weights",
]
