"""The folder of a training: its settings, metrics, checkpoint and models, each file written atomically."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import pickle
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from hierarchy import HierarchyError
from hierarchy.errors import os_reason
from hierarchy.files import lock, read_json, replacing, write_text
from timm_nhl.data import Images
from timm_nhl.errors import TrainingError, summarize
from timm_nhl.export import write_files
from timm_nhl.train.settings import flag

SETTINGS, CHECKPOINT, METRICS, LOCK = "settings.json", "resume.pt", "metrics.csv", ".lock"
PICTURE = "try.png"  # what a trial leaves; a training may follow in its folder
FREE = (
    "out",
    "workers",
    "validation_batch_size",
    "log_interval",
    "cache_gb",
)  # a run may resume with another value of these
Row = dict[str, float]  # what is known about an epoch


class RunSettings(Protocol):
    """The settings of a run: a dataclass that names the folder."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def out(self) -> str:
        """The folder to write to."""


class RunDir:
    """Where a training or a conversion writes, and where it finds its checkpoint.

    Args:
        settings: all that decides the run.
        facts: what decides the result besides the settings: the processes, digests of the data and the hierarchy.
        free: settings that a run may resume with another value of, beside those of every run.
    """

    def __init__(self, settings: RunSettings, *, facts: Mapping[str, Any], free: Sequence[str] = ()) -> None:
        self.path, self.settings, self.facts = Path(settings.out), settings, facts
        self.free = (*FREE, *free)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint of an earlier run; None if there is none.

        Raises:
            TrainingError: the folder belongs to another training, or the checkpoint is broken.
        """
        if self.path.is_file() or (
            self.path.is_dir() and {*self.path.iterdir()} - {*self._leftovers(), self.path / PICTURE}
        ):
            self._check_same()
        path = self.path / CHECKPOINT
        return load_checkpoint(path) if path.exists() else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Creates the folder, removes what a killed run left half-written, and keeps other runs out during the block.

        Raises:
            TrainingError: the folder cannot be created.
            Locked: another run writes to it; torchrun's processes, for example, survive a killed torchrun.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = os_reason(error)
            raise TrainingError(f"cannot create the folder {str(self.path)!r}: {reason}; choose another") from None
        with lock(self.path / LOCK, busy=f"{str(self.path)!r} is being trained", fix="wait for it, or end it first"):
            for left in self._leftovers():
                if left.name != LOCK:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            self._write_settings()
            yield

    def save_epoch(self, rows: Sequence[Row], model: nn.Module, images: Images, state: Mapping[str, Any]) -> None:
        """Writes the metrics, the model, and last the checkpoint, so that a killed run repeats the epoch.

        Args:
            rows: of all epochs.
            images: the training images; they name the model's classes.
            state: of the trainer.
        """
        write_text(self.path / METRICS, as_csv(rows))
        self._log_to_tensorboard(rows[-1])
        best = max(rows, key=rank)  # the first of equals
        for name in ("last", "best") if best is rows[-1] and rank(best)[0] >= 0 else ("last",):
            self._write_model(name, model, images)
        save_checkpoint(self.path / CHECKPOINT, {"rows": rows, "trainer": state})

    def _write_model(self, name: str, model: nn.Module, images: Images) -> None:
        """Writes a folder for timm's `local-dir:`; between epochs only the weights in it change."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        write_files(model, folder, label_names=images.classes, hierarchy=images.hierarchy)

    def _log_to_tensorboard(self, row: Row) -> None:
        """Adds an epoch for TensorBoard, if it is installed."""
        if self._tensorboard is not None:
            for name, value in row.items():
                self._tensorboard.add_scalar(name, value, int(row["epoch"]))
            self._tensorboard.flush()

    @cached_property
    def _tensorboard(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.path / "tensorboard"))

    def _leftovers(self) -> list[Path]:
        """The lock, and what a killed run left half-written."""
        return [path for path in self.path.glob(".*") if path.name.split(".")[1] in LEFTOVERS]

    def _write_settings(self) -> None:
        content = {
            "command": shlex.join(sys.argv),
            "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch", "numpy", "datasets")},
            "facts": dict(self.facts),
            "settings": dataclasses.asdict(self.settings),  # a run may resume with other values of `free`
        }
        write_text(self.path / SETTINGS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    def _check_same(self) -> None:
        try:
            saved = read_json(self.path / SETTINGS)
            before, facts = saved["settings"], saved["facts"]
            now = json.loads(json.dumps(dataclasses.asdict(self.settings)))  # tuples become lists, as in the file
            different = [
                f"{flag(name)} was {_shown(before.get(name))}, is now {_shown(value)}"
                for name, value in now.items()
                if name not in self.free and before.get(name) != value
            ] + [
                f"{name} was {str(facts.get(name))[:12]}, is now {str(value)[:12]}"
                for name, value in self.facts.items()
                if facts.get(name) != value
            ]
        except (HierarchyError, AttributeError, KeyError, TypeError):
            raise TrainingError(f"{str(self.path)!r} exists and is not a training; choose a new folder") from None
        if different:
            raise TrainingError(
                f"{str(self.path)!r} holds a training with other settings: {'; '.join(different)}; restore them, or"
                " choose a new folder"
            )


LEFTOVERS = ("lock", "settings", "resume", "metrics", "held_out", "last", "best")  # how the names of hidden files begin


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as a table; a value that an epoch lacks is empty.

    >>> as_csv([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "eval_top1": 50.0}])
    'epoch,loss,eval_top1\\n1,2,\\n2,1,50\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    return text.getvalue()


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values atomically.

    Raises:
        TrainingError: the disk is full, or the folder is not writable.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(dict(state), file)
    except OSError as error:
        reason = os_reason(error)
        raise TrainingError(f"cannot write {str(path)!r}: {reason}; the previous checkpoint is kept") from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, without running any code in it.

    Raises:
        TrainingError: it is truncated, or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {"rows": state["rows"], "trainer": state["trainer"]}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        raise TrainingError(
            f"cannot read the checkpoint {str(path)!r}: {summarize(error)}; restore a copy, or start in a new folder"
        ) from error


def rank(row: Row) -> tuple[float, float]:
    """What decides which model is best: top-1, then the loss, since a few images give many epochs the same top-1."""
    kind = "ema" if "ema_top1" in row else "eval"
    return row.get(f"{kind}_top1", -1.0), -row.get(f"{kind}_loss", math.inf)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
