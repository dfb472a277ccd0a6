"""The table of all kinds of class sources; to add a kind, write its reader and add a line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hierarchy.errors import SourceError, nearest, os_reason
from hierarchy.io import folder
from hierarchy.sources.classes import FEWEST, ClassList, Entry, parse
from hierarchy.sources.dataset import is_hub_name, is_saved, read_hub, read_saved, split_column
from hierarchy.sources.image_folder import read_image_folder
from hierarchy.sources.imagenet import read_imagenet
from hierarchy.sources.table import read_table
from hierarchy.sources.text import read_lines


class Kind(NamedTuple):
    """One kind of source: its name for messages, how it is recognised, and its reader."""

    name: str
    accepts: Callable[[str], bool]
    read: Callable[[str], list[Entry]]


LISTS: dict[str, Callable[[], list[Entry]]] = {  # class lists that need no file of the user's
    "imagenet-1k": partial(read_imagenet, "imagenet-1k"),
    "imagenet-12k": partial(read_imagenet, "imagenet-12k"),
    "imagenet-21k": partial(read_imagenet, "imagenet-21k"),
    "imagenet-100-cmc": lambda: read_lines(str(folder("data") / "imagenet100_cmc.txt")),
    "cifar-100": lambda: read_lines(str(folder("data") / "cifar100.txt")),
}


def _ends(*endings: str) -> Callable[[str], bool]:
    return lambda source: Path(source).suffix.lower() in endings


KINDS = (  # the first that accepts a source reads it
    Kind(f"one of {', '.join(LISTS)}", LISTS.__contains__, lambda source: LISTS[source]()),
    Kind("a .txt file", _ends(".txt"), read_lines),
    Kind("a .csv or .tsv file", _ends(".csv", ".tsv"), read_table),
    Kind("a saved dataset", is_saved, read_saved),
    Kind("an image folder", lambda source: bool(source) and Path(source).is_dir(), read_image_folder),
    Kind(
        "a Hugging Face dataset (owner/name or datasets:name)",
        lambda source: is_hub_name(source) or is_hub_name(split_column(source)[0]),
        read_hub,
    ),
)


def read_classes(source: str, *, fewest: int = FEWEST) -> ClassList:
    """Reads the classes of a source.

    Args:
        source: one of
            - `imagenet-1k`, `imagenet-12k`, `imagenet-21k` (timm's lists), `imagenet-100-cmc`, `cifar-100`;
            - a .txt file: a name, a WordNet id, or a WordNet id and a name per line;
            - a .csv or .tsv file whose header names some of the columns id, name, definition;
            - a folder with one folder of images per class (below `train`, or below all splits);
            - a folder written by `datasets.Dataset.save_to_disk`, or the name of a Hugging Face dataset
              (`owner/name`, or `datasets:name`); append `:column` to choose one of several label columns.
        fewest: the smallest number of classes to accept; by default as many as a hierarchy needs.

    Raises:
        SourceError: the source is unknown, has too few classes, or has bad or repeated ones; the message names the
            file, the lines and all problems.
        FormatError: a file is missing or not UTF-8.

    >>> read_classes("imagenet-1k").names[4]
    'hammerhead'
    """
    try:
        Path(source).exists()
    except OSError as error:  # a text longer than a file name can be
        reason = os_reason(error)
        raise SourceError(f"unknown class source {source[:40] + '...'!r}: {reason}; give a shorter path") from None
    for kind in KINDS:
        if kind.accepts(source):
            return parse(kind.read(source), source, fewest)
    kinds = ", ".join(kind.name for kind in KINDS[:-1])
    raise SourceError(f"unknown class source {source!r}{nearest(source, LISTS)}; give {kinds} or {KINDS[-1].name}")
