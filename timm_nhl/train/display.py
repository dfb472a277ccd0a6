"""What a training shows: a bar on stderr, a line for each epoch, and TensorBoard where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from timm_nhl.train.progress import Row


class Display:
    """A bar of steps with the loss beside it, for the time of a block; the process that does not write shows nothing.

    Args:
        steps: of the whole training.
        done: of them, by an earlier run.
        tensorboard: the folder of its files.
        shows: whether this process is the one that talks.
    """

    def __init__(self, steps: int, *, done: int, tensorboard: Path, shows: bool) -> None:
        self.console = Console(stderr=True, quiet=not shows)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("training", total=steps, completed=done)
        self._open_board = partial(_board, tensorboard, done) if shows else lambda: None
        self._board: Any = None

    def __enter__(self) -> Display:
        self._bar.start()
        self._board = self._open_board()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def step(self, step: int) -> None:
        """So many steps are done."""
        self._bar.update(self._task, completed=step)

    def losses(self, losses: Mapping[str, float], *, step: int, lr: float) -> None:
        """The means of this epoch so far."""
        self._bar.update(self._task, description=f"loss {losses['loss']:.3f}, learning rate {lr:.2e}")
        self._log("train", {**losses, "lr": lr}, step)

    def epoch(self, row: Row, *, step: int) -> None:
        """An epoch is done."""
        words = (f"{name} {value:.4g}" for name, value in row.items() if value is not None)
        self.console.print("  ".join(words), highlight=False, soft_wrap=True)
        self._log("epoch", row, step)

    def say(self, text: str) -> None:
        """A sentence."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _log(self, prefix: str, values: Mapping[str, Any], step: int) -> None:
        if self._board is not None:
            for name, value in values.items():
                if value is not None:
                    self._board.add_scalar(f"{prefix}/{name}", value, step)


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer; None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)
