"""How far a training is: what it has besides its weights, and what a run that goes on takes over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from timm_nhl.errors import TrainingError
from timm_nhl.train.distributed import Process

Row = dict[str, "float | int | None"]  # what is known about an epoch; None was not looked at


@dataclass
class Progress:
    """Steps done, the rows of the epochs done, and sums over the epoch under way.

    Args:
        step: how many steps of the optimizer are done.
        rows: one for each epoch that is done.
        best: the best top-1 so far.
        seconds: spent on the epoch under way.
        sums: of each part of the loss over `micro_batches` of this process; 0-dimensional, on the device, in float64,
            so that nothing waits for the device before they are read.
        micro_batches: that are in the sums.
    """

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    best: float | None = None
    seconds: float = 0.0
    sums: dict[str, Tensor] = field(default_factory=dict)
    micro_batches: int = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Takes the parts of the loss of one more micro batch."""
        for name, value in losses.items():
            wide = value.float() if value.device.type == "mps" else value.double()  # which has no float64
            self.sums[name] = self.sums.get(name, 0) + wide
        self.micro_batches += 1

    def means(self, process: Process) -> dict[str, float]:
        """The mean of each part of the loss over this epoch, so far, and all processes.

        Raises:
            TrainingError: it is no number any more.
        """
        means = {name: _mean(process, total) / self.micro_batches for name, total in self.sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise TrainingError(
                f"the loss is {means['loss']} by step {self.step}; lower --lr, lengthen --warmup-epochs, or set"
                " --clip-grad, and begin in a new folder"
            )
        return means

    def end_epoch(self, row: Row) -> None:
        """Takes the row of the epoch that is done, and begins the next one."""
        self.rows.append(row)
        self.sums, self.micro_batches, self.seconds = {}, 0, 0.0

    def state(self, process: Process) -> dict[str, Any]:
        """Plain values and tensors, with the sums of all processes."""
        return {
            "step": self.step,
            "rows": self.rows,
            "best": self.best,
            "seconds": self.seconds,
            "sums": {name: process.gather(total[None])[:, 0].cpu() for name, total in self.sums.items()},
            "micro_batches": self.micro_batches,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any], process: Process) -> Progress:
        """What `state` gave, as this process's."""
        sums = {name: of_each[process.rank].to(process.device) for name, of_each in state["sums"].items()}
        return cls(**{**state, "sums": sums})


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of all that is known about epochs, in order.

    >>> columns([{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0, "eval_top1": 50.0}])
    ('epoch', 'loss', 'eval_top1')
    """
    return tuple(dict.fromkeys(name for row in rows for name in row))


def _mean(process: Process, total: Tensor) -> float:
    return float(torch.mean(process.gather(total[None])))
