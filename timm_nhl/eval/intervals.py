"""Measured values with their 95 % intervals: shares, means, differences of two models, and calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from timm_nhl.errors import EvaluationError

Floats: TypeAlias = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 1000  # the ends of an interval then move by about 5 % of its width with another seed
DRAWS_AT_ONCE = 2**21  # image numbers in memory: 16 MiB


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval; no ends if nothing is known of its spread."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if there are any."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        ends = "" if self.interval is None else " [{:.3f}, {:.3f}]".format(*self.interval)
        return f"{self.value:.3f}{ends}"


def estimate_share(hits: int, count: int) -> Estimate:
    """A share with Wilson's score interval (Wilson 1927), which also holds near 0 and 1 and for few images.

    Raises:
        EvaluationError: of no images at all.

    >>> str(estimate_share(9, 10)), str(estimate_share(10, 10))
    ('0.900 [0.596, 0.982]', '1.000 [0.722, 1.000]')
    """
    _check_some(count)
    ends = stats.binomtest(hits, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(hits / count, float(ends.low), float(ends.high))


def estimate_mean(values: ArrayLike, low: float, high: float) -> Estimate:
    """A mean with Student's interval, cut at the lowest and highest possible value; a single value has no interval.

    Raises:
        EvaluationError: of no values at all.

    >>> str(estimate_mean([0.8, 0.9, 0.85], 0, 1)), str(estimate_mean([0.8], 0, 1))
    ('0.850 [0.726, 0.974]', '0.800')
    """
    sample = np.asarray(values, dtype=np.float64)
    _check_some(len(sample))
    mean = float(sample.mean())
    if len(sample) == 1:
        return Estimate(mean)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(sample) - 1) * stats.sem(sample))
    return Estimate(mean, max(low, mean - half), min(high, mean + half))


def estimate_difference(correct_a: ArrayLike, correct_b: ArrayLike) -> Estimate:
    """How much more often model A is right than model B about the same images: the mean difference, image by image.

    Args:
        correct_a: (N,) whether model A was right about each image.
        correct_b: (N,) the same for model B, in the same order.

    Raises:
        EvaluationError: they are not about the same number of images, or about none.

    >>> str(estimate_difference([True, True, True, False] * 50, [True, False, True, False] * 50))
    '0.250 [0.189, 0.311]'
    """
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    if a.shape != b.shape:
        raise EvaluationError(
            f"expected the same images for both models, got {len(a)} and {len(b)}; evaluate both on the same images"
        )
    return estimate_mean(a - b, -1, 1)


def bootstrap_bias(
    statistic: Callable[..., Any], *columns: NDArray[Any], resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """A value from 0 to 1 that comes out too large on few images, with the "basic" bootstrap interval.

    Resamples come out too large once more; the basic interval mirrors them at the value, which takes the bias back
    where percentiles would double it.

    Args:
        statistic: columns -> value.
        columns: (N,) each, resampled together, always with the same seed.
    """
    value = float(statistic(*columns))
    if len(columns[0]) == 1:
        return Estimate(value)
    ends = stats.bootstrap(
        columns,
        statistic,
        n_resamples=resamples,
        batch=max(1, DRAWS_AT_ONCE // len(columns[0])),
        vectorized=False,
        paired=True,
        confidence_level=CONFIDENCE,
        method="basic",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(value, max(0.0, min(value, float(ends.low))), min(1.0, max(value, float(ends.high))))


def _check_some(count: int) -> None:
    if not count:
        raise EvaluationError("no images to measure; check the split and the classes")
