"""Means of right answers over pictures and seeds, with 95 % intervals that know of both.

Right answers lie in one table a list of classes, a row a test picture and a column a seed (a training). The interval
draws pictures and seeds anew, each with replacement and independently of each other (the pigeonhole bootstrap, Owen
2007, arXiv 0711.1431): trainings answer the same pictures, so their answers are not independent. Of S seeds S - 1 are
drawn, or else their variance would come out too small (Rao & Wu 1988). Differences are taken picture by picture and
seed by seed, before anything is drawn, because a seed also says which classes an expert has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 4000
SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean in points (hundredths), and the 95 % interval about it."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"

    def signed(self) -> str:
        """As a difference is written."""
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def right(logits: Sequence[Sequence[float]], labels: Sequence[int], columns: Sequence[int] | None = None) -> np.ndarray:
    """(M, K) logits and (M,) labels -> (M,), 1 where the largest logit is the label's.

    With `columns` only these classes are told apart, and only their pictures count; the others are not a number.

    >>> right([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2]).tolist()
    [0.0, 0.0]
    >>> right([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2], columns=[1, 0]).tolist()
    [0.0, nan]
    >>> right([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]], [1, 2], columns=[1, 2]).tolist()
    [1.0, 1.0]
    """
    scores, truth = np.asarray(logits, dtype=float), np.asarray(labels)
    kept = np.arange(scores.shape[1]) if columns is None else np.asarray(columns)
    found = (kept[scores[:, kept].argmax(1)] == truth).astype(float)  # (M, K) -> (M,)
    return np.where(np.isin(truth, kept), found, np.nan)


def estimate(tables: Mapping[str, np.ndarray], *, draws: int = DRAWS) -> Estimate:
    """The mean of all entries of some tables, (pictures, seeds) each, leaving out what is not a number.

    >>> estimate({"list": np.ones((5, 3))})
    Estimate(mean=100.0, low=100.0, high=100.0)
    """
    rng = np.random.default_rng(SEED)
    total, count = np.zeros(draws), np.zeros(draws)
    for name in sorted(tables):
        table = tables[name]
        pictures, seeds = table.shape
        rows = rng.multinomial(pictures, np.full(pictures, 1 / pictures), draws)  # (draws, pictures)
        columns = rng.multinomial(max(1, seeds - 1), np.full(seeds, 1 / seeds), draws)  # (draws, seeds)
        known = ~np.isnan(table)
        total += _sums(np.where(known, table, 0), rows, columns)
        count += _sums(known.astype(float), rows, columns)
    values = np.concatenate([table.ravel() for table in tables.values()])
    drawn = count > 0  # of few pictures, none that counts may be drawn
    low, high = np.percentile(100 * total[drawn] / count[drawn], (2.5, 97.5))
    return Estimate(100 * float(np.nanmean(values)), float(low), float(high))


def _sums(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(M, S), how often each row and column was drawn, (draws, M) and (draws, S) -> (draws,) sums of what was drawn."""
    return ((rows @ table) * columns).sum(1)  # (draws, M) x (M, S) -> (draws, S) -> (draws,)


def difference(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> Estimate:
    """How much more often the first is right, on the lists, seeds and pictures that both have answered."""
    both = [name for name in first if name in second and first[name].shape == second[name].shape]
    return estimate({name: first[name] - second[name] for name in both})
