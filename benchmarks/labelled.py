"""Writes labelled images as a saved dataset, together with their hierarchy and the names of their classes.

The folder holds what `datasets.load_from_disk` and `hierarchy dataset` open, `hierarchy.json`, and `names.csv`, an
input for `python -m hierarchy.generate`.
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


def write_dataset(
    folder: Path, splits: Mapping[str, Columns], *, tree: hierarchy.Hierarchy, provenance: Mapping[str, Any]
) -> None:
    """Writes a new folder atomically.

    Args:
        folder: must not exist yet; parent folders are created.
        splits: the columns of each split: `image` (bytes of image files), `label` (labels of the tree), others of text.
        tree: the hierarchy of the labels.
        provenance: where the images and the hierarchy come from.

    Raises:
        hierarchy.errors.OutputError: the folder exists or cannot be created.
    """
    from datasets import DatasetDict

    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as place:
        save_data(DatasetDict({name: _make_split(columns, tree) for name, columns in splits.items()}), place)
        hierarchy.save(tree, place / HIERARCHY_FILE, provenance=provenance)
        write_text(place / NAMES, to_names_csv(tree))


def _make_split(columns: Columns, tree: hierarchy.Hierarchy) -> Any:
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as ImageFeature

    kinds = {"image": ImageFeature(), "label": ClassLabel(names=list(tree.classes))}
    features = Features({name: kinds.get(name, Value("string")) for name in columns})
    images = [{"bytes": image, "path": None} for image in columns["image"]]
    return Dataset.from_dict({**columns, "image": images}, features=features)


def to_names_csv(tree: hierarchy.Hierarchy) -> str:
    """The classes without their hierarchy: id, name and an empty definition, which `generate` fills in from WordNet.

    >>> to_names_csv(hierarchy.Hierarchy(("n1",), ("carp",), (("fish", "carps"),)))
    'id,name,definition\\nn1,carp,\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "name", "definition"))
    writer.writerows((id, name, "") for id, name in zip(tree.classes, tree.names, strict=True))
    return text.getvalue()


def to_png(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
