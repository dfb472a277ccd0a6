"""The table of all kinds of class sources; to add a kind, write its reader and add a line here.

The forms of files have a table of their own, in `files/forms.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hierarchy.errors import SourceError, nearest, os_reason
from hierarchy.io import folder
from hierarchy.sources.classes import FEWEST, ClassList, Entry, parse
from hierarchy.sources.dataset import is_hub_name, is_saved, read_hub, read_saved, split_column
from hierarchy.sources.files import read_file
from hierarchy.sources.image_folder import read_image_folder
from hierarchy.sources.imagenet import read_imagenet

Read = tuple[list[Entry], str]  # the classes, and what they were read as

LISTS: dict[str, Callable[[], list[Entry]]] = {  # class lists that need no file of the user's
    "imagenet-1k": partial(read_imagenet, "imagenet-1k"),
    "imagenet-12k": partial(read_imagenet, "imagenet-12k"),
    "imagenet-21k": partial(read_imagenet, "imagenet-21k"),
    "imagenet-100-cmc": lambda: read_file(str(folder("data") / "imagenet100_cmc.txt"), "synsets")[0],
    "cifar-100": lambda: read_file(str(folder("data") / "cifar100.txt"), "names")[0],
}
ENDINGS = (".txt", ".csv", ".tsv", ".json", ".yaml", ".yml", ".names", ".labels", ".xml", ".pbtxt")  # always of files
CONFIGS = ("config.json", "data.yaml")  # what names the classes of the folder of a model, or of a YOLO data set


class Kind(NamedTuple):
    """One kind of source: its name for messages, how it is recognised, and its reader."""

    name: str
    accepts: Callable[[str], bool]
    read: Callable[[str], list[Entry]]


KINDS = (  # the first that accepts a source reads it
    Kind("a saved dataset", is_saved, read_saved),
    Kind(
        "the folder of a model",
        lambda source: _config(source) is not None,
        lambda source: read_file(str(_config(source)))[0],
    ),
    Kind("an image folder", lambda source: bool(source) and Path(source).is_dir(), read_image_folder),
    Kind(
        "a Hugging Face dataset (owner/name or datasets:name)",
        lambda source: is_hub_name(source) or is_hub_name(split_column(source)[0]),
        read_hub,
    ),
)


def read_classes(source: str, *, fewest: int = FEWEST, form: str | None = None) -> ClassList:
    """Reads the classes of a source. A file or folder that exists is read, and never asked for on the Hub.

    Args:
        source: one of
            - `imagenet-1k`, `imagenet-12k`, `imagenet-21k` (timm's lists), `imagenet-100-cmc`, `cifar-100`;
            - a file, whose content decides how it is read (docs/reference/sources.md lists the forms);
            - a folder with one folder of images per class, below splits, superclasses and groups, if it has any;
            - the folder of a trained model, or of a YOLO data set;
            - a folder written by `datasets.Dataset.save_to_disk`, or the name of a Hugging Face dataset
              (`owner/name`, or `datasets:name`); append `:column` to choose one of several label columns.
        fewest: the smallest number of classes to accept; by default as many as a hierarchy needs.
        form: the form of a file, one of `FORMS`; None recognises it.

    Raises:
        SourceError: the source is unknown, has too few classes, or has bad or repeated ones; the message names the
            file, the lines and all problems.
        FormatError: a file is missing or not UTF-8, or is broken JSON or YAML.

    >>> read_classes("imagenet-1k").names[4]
    'hammerhead'
    """
    entries, title = _read(source, form)
    return parse(entries, source, fewest, title)


def _read(source: str, form: str | None) -> Read:
    try:
        exists = Path(source).exists()
    except OSError as error:  # a text longer than a file name can be
        reason = os_reason(error)
        raise SourceError(f"unknown class source {source[:40] + '...'!r}: {reason}; give a shorter path") from None
    if source in LISTS and not form:
        return LISTS[source](), ""
    if (exists and not Path(source).is_dir()) or form or (not exists and Path(source).suffix.lower() in ENDINGS):
        return read_file(source, form)
    for kind in KINDS:
        if kind.accepts(source):
            if not exists and kind is KINDS[-1]:
                _refuse_misspelled(source)
            return kind.read(source), kind.name
    kinds = ", ".join(("a file with class names", *(kind.name for kind in KINDS[:-1])))
    lists = f"one of {', '.join(LISTS)}"
    raise SourceError(
        f"unknown class source {source!r}{nearest(source, LISTS)}; give {lists}, {kinds} or {KINDS[-1].name}"
    )


def _refuse_misspelled(source: str) -> None:
    """Refuses a path with a misspelled end, before its name is asked for on the Hub."""
    path = Path(source)
    if not source.startswith("datasets:") and path.parent.is_dir() and len(path.parts) > 1:
        names = [other.name for other in path.parent.iterdir()]
        raise SourceError(
            f"no such file or folder: {source!r}{nearest(path.name, names)}; write datasets:{source} for a dataset on"
            " the Hub"
        )


def _config(source: str) -> Path | None:
    """The file that names the classes of a folder."""
    return next((path for name in CONFIGS if (path := Path(source) / name).is_file()), None)
