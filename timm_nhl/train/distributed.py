"""The processes of a training: one, or those that torchrun starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from timm.utils.distributed import init_distributed_device_so
from torch import Tensor

from timm_nhl.data import choose_device


@dataclass(frozen=True)
class Process:
    """One of the processes of a training; rank 0 writes files and reports progress."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """The mean of each value, a scalar, over all processes."""
        if not values:
            return {}
        stacked = torch.stack(list(values.values()))
        if self.world_size > 1:
            dist.all_reduce(stacked)
        return dict(zip(values, (stacked / self.world_size).tolist(), strict=True))

    def wait(self) -> None:
        """Waits for the other processes."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def join(device: str | None = None) -> Iterator[Process]:
    """Joins the other processes of torchrun, if there are any, while the block runs.

    Args:
        device: where to compute; by default a GPU if there is one.

    Raises:
        OptionError: there is no such device.
    """
    wanted = str(choose_device(device))
    joined_before = dist.is_initialized()
    found = init_distributed_device_so(device=wanted)
    try:
        yield Process(found["global_rank"], found["world_size"], torch.device(found["device"]))
    finally:
        if not joined_before and dist.is_initialized():
            dist.destroy_process_group()
