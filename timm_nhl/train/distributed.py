"""The processes of a training: one alone, or those that torchrun started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from timm.utils.distributed import init_distributed_device_so
from torch import Tensor, nn

from timm_nhl.errors import OptionError


@dataclass(frozen=True)
class Process:
    """One of the processes that train together.

    Args:
        rank: its number; 0 is the one that writes.
        count: how many there are.
        device: where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0

    def gather(self, values: Tensor) -> Tensor:
        """(n,) of each process -> (count, n)."""
        if self.count == 1:
            return values[None]
        gathered = [torch.zeros_like(values) for _ in range(self.count)]
        dist.all_gather(gathered, values)
        return torch.stack(gathered)

    def share_buffers(self, module: nn.Module) -> None:
        """Gives all processes the first one's running statistics."""
        if self.count > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Waits for the others."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: str | None = None) -> Iterator[Process]:
    """Joins the other processes, if there are any, for the time of a block.

    Args:
        device: where to compute; None is a GPU where there is one.

    Raises:
        OptionError: there is no such device.
    """
    wanted = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError):
        raise OptionError(f"--device {wanted!r} is not there; leave it out, or use cpu") from None
    alone = not dist.is_initialized()
    found = init_distributed_device_so(device=wanted)
    try:
        yield Process(found["global_rank"], found["world_size"], torch.device(found["device"]))
    finally:
        if alone and dist.is_initialized():
            dist.destroy_process_group()
