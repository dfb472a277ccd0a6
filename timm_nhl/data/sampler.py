"""Which images make up which batch of a training, as a function of the seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from timm_nhl.data.seeds import ORDER, generator


class Draw(NamedTuple):
    """One image of a batch: drawn in this epoch, of this number in the data set."""

    epoch: int
    number: int


@dataclass(frozen=True)
class Order:
    """Every epoch a permutation of its own, cut into the batches of the optimizer's steps; what is left over waits.

    The batch of a step is cut further: to the micro batches that a process computes one after the other, and each of
    them to the processes. So it is the same batch, however many processes and micro batches it is computed by.

    Args:
        images: how many there are.
        batch_size: images a process computes at once.
        seed: of the permutations.
        micro_batches: that a process adds up before a step.
        processes: that train together.

    >>> order = Order(images=7, batch_size=2, seed=0)
    >>> order.steps_per_epoch, order.step_size
    (3, 2)
    >>> [draw.epoch for draw in next(order.batches(steps=range(3, 9)))]
    [1, 1]
    """

    images: int
    batch_size: int
    seed: int
    micro_batches: int = 1
    processes: int = 1

    @property
    def step_size(self) -> int:
        """Images of all processes for one step of the optimizer."""
        return self.batch_size * self.micro_batches * self.processes

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer in an epoch."""
        return self.images // self.step_size

    def batches(self, steps: range, *, process: int = 0) -> Iterator[list[Draw]]:
        """The micro batches of a process for some steps, in order."""
        for step in steps:
            epoch, of_epoch = divmod(step, self.steps_per_epoch)
            permutation = _permutation(self.images, self.seed, epoch)
            for micro in range(self.micro_batches):
                start = of_epoch * self.step_size + (micro * self.processes + process) * self.batch_size
                yield [Draw(epoch, int(number)) for number in permutation[start : start + self.batch_size]]


class Batches(Sampler[list[Draw]]):
    """An order as torch's DataLoader takes it (`batch_sampler`): the batches of a process for some steps."""

    def __init__(self, order: Order, steps: range, *, process: int) -> None:
        self.order, self.steps, self.process = order, steps, process

    def __iter__(self) -> Iterator[list[Draw]]:
        return self.order.batches(self.steps, process=self.process)

    def __len__(self) -> int:
        return len(self.steps) * self.order.micro_batches


@lru_cache(maxsize=2)  # the epoch that is trained and the one that is fetched ahead
def _permutation(images: int, seed: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return generator(seed, ORDER, epoch).permutation(images)
