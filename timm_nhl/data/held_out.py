"""Images that a training held out to evaluate on: which they are, and how a later evaluation finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hierarchy import HierarchyError
from hierarchy.dataset import open_data
from hierarchy.errors import FormatError
from hierarchy.files import read_json, write_text
from timm_nhl.data.images import Images

HELD_OUT = "held_out.json"  # in the folder of a training, above those of its models
VALIDATION = ("validation", "val", "valid")  # what `open_data` takes for each other


def find_validation(source: str) -> str | None:
    """The name of a dataset's validation split; None if there is none.

    Raises:
        SourceError: there is no such dataset.
    """
    data = open_data(source)
    return next((name for name in data if name in VALIDATION), None) if isinstance(data, Mapping) else None


def write_held_out(folder: Path, images: Images, *, split: str) -> None:
    """Writes which rows of a split are held out."""
    content = {"split": split, "rows": images.rows.tolist()}
    write_text(folder / HELD_OUT, json.dumps(content) + "\n")


def read_held_out(checkpoint: str, source: str, *, split: str) -> tuple[str, list[int]] | None:
    """The split and the rows that the training of a saved model held out.

    Args:
        checkpoint: the folder of the model, in that of its training.
        source: the dataset.
        split: what is asked for; None is returned unless it is a validation split, and the dataset has none.

    Raises:
        FormatError: the file that says so is damaged.
    """
    path = Path(checkpoint).absolute().parent / HELD_OUT
    if split not in VALIDATION or not path.is_file() or find_validation(source) is not None:
        return None
    content = read_json(path)
    try:
        return str(content["split"]), [int(row) for row in content["rows"]]
    except (KeyError, TypeError, ValueError):
        raise FormatError(
            f"{path} does not say which rows were held out; restore it, or pass another --split"
        ) from None


def keep_rows(images: Images, rows: list[int]) -> Images:
    """The images of some rows of the dataset.

    Raises:
        HierarchyError: the dataset has no such rows, so it is another one.
    """
    kept = np.isin(images.rows, rows)
    if not kept.any():
        raise HierarchyError(
            f"{images.name} has none of the held-out images; pass the data that the model was trained on"
        )
    return images.select(kept, name=f"{images.name} (held out)")
