"""Scores that are larger for images of a model's classes than for others, out of what the model says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

LARGEST, ENERGY, ROUTER = "largest logit", "energy", "router"
SCORES = (LARGEST, ENERGY, ROUTER)  # equally good ones are preferred in this order
NONE = "none_of_these"


def list_scores(outputs: Mapping[str, Array]) -> tuple[str, ...]:
    """The scores that some outputs give: the router's only with `none_of_these`."""
    return SCORES if NONE in outputs else SCORES[:-1]


def compute_score(name: str, outputs: Mapping[str, Array]) -> Array:
    """(B,) one of `SCORES` of B images.

    The energy is the logarithm of the sum of the logits' exponentials, the negative of Liu et al.'s (2020, arXiv
    2010.03759); the largest logit is from Hendrycks et al. (2022, arXiv 1911.11132).

    Args:
        name: of the score.
        outputs: `logits` (B, K), and `none_of_these` (B,) for the router's.

    >>> logits = np.array([[2.0, 0.0], [1.0, 1.0]])
    >>> [compute_score(name, {"logits": logits}).round(3).tolist() for name in ("largest logit", "energy")]
    [[2.0, 1.0], [2.127, 1.693]]
    """
    if name == ROUTER:
        found: Array = 1 - outputs[NONE].astype(np.float64)
        return found
    logits = outputs["logits"].astype(np.float64)
    largest: Array = logits.max(1)
    return largest if name == LARGEST else largest + np.log(np.exp(logits - largest[:, None]).sum(1))
