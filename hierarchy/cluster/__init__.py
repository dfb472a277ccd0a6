"""Proposals without a language model: classes become vectors, vectors become clusters of a wanted shape, with names.

The vectors also serve as a witness about any proposal (`hierarchy.checks`).
"""

from hierarchy.cluster.embeddings import DEFAULT_EMBED, embed
from hierarchy.cluster.propose import check_shape, propose_by_clustering
from hierarchy.cluster.shape import Range, Shape, likely_numbers

__all__ = ["DEFAULT_EMBED", "Range", "Shape", "check_shape", "embed", "likely_numbers", "propose_by_clustering"]
