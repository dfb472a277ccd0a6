"""How sure a measured number is: 95 % intervals of proportions, of means over images, and of differences of models.

Images are resampled with replacement, always with the same seed, so that the same predictions give the same interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from timm_nhl.errors import EvaluationError

Floats: TypeAlias = NDArray[np.float64]

Z95 = 1.959963984540054  # two-sided 95 % of a normal distribution
OUTSIDE = (2.5, 97.5)  # percentiles that leave 95 % between them
RESAMPLES = 1000  # the ends of an interval then move by about 5 % of its width with another seed
DRAWS_AT_ONCE = 2**21  # image numbers in memory: 16 MiB


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval; without ends where nothing is known of how it spreads."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if it has them."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __str__(self) -> str:
        ends = "" if self.interval is None else " [{:.3f}, {:.3f}]".format(*self.interval)
        return f"{self.value:.3f}{ends}"


def wilson(hits: int, count: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927), which also holds near 0 and 1 and for few images.

    Raises:
        EvaluationError: of no images at all.

    >>> str(wilson(9, 10)), str(wilson(10, 10))
    ('0.900 [0.596, 0.982]', '1.000 [0.722, 1.000]')
    """
    _check_some(count)
    share, squared = hits / count, Z95**2 / count
    middle = (share + squared / 2) / (1 + squared)
    half = Z95 / (1 + squared) * ((share * (1 - share) + squared / 4) / count) ** 0.5
    return Estimate(share, min(share, middle - half), max(share, middle + half))  # rounding, at 0 and at 1


def paired_difference(
    correct_a: ArrayLike, correct_b: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """How much more often model A is right than model B, both asked about the same images.

    Args:
        correct_a, correct_b: (N,) whether each was right about each image, in the same order.

    Raises:
        EvaluationError: they are not about the same number of images, or about none.

    >>> str(paired_difference([True, True, True, False] * 50, [True, False, True, False] * 50))
    '0.250 [0.190, 0.310]'
    """
    one_a, one_b = np.asarray(correct_a)[None], np.asarray(correct_b)[None]  # (N,) -> (1, N)
    return difference_over_seeds(one_a, one_b, resamples=resamples, seed=seed)


def difference_over_seeds(a: ArrayLike, b: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """How much more often A is right than B, each trained several times, all asked about the same images.

    Both are resampled: images, the same for all networks, and networks, of A and of B each on their own, since
    trainings with equal seeds are no pairs. Of S networks only S - 1 are drawn, or else their variance would come out
    (S - 1) / S too small (Rao & Wu 1988). The interval still does not know how little three networks tell of a spread.

    Args:
        a, b: (S, N) and (T, N), whether each network was right about each image, in the same order.

    Raises:
        EvaluationError: they are not about the same number of images, or about none.

    >>> right = [[True, True, False, True] * 50, [True, True, True, False] * 50]
    >>> str(difference_over_seeds(right, [[True, False, True, False] * 50]))
    '0.250 [0.145, 0.345]'
    """
    right_a, right_b = _networks(a), _networks(b)
    if right_a.shape[1] != right_b.shape[1]:
        raise EvaluationError(
            f"{right_a.shape[1]} images of one model and {right_b.shape[1]} of the other are no pairs;"
            " evaluate both on the same images"
        )
    images = right_a.shape[1]
    _check_some(images)
    means = resampled_means(np.concatenate([right_a, right_b]).T, resamples=resamples, seed=seed)  # (R, S + T)
    generator = np.random.default_rng((seed, 1))
    drawn_a = _drawn(generator, resamples, len(right_a))
    drawn_b = _drawn(generator, resamples, len(right_b))
    differences = (means[:, : len(right_a)] * drawn_a).sum(1) - (means[:, len(right_a) :] * drawn_b).sum(1)
    return percentiles(float(right_a.mean() - right_b.mean()), differences)


def mean_over(values: Sequence[float], least: float, most: float) -> Estimate:
    """The mean of values that were drawn independently, with Student's interval, cut at what the values can be.

    One value alone has no interval.

    >>> str(mean_over([0.8, 0.9, 0.85], 0, 1)), str(mean_over([0.8], 0, 1))
    ('0.850 [0.726, 0.974]', '0.800')
    """
    from scipy.stats import t

    mean = fmean(values)
    if len(values) == 1:
        return Estimate(mean)
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return Estimate(mean, max(least, mean - half), min(most, mean + half))


def resampled_means(columns: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """(N, M) -> (R, M): the mean of each column over N images drawn with replacement, R times.

    The columns of a resample are about the same images, so that what is computed from several stays together.
    """
    values = np.asarray(columns, dtype=np.float64)
    means = [weights @ values for weights in _weights(len(values), resamples, seed)]
    return np.concatenate(means)


def percentiles(value: float, resampled: Floats) -> Estimate:
    """A value with the percentile interval of its resamples; those that have no value (NaN) are left out."""
    low, high = np.nanpercentile(resampled, OUTSIDE)
    return Estimate(value, float(low), float(high))


def mirrored(value: float, resampled: Floats) -> Estimate:
    """A value from 0 to 1 that comes out too large on few images (the ECE), with the percentiles mirrored at it.

    Resamples come out too large once more. Mirrored ("basic bootstrap"), that is taken back instead of doubled. Where
    all of it would lie below the value, the interval ends at the value.
    """
    low, high = np.percentile(resampled, OUTSIDE)
    return Estimate(value, max(0.0, float(2 * value - high)), min(1.0, max(value, float(2 * value - low))))


def _weights(images: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image is in each resample, divided by how many there are: (R, N), some rows at a time."""
    generator = np.random.default_rng(seed)
    rows_at_once = max(1, DRAWS_AT_ONCE // images)
    for start in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - start)
        drawn = generator.integers(images, size=(rows, images))
        drawn += images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images) / images


def _drawn(generator: np.random.Generator, resamples: int, networks: int) -> Floats:
    """(R, S): the share of each of S networks in each resample."""
    draws = max(1, networks - 1)
    return generator.multinomial(draws, [1 / networks] * networks, size=resamples) / draws


def _networks(right: ArrayLike) -> NDArray[Any]:
    """(S, N) as an array of whether each network was right."""
    table = np.asarray(right)
    if table.ndim != 2 or table.dtype != np.bool_ or not len(table):
        raise EvaluationError(
            f"what was right is of shape {table.shape} and type {table.dtype}; give true or false for each image of one"
            " network or more"
        )
    return table


def _check_some(images: int) -> None:
    if not images:
        raise EvaluationError("nothing can be measured on no images; check the split and the classes")
