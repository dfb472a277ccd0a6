"""Evaluation: how good a model is, restricted to some classes, as their expert, and next to a plain model.

`open_classifier` opens a model with the classes of its outputs, `evaluate` measures it, `show` and `to_dict` report.
"""

from timm_nhl.eval.compare import Evaluation, cut_expert, draw_classes, evaluate
from timm_nhl.eval.device.bundles import Opened, check_drop, open_bundles
from timm_nhl.eval.device.rejection import Rejection, Seen, estimate_area, look, measure_bundle, measure_rejection
from timm_nhl.eval.device.report import describe_classes, describe_rejection, show_bundles, show_rejection
from timm_nhl.eval.intervals import Estimate, estimate_difference, estimate_mean, estimate_share
from timm_nhl.eval.metrics import Measures, Outcomes, find_heights, join, judge, measure
from timm_nhl.eval.model_io import Classifier, open_classifier
from timm_nhl.eval.predict import Inference, predict, select_classes
from timm_nhl.eval.report import describe_routing, list_predictions, show, show_routing, to_dict
from timm_nhl.eval.routing import Routing, measure_routing

__all__ = [
    "Classifier",
    "Estimate",
    "Evaluation",
    "Inference",
    "Measures",
    "Opened",
    "Outcomes",
    "Rejection",
    "Routing",
    "Seen",
    "check_drop",
    "cut_expert",
    "describe_classes",
    "describe_rejection",
    "describe_routing",
    "draw_classes",
    "estimate_area",
    "estimate_difference",
    "estimate_mean",
    "estimate_share",
    "evaluate",
    "find_heights",
    "join",
    "judge",
    "list_predictions",
    "look",
    "measure",
    "measure_bundle",
    "measure_rejection",
    "measure_routing",
    "open_bundles",
    "open_classifier",
    "predict",
    "select_classes",
    "show",
    "show_bundles",
    "show_rejection",
    "show_routing",
    "to_dict",
]
