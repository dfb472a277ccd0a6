"""Image folders with one folder per class, with or without splits above."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_word
from hierarchy.sources.splits import HIDDEN, SPLITS, choose_splits


def read_image_folder(source: str) -> list[Entry]:
    """The classes of an image folder in the order of `sorted`, as torchvision and `datasets` number them.

    With splits, the classes are those of the first split with a usual name (`train`, ...), else of all splits.
    """
    path = Path(source)
    splits = choose_splits({name: [depth] for name, depth in _depths(path).items()})
    classes = _classes(path / splits[0] if splits and splits[0] in SPLITS else path)
    return [from_word(name, str(classes[name])) for name in sorted(classes)]


def _classes(path: Path) -> dict[str, Path]:
    """Class -> its folder: the folders in a folder or, if these hold only folders, the folders in them."""
    depths = _depths(path)
    if depths and all(depth > 1 for depth in depths.values()):
        return {name: at for top in reversed(depths) for name, at in _classes(path / top).items()}
    return {name: path / name for name in _folders(path)}


def _depths(path: Path) -> dict[str, int]:
    """Folder -> 1 if it holds images, 2 if it holds only folders; others are left out."""
    depths = {}
    for name in _folders(path):
        _, _, files = next(os.walk(path / name), ("", [], []))
        if any((mimetypes.guess_type(file, strict=False)[0] or "").startswith("image/") for file in files):
            depths[name] = 1
        elif _folders(path / name):
            depths[name] = 2
    return depths


def _folders(path: Path) -> list[str]:
    """The folders in a folder; none if it cannot be read."""
    _, folders, _ = next(os.walk(path), ("", [], []))
    return sorted(name for name in folders if not name.startswith(HIDDEN))
