"""Hugging Face datasets along a hierarchy: label, subset, split, count, export, open and save.

Functions take a `Dataset`, a `DatasetDict` or, where they say so, a stream of either kind, and return the same kind.
They read only the label column; images are neither decoded nor copied.
"""

from hierarchy.dataset.columns import Relabelling
from hierarchy.dataset.counts import stats
from hierarchy.dataset.formats import FORMS, export
from hierarchy.dataset.images import Unreadable, check_images, find_image_column, image_bytes
from hierarchy.dataset.labels import LEVELS, Numbers, Part, match, read_labels, read_parts
from hierarchy.dataset.loading import HIERARCHY_FILE, new_folder, open_data, save_data
from hierarchy.dataset.relabel import label, subset
from hierarchy.dataset.rows import Data, Problems, read_features
from hierarchy.dataset.stratify import Split, assign_parts, split

__all__ = [
    "FORMS",
    "HIERARCHY_FILE",
    "LEVELS",
    "Data",
    "Numbers",
    "Part",
    "Problems",
    "Relabelling",
    "Split",
    "Unreadable",
    "assign_parts",
    "check_images",
    "export",
    "find_image_column",
    "image_bytes",
    "label",
    "match",
    "new_folder",
    "open_data",
    "read_features",
    "read_labels",
    "read_parts",
    "save_data",
    "split",
    "stats",
    "subset",
]
