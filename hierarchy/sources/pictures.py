"""A few images of each class of an image folder, as small JPEGs, for people who would rather look than read."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hierarchy.errors import SourceError, UnknownNode
from hierarchy.names import NameIndex

EACH = 3  # images of a class: enough to see what it means
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
DEEPEST = 4  # folders below the given one: SPLIT/CLASS/... and one to spare
SIDES = (128, 96, 64, 48, 32)  # pixels; the largest that fits is taken
MOST_BYTES = 9_000_000  # of all images of a page, 12 MB as text: a browser opens that in a second
SAMPLE = 24  # images from which the size of all is estimated
PAPER = (255, 255, 255)  # behind what is transparent


def find_pictures(folder: Path, index: NameIndex, ids: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """The paths of up to `EACH` images of each class, spread over its folder: class id -> paths.

    Args:
        folder: one folder for each class, named by its id or its name (with `_` for spaces, or not), in splits or not.
        index: what the classes answer to.
        ids: all class ids, in label order.

    Raises:
        SourceError: the folder is missing, or none of its folders has the name of a class.
    """
    if not folder.is_dir():
        raise SourceError(f"no folder of images {str(folder)!r}; check the name")
    found: dict[str, tuple[Path, ...]] = {}
    seen = []
    for name, paths in _list_folders(folder):
        seen.append(name)
        label = _find_label(name, index)
        if label is not None:
            every = sorted(paths)
            places = {round(i * (len(every) - 1) / max(1, EACH - 1)) for i in range(EACH)}
            found.setdefault(ids[label], tuple(every[place] for place in sorted(places)))
    if not found:
        some = ", ".join(map(repr, seen[:3])) or "none"
        raise SourceError(
            f"folder {str(folder)!r} has no images of these classes (its folders with images: {some}); name one folder"
            " for each class by its id or name"
        )
    return found


def make_thumbnail(path: Path, side: int) -> bytes | None:
    """An image as a JPEG of at most `side` by `side` pixels; None if it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.draft("RGB", (side, side))  # a large JPEG is decoded at a fraction of its size, in half of the time
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((side, side), reducing_gap=1.0)
            if upright.mode not in ("RGB", "L"):
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, (*PAPER, 255)), upright).convert("RGB")
            content = io.BytesIO()
            upright.save(content, "JPEG", quality=75)
            return content.getvalue()
    except Exception:  # a broken or huge image raises many kinds; a picture less does no harm
        return None


def embed_pictures(pictures: Mapping[str, Sequence[Path]], most_bytes: int = MOST_BYTES) -> dict[str, list[str]]:
    """Images as base64 JPEGs for a page: as large as `SIDES` allows within `most_bytes`, none beyond."""
    every = [(id, path) for id, paths in pictures.items() for path in paths]
    sample = [path for _, path in every[:: max(1, len(every) // SAMPLE)]][:SAMPLE]
    for side in SIDES:
        sizes = [len(made) for made in (make_thumbnail(path, side) for path in sample) if made]
        if not sizes or sum(sizes) / len(sizes) * len(every) <= most_bytes:
            break
    found: dict[str, list[str]] = {}
    spent = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # Pillow releases Python's lock while it decodes
        for (id, _), made in zip(every, pool.map(lambda pair: make_thumbnail(pair[1], side), every), strict=True):
            if made and spent + len(made) <= most_bytes:
                spent += len(made)
                found.setdefault(id, []).append(base64.b64encode(made).decode())
    return found


def _list_folders(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """The name of each folder that holds images, and its images."""
    for at, folders, names in os.walk(folder, followlinks=True):
        here = Path(at)
        deep = len(here.relative_to(folder).parts) >= DEEPEST
        folders[:] = [] if deep else sorted(name for name in folders if not name.startswith("."))
        images = [here / name for name in names if name.lower().endswith(ENDINGS) and not name.startswith(".")]
        if images and here != folder:
            yield here.name, images


def _find_label(name: str, index: NameIndex) -> int | None:
    for known in (name, name.replace("_", " ")):
        try:
            return index.label(known)
        except UnknownNode:
            continue
    return None
