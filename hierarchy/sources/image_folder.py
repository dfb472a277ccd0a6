"""Image folders with one folder per class, with or without splits above."""

from __future__ import annotations

from pathlib import Path

from hierarchy.names import split_path
from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_word
from hierarchy.sources.layout import find_classes


def read_image_folder(source: str) -> list[Entry]:
    """The classes of an image folder in the order of `sorted`, as torchvision and `datasets` number them."""
    folders = sorted(find_classes(Path(source)).items())
    return [from_word(split_path(name)[0], str(folder)) for name, folder in folders]
