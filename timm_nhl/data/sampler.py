"""Which images make up which batch of a training, as a function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch.utils.data import Sampler

from timm_nhl.data.seeds import ORDER, generator


class Draw(NamedTuple):
    """One image of a batch: its epoch, and its number in the dataset."""

    epoch: int
    number: int


class EpochSampler(Sampler[list[Draw]]):
    """Batches of one process for one epoch, as torch's DataLoader takes them (`batch_sampler`); call `set_epoch` first.

    Every epoch is a permutation, cut into the batches of optimizer steps; the rest is dropped. The batch of a step is
    cut into micro-batches, and each of these into the parts of the processes. So a step sees the same images in the
    same order, however many micro-batches and processes compute it.

    Args:
        images: the size of the dataset.
        batch_size: images per process and micro-batch.
        seed: of the permutations.
        grad_accum_steps: micro-batches per step.
        rank, world_size: this process, and how many there are.

    >>> sampler = EpochSampler(7, batch_size=2, seed=0)
    >>> sampler.steps_per_epoch, sampler.step_size
    (3, 2)
    >>> sampler.set_epoch(1)
    >>> [draw.epoch for draw in next(iter(sampler))]
    [1, 1]
    """

    def __init__(
        self, images: int, *, batch_size: int, seed: int, grad_accum_steps: int = 1, rank: int = 0, world_size: int = 1
    ) -> None:
        self.images, self.batch_size, self.seed, self.grad_accum_steps = images, batch_size, seed, grad_accum_steps
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.step_size = batch_size * grad_accum_steps * world_size
        self.steps_per_epoch = images // self.step_size

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration yields, counted from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Draw]]:
        permutation = generator(self.seed, ORDER, self.epoch).permutation(self.images)
        micro_batch = self.batch_size * self.world_size
        for start in range(0, self.steps_per_epoch * self.step_size, micro_batch):
            mine = start + self.rank * self.batch_size
            yield [Draw(self.epoch, int(number)) for number in permutation[mine : mine + self.batch_size]]

    def __len__(self) -> int:
        return self.steps_per_epoch * self.grad_accum_steps


class BlockSampler(Sampler[list[Draw]]):
    """Batches of some images of one epoch, in order.

    >>> [[draw.number for draw in batch] for batch in BlockSampler(0, range(4, 7), batch_size=2, seed=0)]
    [[4, 5], [6]]
    """

    def __init__(self, epoch: int, numbers: range, *, batch_size: int, seed: int) -> None:
        self.epoch, self.numbers, self.batch_size, self.seed = epoch, numbers, batch_size, seed

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in range(0, len(self.numbers), self.batch_size):
            yield [Draw(self.epoch, number) for number in self.numbers[start : start + self.batch_size]]

    def __len__(self) -> int:
        return -(-len(self.numbers) // self.batch_size)
