"""Proposals without a language model: vectors of classes become clusters of a wanted shape, with names."""

from hierarchy.cluster.propose import check_shape, propose_by_clustering
from hierarchy.cluster.shape import Range, Shape, likely_numbers

__all__ = ["Range", "Shape", "check_shape", "likely_numbers", "propose_by_clustering"]
