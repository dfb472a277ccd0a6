"""Class sources: reads the classes of a dataset from wherever people keep them.

`read_classes` recognises text, CSV and TSV files, image folders, Hugging Face datasets and ImageNet's own lists.
The folder layouts of splits and classes are decided here, for class lists and for whole datasets.
"""

from hierarchy.sources.classes import ClassList
from hierarchy.sources.dataset import is_hub_name, is_saved
from hierarchy.sources.layout import image_files, table_files
from hierarchy.sources.pictures import EACH, embed_pictures, find_pictures, make_thumbnail
from hierarchy.sources.read import read_classes

__all__ = [
    "EACH",
    "ClassList",
    "embed_pictures",
    "find_pictures",
    "image_files",
    "is_hub_name",
    "is_saved",
    "make_thumbnail",
    "read_classes",
    "table_files",
]
