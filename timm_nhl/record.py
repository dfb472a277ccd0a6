"""What a training leaves in its folder: settings, metrics, curves, and the models that timm loads."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from timm.models import save_for_hf
from torch import nn

from hierarchy import Hierarchy
from hierarchy.files import save as save_hierarchy
from hierarchy.files import write_text

Row = Mapping[str, float]


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes settings for a person to read and a command to take."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_metrics(path: Path, rows: Sequence[Row]) -> None:
    """Writes one line an epoch; the file is whole at any time."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _short(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def save_model(model: nn.Module, folder: Path, *, classes: Sequence[str], tree: Hierarchy | None) -> None:
    """Writes a model as a folder for timm's `local-dir:`, over what was there, file by file.

    Every file is whole at any time; all but the weights are the same in each epoch.
    """
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary)
        save_for_hf(model, temporary, model_config={"label_names": list(classes)}, safe_serialization=True)
        if tree is not None:
            save_hierarchy(tree, made / "hierarchy.json")
        for path in sorted(made.iterdir()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            path.replace(folder / path.name)


def _short(value: float) -> float | int | str:
    return value if isinstance(value, int) else f"{value:.6g}"
