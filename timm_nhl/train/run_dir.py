"""The folder of a training: its settings, metrics, state, and models; every file in it is whole at any time."""

from __future__ import annotations

import csv
import io
import json
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy.errors import Locked, OutputError, os_reason
from hierarchy.files import lock, read_json, replacing, write_text
from timm_nhl.errors import TrainingError, summarize
from timm_nhl.export import write_files
from timm_nhl.train.config import Settings, options
from timm_nhl.train.config_check import flag, shown
from timm_nhl.train.curves import curves
from timm_nhl.train.progress import Row, columns

SETTINGS, STATE = "settings.json", "resume.pt"
WRITTEN = (SETTINGS, STATE, "metrics.csv", "curves.html", "last", "best")  # under other names until they are whole


class RunFolder:
    """Where a training writes, and where it finds what an earlier run of the same training wrote.

    Args:
        path: the folder; it need not be there.
        settings: of the training.
        facts: what else decides it: the number of processes, digests of the data and the hierarchy.
        command: that gives the same training.
    """

    def __init__(self, path: Path, settings: Settings, *, facts: Mapping[str, Any], command: str) -> None:
        self.path, self.settings, self.facts, self.command = path, settings, facts, command

    def state(self) -> dict[str, Any] | None:
        """The state that an earlier run left; None where there was none.

        Raises:
            TrainingError: the folder is of another training, with all that differs, or of none; or the state is broken.
        """
        if self.path.is_file() or (self.path.is_dir() and {*self.path.iterdir()} - {*self._unfinished()}):
            self._check_same()
        return read_state(self.path / STATE) if (self.path / STATE).exists() else None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder, with the settings in it, and keeps other runs out of it for the time of a block.

        What a killed run half wrote is cleared away.

        Raises:
            TrainingError: another run writes here; torchrun's processes, for one, outlive a torchrun that was killed.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = os_reason(error)
            raise TrainingError(f"cannot make the folder {str(self.path)!r}: {reason}; name another") from None
        self._write_settings()
        with ExitStack() as stack:
            busy = f"{str(self.path)!r} is being trained"
            try:
                stack.enter_context(lock(self.path / ".lock", busy=busy, fix="wait for it, or end it first"))
            except (Locked, OutputError) as error:
                raise TrainingError(str(error)) from None
            for left in self._unfinished():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield

    def write_metrics(self, rows: Sequence[Row]) -> None:
        """Writes all epochs' rows, as a table and as curves; what a killed run wrote beyond them is gone."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)
        write_text(self.path / "metrics.csv", text.getvalue())
        if rows:
            write_text(self.path / "curves.html", curves(rows, title=self.path.name))

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Writes all that a run needs to go on."""
        write_state(self.path / STATE, state)

    def write_model(self, name: str, model: nn.Module, *, classes: Sequence[str], tree: Hierarchy | None) -> None:
        """Writes a model as a folder for timm's `local-dir:`, over what was there.

        Of its files only the weights change from epoch to epoch, so the folder is whole at any time, too.
        """
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        write_files(model, folder, label_names=classes, hierarchy=tree)

    def _unfinished(self) -> list[Path]:
        """What a killed run half wrote."""
        return [path for name in WRITTEN for path in self.path.glob(f".{name}.*")]

    def _write_settings(self) -> None:
        if not (self.path / SETTINGS).exists():
            content = {
                "command": self.command,
                "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch", "numpy", "datasets")},
                "facts": dict(self.facts),
                "settings": self.settings.to_dict(),
            }
            write_text(self.path / SETTINGS, json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    def _check_same(self) -> None:
        try:
            saved = read_json(self.path / SETTINGS)
            differences = list(_differences(saved["settings"], saved["facts"], self.settings, self.facts))
        except (HierarchyError, KeyError, TypeError):
            raise TrainingError(
                f"{str(self.path)!r} is there already and holds no training; name a new folder"
            ) from None
        if differences:
            raise TrainingError(
                f"{str(self.path)!r} holds a training with other settings: {'; '.join(differences)};"
                " go on with those, or name a new folder"
            )


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Writes tensors and plain values to a file, whole or not at all.

    Raises:
        TrainingError: the disk is full, or the folder cannot be written to.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(dict(state), file)
    except OSError as error:
        reason = os_reason(error)
        raise TrainingError(f"cannot write {str(path)!r}: {reason}; the state of before is kept") from None


def read_state(path: Path) -> dict[str, Any]:
    """Reads what `write_state` wrote; runs nothing that is in it.

    Raises:
        TrainingError: it is cut short, or something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {"progress": state["progress"], "learner": state["learner"]}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError) as error:
        reason = summarize(error)
        raise TrainingError(
            f"{str(path)!r} cannot be read as the state of a training ({reason}); put back a copy of it, or name a new"
            " folder and begin anew"
        ) from error


def _differences(
    there: Mapping[str, Any], facts_there: Mapping[str, Any], here: Settings, facts: Mapping[str, Any]
) -> Iterator[str]:
    """What decides a training and is not the same, in words."""
    if there["source"] != here.source:
        yield f"the data are {there['source']!r} there, {here.source!r} here"
    earlier = Settings.from_dict(there)
    for group, option in options():
        old, new = (getattr(getattr(settings, group), option.name) for settings in (earlier, here))
        if old != new and not option.metadata["free"]:
            yield f"{flag(option.name)} is {shown(old) or 'nothing'} there, {shown(new) or 'nothing'} here"
    for name, new in facts.items():
        if facts_there.get(name) != new:
            yield f"{name} {str(facts_there.get(name))[:12]} there, {str(new)[:12]} here"


def _short(value: float | None) -> float | int | str | None:
    return f"{value:.6g}" if isinstance(value, float) else value
