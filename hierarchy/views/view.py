"""A view of some classes, and what several views amount to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]  # (K, D), rows of length 1, or 0 where nothing is known
    Shares = NDArray[np.float64]  # (K,), from 0 to 1

GUESS = 1e-3  # knowledge of a class by a guess: it counts where no view knows more, and nowhere else
KNOWN = 0.5  # knowledge from which a class counts as known
ALL_PAIRS = 2048  # rows; of more, only the products of near ones are computed in double precision
SPARE = 16  # candidates beyond those wanted, since single precision may order near ones otherwise
BLOCK = 512  # rows whose products with all others are in memory at a time
DECIMALS = 6  # of products, so that ties break alike whatever the order of summation


@dataclass(frozen=True, eq=False)
class View:
    """One way to see K classes.

    Args:
        name: what it is called in a specification, such as "tfidf" or "openai:text-embedding-3-small".
        vectors: (K, D), rows of length 1, or 0.
        knows: (K,) how much it knows of each class, from 0 to 1.
    """

    name: str
    vectors: Vectors
    knows: Shares


def combine(views: Sequence[View]) -> Vectors:
    """Vectors whose products are the similarities of all views, weighted by how much each knows of the two classes.

    Args:
        views: one or more, of the same K classes.

    Returns:
        (K, D), rows of length 1; 0 where no view knows anything.

    >>> import numpy as np
    >>> by_name = View("names", np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([1.0, 1.0]))
    >>> by_look = View("looks", np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    >>> combine([by_name, by_look]).round(2).tolist()  # nothing is known of how the second looks
    [[0.71, 0.0, 0.71, 0.0], [0.6, 0.8, 0.0, 0.0]]
    """
    import numpy as np

    knows = np.stack([np.where(view.vectors.any(axis=1), view.knows, 0.0) for view in views])  # (views, K)
    total = knows.sum(axis=0)
    shares = np.divide(knows, total, out=np.zeros_like(knows), where=total > 0)
    return np.hstack([view.vectors * np.sqrt(share)[:, None] for view, share in zip(views, shares, strict=True)])


def measure_knowledge(views: Sequence[View]) -> Shares:
    """How much the view that knows most of a class knows of it, (K,)."""
    import numpy as np

    return cast("Shares", np.stack([view.knows for view in views]).max(axis=0))


def find_nearest(vectors: Vectors, count: int) -> tuple[NDArray[np.intp], Vectors]:
    """The rows nearest to each row, without itself: their indices and their products with it, nearest first.

    Of many rows, candidates are found in single precision, which takes half of the time.

    Args:
        vectors: (K, D).
        count: how many; at most K - 1.

    Returns:
        (K, count) indices, and (K, count) products; of equal ones, the row with the lower index comes first.

    >>> import numpy as np
    >>> find_nearest(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 1)[0].ravel().tolist()
    [2, 2, 1]
    """
    import numpy as np

    total = len(vectors)
    exact = total <= ALL_PAIRS
    searched = vectors if exact else vectors.astype(np.float32)
    found, products = np.empty((total, count), np.intp), np.empty((total, count))
    for start in range(0, total, BLOCK):
        part = slice(start, start + BLOCK)
        near = searched[part] @ searched.T  # (block, K)
        rows = np.arange(len(near))
        near[rows, start + rows] = -np.inf
        if exact:
            candidates = np.broadcast_to(np.arange(total), near.shape)
        else:
            candidates = np.sort(np.argpartition(-near, count + SPARE, axis=1)[:, : count + SPARE], axis=1)
            near = np.einsum("bd,bcd->bc", vectors[part], vectors[candidates])
        near = near.round(DECIMALS)
        order = np.argsort(-near, axis=1, kind="stable")[:, :count]
        found[part] = np.take_along_axis(candidates, order, axis=1)
        products[part] = np.take_along_axis(near, order, axis=1)
    return found, products


def unit_rows(rows: Any) -> Vectors:
    """Rows of length 1, (n, D); rows of 0 stay. Unlike scikit-learn's, it takes no second to import."""
    import numpy as np

    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return cast("Vectors", np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))


def centre(vectors: Any, knows: Any = None) -> Vectors:
    """Unit rows after subtracting their mean, which separates classes from other texts, not from one another.

    Args:
        vectors: (K, D).
        knows: (K,) the weight of each row in the mean; all are equal if None.
    """
    import numpy as np

    found = np.asarray(vectors, np.float64)
    weights = np.ones(len(found)) if knows is None or not knows.any() else knows
    return unit_rows(found - np.average(found, axis=0, weights=weights))
