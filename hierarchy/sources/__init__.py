"""Class sources: reads the classes of a dataset from wherever people keep them.

`read_classes` recognises files by their content, image folders, models, Hugging Face datasets and ImageNet's own lists.
The folder layouts of splits and classes are decided here, for class lists and for whole datasets.
"""

from hierarchy.sources.classes import ClassList, describe_source
from hierarchy.sources.dataset import is_hub_name, is_saved
from hierarchy.sources.files import FORMS, WRITERS, write_labels
from hierarchy.sources.layout import find_classes, image_files, table_files
from hierarchy.sources.pictures import EACH, embed_pictures, find_pictures, make_thumbnail
from hierarchy.sources.read import read_classes

__all__ = [
    "EACH",
    "FORMS",
    "WRITERS",
    "ClassList",
    "describe_source",
    "embed_pictures",
    "find_classes",
    "find_pictures",
    "image_files",
    "is_hub_name",
    "is_saved",
    "make_thumbnail",
    "read_classes",
    "table_files",
    "write_labels",
]
