"""Mean accuracies over images and seeds, with 95 % intervals that account for both.

Each list of classes has a table of correct answers with a row per test image and a column per seed (a training). The
interval resamples images and seeds with replacement and independently of each other (the pigeonhole bootstrap, Owen
2007, arXiv 0711.1431), because all trainings see the same test images. It draws S - 1 of S seeds; otherwise their
variance would be underestimated (Rao & Wu 1988). Differences are computed per image and seed before resampling, because
a seed also determines which classes an expert has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 4000
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean in percentage points and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"

    def format_signed(self) -> str:
        """Formats a difference, with signs."""
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def mark_correct(
    logits: Sequence[Sequence[float]], labels: Sequence[int], columns: Sequence[int] | None = None
) -> np.ndarray:
    """(M, K) logits and (M,) labels -> (M,), 1 where the label has the largest logit and 0 elsewhere.

    With `columns`, only these classes compete, and images of other classes are NaN.

    >>> mark_correct([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2]).tolist()
    [0.0, 0.0]
    >>> mark_correct([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2], columns=[1, 0]).tolist()
    [0.0, nan]
    >>> mark_correct([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2], columns=[1, 2]).tolist()
    [1.0, 1.0]
    """
    scores, truth = np.asarray(logits, dtype=float), np.asarray(labels)
    kept = np.arange(scores.shape[1]) if columns is None else np.asarray(columns)
    found = (kept[scores[:, kept].argmax(1)] == truth).astype(float)  # (M, K) -> (M,)
    return np.where(np.isin(truth, kept), found, np.nan)


def estimate(
    tables: Mapping[str, np.ndarray], *, units: Mapping[str, np.ndarray] | None = None, draws: int = DRAWS
) -> Estimate:
    """The mean of all entries of some tables, (images, seeds) each, without NaN.

    Args:
        units: for each table, (images,) numbers from 0 of what is drawn as a whole, such as the images of an author.

    >>> estimate({"list": np.ones((5, 3))})
    Estimate(mean=100.0, low=100.0, high=100.0)
    """
    rng = np.random.default_rng(SEED)
    total, count = np.zeros(draws), np.zeros(draws)
    for name in sorted(tables):
        table = tables[name]
        images, seeds = table.shape
        own = np.arange(images) if units is None else units[name]
        size = own.max() + 1
        rows = rng.multinomial(size, np.full(size, 1 / size), draws)[:, own]  # (draws, images)
        columns = rng.multinomial(max(1, seeds - 1), np.full(seeds, 1 / seeds), draws)  # (draws, seeds)
        known = ~np.isnan(table)
        total += sum_draws(np.where(known, table, 0), rows, columns)
        count += sum_draws(known.astype(float), rows, columns)
    values = np.concatenate([table.ravel() for table in tables.values()])
    drawn = count > 0  # a draw from few images may have NaN only
    low, high = np.percentile(100 * total[drawn] / count[drawn], (2.5, 97.5))
    return Estimate(100 * float(np.nanmean(values)), float(low), float(high))


def sum_draws(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(M, S) values and the counts of drawn rows, (draws, M), and columns, (draws, S) -> (draws,) sums of each draw."""
    return ((rows @ table) * columns).sum(1)  # (draws, M) x (M, S) -> (draws, S) -> (draws,)


def estimate_difference(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> Estimate:
    """How much more often the first is correct, on the lists, seeds and images that both have."""
    both = [name for name in first if name in second and first[name].shape == second[name].shape]
    return estimate({name: first[name] - second[name] for name in both})
