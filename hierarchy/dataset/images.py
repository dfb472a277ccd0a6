"""Images of a data set as the bytes they are: found and recognised without decoding; decoded only to be checked."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from hierarchy.errors import DataError, nearest

if TYPE_CHECKING:
    from hierarchy.dataset.labels import Bad, Check

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
    """An image that cannot be read; the message is the end of a sentence about its row."""


def readable(image: str | None = None, *, num_proc: int = 1) -> Check:
    """Gives a check that decodes every image of a split once, and tells the rows where that cannot be done.

    Args:
        image: the column of images; None is the only one.
        num_proc: processes that decode; a stream is read by one.
    """

    def check(part: Any) -> Bad:
        from hierarchy.dataset.labels import features_of, is_streaming

        column = image_column(features_of(part), image)
        if is_streaming(part) or num_proc == 1:
            found = list(_undecodable((part, column, 0)))
        else:
            found = [fault for faults in in_processes(_job, _ranges(part, column), num_proc) for fault in faults]
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, fault in found:
            rows[fault].append(row)
        return list(rows.items())

    return check


def image_column(features: Mapping[str, Any], image: str | None) -> str:
    """The name of the column of images; None asks for the only one.

    Raises:
        DataError: there is none, several, or the one that is named is none.
    """
    from datasets import Image

    known = [name for name, feature in features.items() if isinstance(feature, Image)]
    if image is None and len(known) == 1:
        return known[0]
    if image is None:
        none = "no column of images; make one with cast_column(NAME, datasets.Image())"
        found = f"several columns of images ({', '.join(known)}); name one" if known else none
        raise DataError([f"the data set has {found}"])
    if image not in known:
        raise DataError(
            [f"no column of images {image!r}{nearest(image, known)}; there are {', '.join(known) or 'none'}"]
        )
    return image


def missing_files(data: Any) -> Bad:
    """The rows of a `Dataset` whose images lie in files of this machine that cannot be read; none is read for it."""
    import os

    import numpy as np
    import pyarrow.compute as pc
    from datasets import Image

    chosen = np.arange(len(data)) if data._indices is None else data._indices.column(0).to_numpy()  # no public name
    for name in (name for name, feature in data.features.items() if isinstance(feature, Image)):
        images = data.data.column(
            name
        )  # of all rows, chosen or not: where images are held here, only that is looked at
        held = pc.is_valid(pc.struct_field(images, "bytes")).to_numpy()
        elsewhere = np.flatnonzero(~held[chosen])
        paths = pc.struct_field(images, "path").take(chosen[elsewhere]).to_pylist()
        gone = [path is not None and "://" not in path and not os.access(path, os.R_OK) for path in paths]
        if any(gone):
            yield f"an image file of {name!r} that cannot be read", elsewhere[gone].tolist()


def image_bytes(stored: Any) -> bytes:
    """The bytes of an image as it is stored: held in the data set, or in a file that it names.

    Raises:
        Unreadable: there are none.
    """
    import fsspec

    if stored is None or not (stored.get("bytes") or stored.get("path")):
        raise Unreadable("no image")
    if stored.get("bytes"):
        return bytes(stored["bytes"])
    try:
        with fsspec.open(stored["path"], "rb") as file:
            content = bytes(file.read())
    except Exception:  # the file systems behind addresses raise kinds of their own, or are not installed
        raise Unreadable("an image file that cannot be read") from None
    if not content:
        raise Unreadable("an empty image file")
    return content


def ending(content: bytes) -> str:
    r"""The ending of files of this kind, told from the first bytes.

    Raises:
        Unreadable: it is no kind of image that is known here.

    >>> ending(b"\x89PNG\r\n\x1a\n...")
    'png'
    """
    for start, magic, name in KINDS:
        if content[start : start + len(magic)] == magic:
            return name
    raise Unreadable(f"bytes that are no image of a kind known here ({', '.join(dict.fromkeys(k[2] for k in KINDS))})")


def in_processes(work: Callable[[Any], Any], jobs: Iterable[Any], num_proc: int) -> list[Any]:
    """Does jobs in fresh processes; gives the results in the order of the jobs. One that fails ends all."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn"), initializer=_obey_the_parent) as pool:
        try:
            return list(pool.map(work, jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _obey_the_parent() -> None:
    """Leaves Ctrl-C to the process that gave the work, and ends when that is killed; else it would wait for ever."""
    import os
    import signal
    from multiprocessing import parent_process
    from multiprocessing.connection import wait
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None
    Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


def _ranges(part: Any, column: str, rows: int = 2000) -> Iterator[tuple[Any, str, int]]:
    chosen = part.select_columns([column])
    for start in range(0, len(part), rows):
        yield chosen.select(range(start, min(start + rows, len(part)))), column, start


def _job(job: tuple[Any, str, int]) -> list[tuple[int, str]]:
    return list(_undecodable(job))


def _undecodable(job: tuple[Any, str, int]) -> Iterator[tuple[int, str]]:
    """The rows whose images cannot be decoded, and why."""
    from hierarchy.dataset.labels import tables_of

    part, column, row = job
    for table in tables_of(part, [column], 100):
        for stored in table.column(column).to_pylist():
            try:
                _decode(image_bytes(stored))
            except Unreadable as fault:
                yield row, str(fault)
            row += 1


def _decode(content: bytes) -> None:
    """Decodes an image, of an animation the first picture, as those who train on it will."""
    from PIL import Image

    try:
        with catch_warnings():  # Pillow warns of half the pixels that it refuses
            simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as opened:
                opened.load()
    except Image.DecompressionBombError:
        raise Unreadable("an image of more pixels than Pillow decodes") from None
    except Exception:  # what Pillow raises over broken bytes is of many kinds
        raise Unreadable("an image that cannot be decoded") from None
