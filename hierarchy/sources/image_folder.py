"""Image folders with one folder per class, with or without splits, superclasses and groups above."""

from __future__ import annotations

from pathlib import Path

from hierarchy.names import split_path
from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_word
from hierarchy.sources.layout import find_classes


def read_image_folder(source: str) -> list[Entry]:
    """The classes of an image folder in the order of `sorted`, as torchvision and `datasets` number them."""
    found = sorted(find_classes(Path(source)).items(), key=lambda item: (item[0][-1], item[0]))
    entries = []
    for parts, folder in found:
        *above, name = (split_path(part)[0] for part in parts)
        superclass, group, *_ = (*above, "", "")
        entries.append(from_word(name, str(folder), above=(superclass, group)))
    return entries
