"""Which images the branches of a superclass learn from: all that show one of its classes, and some of the others.

A branch learns most from images of its own superclass; of the others it has to learn only to be low. Those that are
seen count for those that are not, so the expected loss is that of all images (docs/decisions/0067).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from timm_nhl.data import ORDER, generator

OTHERS = 0.15  # share of the other superclasses' images in an epoch; 0.05 costs more accuracy than it saves time


class Draw:
    """The images of an epoch, by superclass.

    All superclasses see as many: those of the largest, and `OTHERS` of the rest. A smaller one sees more others.

    Args:
        shown: (M,) the class that each image shows.
        members: of each of the S superclasses, its classes.

    >>> draw = Draw(np.array([0, 1, 2, 2]), [[0, 1], [2]])
    >>> draw.images, sorted(draw.epoch(42, 0)[0][:, 1].tolist())
    (2, [2, 3])
    """

    def __init__(self, shown: NDArray[np.int64], members: Sequence[Sequence[int]]) -> None:
        inside = [np.isin(shown, classes) for classes in members]
        self.own = [np.flatnonzero(mask) for mask in inside]
        self.others = [np.flatnonzero(~mask) for mask in inside]
        largest = max(map(len, self.own))
        self.images = largest + round(OTHERS * (len(shown) - largest))
        share = self.images / len(shown)
        self._weights = [
            (share, share * len(others) / max(1, self.images - len(own)))
            for own, others in zip(self.own, self.others, strict=True)
        ]

    def epoch(self, seed: int, number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(n, S): in each row, one image for each superclass, and (n, S), what each counts; the mean is 1.

        No superclass sees an image twice.
        """
        drawn, weights = [], []
        for place, (own, others) in enumerate(zip(self.own, self.others, strict=True)):
            random = generator(seed, ORDER, number, place)
            sample = random.choice(others, self.images - len(own), replace=False)
            order = random.permutation(self.images)
            drawn.append(np.concatenate((own, sample))[order])
            weights.append(np.repeat(self._weights[place], (len(own), len(sample)))[order])
        return np.stack(drawn, axis=1), np.stack(weights, axis=1).astype(np.float32)
