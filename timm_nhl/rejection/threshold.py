"""A threshold for "none of these": all but a wanted share of other classes' images do not score above it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from hierarchy.english import count
from timm_nhl.errors import OptionError
from timm_nhl.rejection.scores import SCORES, Array, compute_score

KEPT = 0.95  # of the classes' own images, for `measure_fpr95`


@dataclass(frozen=True)
class Threshold:
    """A score and the value that it has to exceed, with what was measured on the images it was chosen with.

    Args:
        score: one of `SCORES`.
        value: images that do not score above it are of none of the classes.
        false_accepts: the wanted share of other images that score above it.
        kept: the share of the classes' own images that do.
        area: the area under the score's ROC curve.
        images: how many images of the classes, and of others, it was chosen with.
    """

    score: str
    value: float
    false_accepts: float
    kept: float
    area: float
    images: tuple[int, int]

    def accept(self, outputs: Mapping[str, Array]) -> Array:
        """(B,) whether each image is of one of the classes."""
        accepted: Array = compute_score(self.score, outputs) > self.value
        return accepted


def choose_threshold(own: Mapping[str, Array], others: Mapping[str, Array], false_accepts: float) -> Threshold:
    """The best score, by area under the ROC curve, and its threshold for a wanted share of false accepts.

    Args:
        own: (M,) scores of images of the classes, by the name of the score.
        others: (N,) the same of other images.
        false_accepts: at most this share of the others scores above the threshold.

    Raises:
        OptionError: no images of the classes, or fewer others than make up one false accept.

    >>> own, others = np.array([3.0, 2.0, 0.5]), np.array([0.0, 1.0, 0.2, 0.1])
    >>> chosen = choose_threshold({"largest logit": own}, {"largest logit": others}, 0.25)
    >>> chosen.value, chosen.kept
    (0.2, 1.0)
    """
    images = tuple(len(next(iter(some.values()), ())) for some in (own, others))
    least = math.ceil(1 / false_accepts)
    if not images[0] or images[1] < least:
        raise OptionError(
            f"a false-accept rate of {false_accepts} takes {count(least, 'image')} of other classes and one of the"
            f" expert's, and {images[1]} and {images[0]} are given; use more images, or a larger rate"
        )
    areas = {name: _find_area(own[name], others[name]) for name in SCORES if name in own}
    best = max(areas, key=lambda name: areas[name])  # the first of equal ones
    value, kept = keep_at(own[best], others[best], false_accepts)
    return Threshold(best, value, false_accepts, kept, areas[best], (images[0], images[1]))


def keep_at(own: Array, others: Array, false_accepts: float) -> tuple[float, float]:
    """The least threshold that at most a share of the others exceeds, and the share of its own that do."""
    ordered = np.sort(others)[::-1]
    value = float(ordered[min(math.floor(false_accepts * len(others)), len(others) - 1)])
    return value, float((own > value).mean())


def measure_fpr95(own: Array, others: Array) -> float:
    """The share of other images that are accepted where 95 % of its own are.

    >>> measure_fpr95(np.arange(20.0), np.array([0.5, 1.5, 2.5, -1.0]))
    0.5
    """
    lowest = np.sort(own)[math.floor((1 - KEPT) * len(own) + 1e-9)]
    return float((others >= lowest).mean())


def measure_area(values: Any, positive: Any) -> float:
    """The probability that a positive image has a larger value than another; ties count half.

    >>> measure_area([0.9, 0.8, 0.4, 0.8], [True, True, False, False])
    0.875
    """
    ranks = rankdata(values)
    mine = np.asarray(positive, dtype=bool)
    hits, others = int(mine.sum()), int((~mine).sum())
    return float((ranks[mine].sum() - hits * (hits + 1) / 2) / (hits * others))


def _find_area(own: Array, others: Array) -> float:
    return measure_area(np.concatenate([own, others]), np.arange(len(own) + len(others)) < len(own))
