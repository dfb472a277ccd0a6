"""Images of a data set as the bytes they are: found and recognised without decoding; decoded only to be checked."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hierarchy.errors import DataError, nearest

if TYPE_CHECKING:
    from hierarchy.dataset_labels import Bad, Check

# The first bytes of each kind, at an offset, and the ending of its files.
KINDS = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tif"),
    (0, b"MM\x00*", "tif"),
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
        from hierarchy.dataset_labels import features_of, is_streaming

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
        found = f"several columns of images ({', '.join(known)}); name one" if known else "no column of images"
        raise DataError([f"the data set has {found}"])
    if image not in known:
        raise DataError(
            [f"no column of images {image!r}{nearest(image, known)}; there are {', '.join(known) or 'none'}"]
        )
    return image


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
    except (OSError, ValueError):
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
    raise Unreadable("bytes that are no PNG, JPEG, GIF, WebP, BMP or TIFF image")


def in_processes(work: Callable[[Any], Any], jobs: Iterable[Any], num_proc: int) -> list[Any]:
    """Does jobs in fresh processes; gives the results in the order of the jobs. One that fails ends all."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn"), initializer=_ignore_interrupts) as pool:
        try:
            return list(pool.map(work, jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _ignore_interrupts() -> None:
    """Leaves Ctrl-C to the process that gave the work."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ranges(part: Any, column: str, rows: int = 2000) -> Iterator[tuple[Any, str, int]]:
    chosen = part.select_columns([column])
    for start in range(0, len(part), rows):
        yield chosen.select(range(start, min(start + rows, len(part)))), column, start


def _job(job: tuple[Any, str, int]) -> list[tuple[int, str]]:
    return list(_undecodable(job))


def _undecodable(job: tuple[Any, str, int]) -> Iterator[tuple[int, str]]:
    """The rows whose images cannot be decoded, and why."""
    from PIL import Image

    from hierarchy.dataset_labels import tables_of

    part, column, row = job
    for table in tables_of(part, [column], 100):
        for stored in table.column(column).to_pylist():
            try:
                with Image.open(io.BytesIO(image_bytes(stored))) as opened:
                    opened.load()
            except Unreadable as fault:
                yield row, str(fault)
            except Exception:  # what Pillow raises over broken bytes is of many kinds
                yield row, "an image that cannot be decoded"
            row += 1
