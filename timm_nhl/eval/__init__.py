"""Evaluation: how good a model is, restricted to some classes, as their expert, and next to a plain model.

`open_classifier` opens a model with the classes of its outputs, `evaluate` measures it, `show` and `to_dict` report.
"""

from timm_nhl.eval.compare import Evaluation, cut_expert, draw_classes, evaluate
from timm_nhl.eval.intervals import Estimate, estimate_difference, estimate_mean, estimate_share
from timm_nhl.eval.metrics import Measures, Outcomes, find_heights, join, judge, measure
from timm_nhl.eval.model_io import Classifier, open_classifier
from timm_nhl.eval.predict import Inference, predict, select_classes
from timm_nhl.eval.report import list_predictions, show, to_dict

__all__ = [
    "Classifier",
    "Estimate",
    "Evaluation",
    "Inference",
    "Measures",
    "Outcomes",
    "cut_expert",
    "draw_classes",
    "estimate_difference",
    "estimate_mean",
    "estimate_share",
    "evaluate",
    "find_heights",
    "join",
    "judge",
    "list_predictions",
    "measure",
    "open_classifier",
    "predict",
    "select_classes",
    "show",
    "to_dict",
]
