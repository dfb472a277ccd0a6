"""Writes pictures with their classes as a saved dataset, its hierarchy and the names of its classes beside it.

A folder holds what `datasets.load_from_disk` and `hierarchy dataset` open, `hierarchy.json`, and `names.csv`, which
`python -m hierarchy.generate` takes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE, new_folder, save_data
from hierarchy.files import write_text

NAMES = "names.csv"
Columns = Mapping[str, Sequence[Any]]


def write(
    folder: Path, splits: Mapping[str, Columns], *, tree: hierarchy.Hierarchy, provenance: Mapping[str, Any]
) -> None:
    """Writes a new folder, whole or not at all.

    Args:
        folder: is not there yet; the folders above it are made.
        splits: of each split the columns: `image` (bytes of image files), `label` (labels of the tree), others of text.
        tree: the hierarchy of the labels.
        provenance: where pictures and hierarchy come from.

    Raises:
        hierarchy.errors.OutputError: the folder is there already, or cannot be made.
    """
    from datasets import DatasetDict

    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as place:
        save_data(DatasetDict({name: _rows(columns, tree) for name, columns in splits.items()}), place)
        hierarchy.save(tree, place / HIERARCHY_FILE, provenance=provenance)
        write_text(place / NAMES, names_csv(tree))


def _rows(columns: Columns, tree: hierarchy.Hierarchy) -> Any:
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as ImageFeature

    kinds = {"image": ImageFeature(), "label": ClassLabel(names=list(tree.classes))}
    features = Features({name: kinds.get(name, Value("string")) for name in columns})
    images = [{"bytes": image, "path": None} for image in columns["image"]]
    return Dataset.from_dict({**columns, "image": images}, features=features)


def names_csv(tree: hierarchy.Hierarchy) -> str:
    """The classes without their hierarchy: id, name and an empty definition, which `generate` looks up in WordNet.

    >>> names_csv(hierarchy.Hierarchy(("n1",), ("carp",), (("fish", "carps"),)))
    'id,name,definition\\nn1,carp,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "name", "definition"))
    writer.writerows((id, name, "") for id, name in zip(tree.classes, tree.names, strict=True))
    return text.getvalue()


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
