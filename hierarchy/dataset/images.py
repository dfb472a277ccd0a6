"""Images of a dataset as stored bytes: recognised without decoding, decoded only by `check_images`."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from warnings import catch_warnings, simplefilter

from hierarchy.dataset.rows import Bad, Check, find_places, is_streaming, iterate_tables, read_features
from hierarchy.errors import DataError, nearest

# The first bytes of each kind, at an offset, and the ending of its files.
KINDS = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tif"),
    (0, b"MM\x00*", "tif"),
    (0, b"II+\x00", "tif"),  # BigTIFF
    (0, b"MM\x00+", "tif"),
    (4, b"ftypavif", "avif"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\x00\x00\x01\x00", "ico"),
    (0, b"P4\n", "pbm"),
    (0, b"P5\n", "pgm"),
    (0, b"P6\n", "ppm"),
)


class Unreadable(Exception):
    """An image cannot be read; the message is the end of a sentence about its row."""


def check_images(image: str | None = None, *, num_proc: int = 1) -> Check:
    """Returns a check that decodes every image of a split and reports the rows whose images cannot be decoded.

    Args:
        image: the image column; None if there is only one.
        num_proc: number of threads that decode; a stream is read by one.
    """
    from PIL import Image as Pillow

    def check(part: Any) -> Bad:
        column = find_image_column(read_features(part), image)
        rows: defaultdict[str, list[int]] = defaultdict(list)
        with catch_warnings():  # Pillow warns at half the size that it refuses
            simplefilter("ignore", Pillow.DecompressionBombWarning)
            found = run_jobs(lambda job: _find_undecodable(job[1], column, job[0]), _slice(part), num_proc)
        for row, fault in (bad for faults in found for bad in faults):
            rows[fault].append(row)
        return list(rows.items())

    return check


def find_image_column(features: Mapping[str, Any], image: str | None) -> str:
    """The name of the image column; None for the only one.

    Raises:
        DataError: there is no image column, there are several, or the named column is not one.
    """
    from datasets import Image

    known = [name for name, feature in features.items() if isinstance(feature, Image)]
    if image is None and len(known) == 1:
        return known[0]
    if image is None:
        none = "no image column; make one with cast_column(NAME, datasets.Image())"
        found = f"several image columns ({', '.join(known)}); choose one" if known else none
        raise DataError([f"the dataset has {found}"])
    if image not in known:
        raise DataError(
            [f"no image column {image!r}{nearest(image, known)}; the image columns are {', '.join(known) or 'none'}"]
        )
    return image


def find_missing_files(data: Any) -> Bad:
    """The rows of a `Dataset` whose images are local files that cannot be read; only permissions are checked."""
    import os

    import numpy as np
    import pyarrow.compute as pc
    from datasets import Image

    chosen = find_places(data)
    for name in (name for name, feature in data.features.items() if isinstance(feature, Image)):
        images = data.data.column(name)  # of all rows, chosen or not
        held = pc.is_valid(pc.struct_field(images, "bytes")).to_numpy()
        elsewhere = np.flatnonzero(~held[chosen])
        paths = pc.struct_field(images, "path").take(chosen[elsewhere]).to_pylist()
        gone = [path is not None and "://" not in path and not os.access(path, os.R_OK) for path in paths]
        if any(gone):
            yield f"cannot read the image file in {name!r}", elsewhere[gone].tolist()


def image_bytes(stored: Any) -> bytes:
    """The bytes of a stored image, from the dataset itself or from the file it names.

    Raises:
        Unreadable: there is no image, or its file cannot be read.
    """
    import fsspec

    if stored is None or not (stored.get("bytes") or stored.get("path")):
        raise Unreadable("no image")
    if stored.get("bytes"):
        return bytes(stored["bytes"])
    try:
        with fsspec.open(stored["path"], "rb") as file:
            content = bytes(file.read())
    except Exception:  # file systems raise errors of their own, or are not installed
        raise Unreadable("cannot read the image file") from None
    if not content:
        raise Unreadable("empty image file")
    return content


def find_ending(content: bytes) -> str:
    r"""The file name ending of an image, from its first bytes.

    Raises:
        Unreadable: the bytes are not of a known image format.

    >>> find_ending(b"\x89PNG\r\n\x1a\n...")
    'png'
    """
    for start, magic, name in KINDS:
        if content[start : start + len(magic)] == magic:
            return name
    raise Unreadable(f"unknown image format (known are {', '.join(dict.fromkeys(kind for _, _, kind in KINDS))})")


def run_jobs(work: Callable[[Any], Any], jobs: Iterable[Any], workers: int) -> list[Any]:
    """Runs jobs in threads and returns the results in order; the first failure cancels the rest.

    Threads are enough: Pillow releases Python's lock while it decodes, and so do reading and writing.
    """
    from concurrent.futures import ThreadPoolExecutor

    if workers == 1:  # Ctrl-C then stops amid a job, which may be a whole stream
        return list(map(work, jobs))
    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(work, jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _slice(part: Any, rows: int = 500) -> Iterator[tuple[int, Any]]:
    """A dataset in slices, each with the number of its first row; a stream is one slice."""
    if is_streaming(part):
        yield 0, part
        return
    for start in range(0, len(part), rows):
        yield start, part.select(range(start, min(start + rows, len(part))))


def _find_undecodable(rows: Any, column: str, first: int) -> list[tuple[int, str]]:
    """The rows whose images cannot be decoded, and why."""
    found = []
    tables = iterate_tables(rows, [column], 100)
    for row, stored in enumerate((stored for table in tables for stored in table.column(column).to_pylist()), first):
        try:
            _decode(image_bytes(stored))
        except Unreadable as fault:
            found.append((row, str(fault)))
    return found


def _decode(content: bytes) -> None:
    """Decodes an image, or the first frame of an animation, as training does."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            opened.load()
    except Image.DecompressionBombError:
        raise Unreadable("image has more pixels than Pillow decodes") from None
    except Exception:  # Pillow raises many kinds for broken bytes
        raise Unreadable("cannot decode the image") from None
