"""Telling images of a model's classes from all others: scores, how well they do it, and thresholds on them."""

from timm_nhl.rejection.scores import ROUTER, SCORES, Array, compute_score, list_scores
from timm_nhl.rejection.threshold import Threshold, choose_threshold, keep_at, measure_area, measure_fpr95

__all__ = [
    "ROUTER",
    "SCORES",
    "Array",
    "Threshold",
    "choose_threshold",
    "compute_score",
    "keep_at",
    "list_scores",
    "measure_area",
    "measure_fpr95",
]
