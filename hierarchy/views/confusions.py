"""Which classes a trained network takes for one another: those that look alike to it.

`timm-nhl evaluate RUN DATA --predictions FILE` writes what is read here, so that this package needs no network. Classes
are close if a few steps from confusion to confusion lead from one to the other (diffusion maps, Coifman & Lafon 2006).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hierarchy.errors import EmbedError, HierarchyError, in_one_sentence
from hierarchy.files import read_text
from hierarchy.sources import ClassList
from hierarchy.views.view import View, unit_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]

STEPS = 4  # of a walk along confusions; half of them stay where they are
ENOUGH = 3  # confused images from which a class counts as known
COLUMNS = ("class", "predicted")


def view_confusions(classes: ClassList, file: str) -> View:
    """How often images of each two classes are taken for one another.

    Args:
        classes: the classes; of those that were never confused nothing is known.
        file: a CSV with the columns class and predicted, an image a line; of several networks the first counts.

    Raises:
        EmbedError: the file cannot be read, has other columns, or none of the classes.
    """
    import numpy as np

    counts = _count(classes, _read(file), file)
    both = counts + counts.T
    np.fill_diagonal(both, 0)
    confused = both.sum(axis=1)  # (K,)
    scale = np.divide(1.0, np.sqrt(confused), out=np.zeros_like(confused), where=confused > 0)
    walk = (np.eye(len(classes)) + scale[:, None] * both * scale) / 2  # eigenvalues from 0 to 1
    values, axes = np.linalg.eigh(walk.round(12))
    vectors = unit_rows(axes * np.maximum(values, 0) ** (STEPS / 2))  # (K, K): products are those of walk ** STEPS
    known = confused > 0
    return View(f"confusions:{file}", vectors * known[:, None], np.minimum(1.0, confused / ENOUGH))


def _read(file: str) -> list[tuple[str, str]]:
    """The pairs of a class and a prediction, of the first network in the file."""
    if Path(file).is_dir():
        raise EmbedError(
            f"embedder 'confusions' needs a file of predictions, not the folder {file!r}; write one with"
            f" `timm-nhl evaluate {file} DATA --predictions FILE`"
        )
    try:
        rows = list(csv.DictReader(read_text(Path(file)).splitlines()))
    except HierarchyError as error:
        raise EmbedError(f"embedder 'confusions': {error}") from error
    if not rows or not set(COLUMNS) <= set(rows[0]):
        raise EmbedError(
            f"{file!r} has no columns 'class' and 'predicted'; give what `timm-nhl evaluate --predictions` writes"
        )
    first = rows[0].get("model")
    return [(str(row["class"]), str(row["predicted"])) for row in rows if row.get("model") == first]


def _count(classes: ClassList, pairs: Sequence[tuple[str, str]], file: str) -> Counts:
    """How many images of each class are taken for each, (K, K)."""
    import numpy as np

    label_of = {id: label for label, id in enumerate(classes.ids)}
    strangers = tuple(repr(id) for id in dict.fromkeys(word for pair in pairs for word in pair) if id not in label_of)
    if strangers:
        raise EmbedError(in_one_sentence(f"{file!r} has classes that SOURCE lacks", strangers))
    counts = np.zeros((len(classes), len(classes)))
    for own, predicted in pairs:
        counts[label_of[own], label_of[predicted]] += 1
    return counts
