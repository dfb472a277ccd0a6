"""The images of a dataset, labelled along a hierarchy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hierarchy import Hierarchy
from hierarchy.dataset import (
    Problems,
    Relabelling,
    Unreadable,
    assign_parts,
    find_image_column,
    image_bytes,
    open_data,
    read_features,
    read_labels,
    read_parts,
)
from hierarchy.errors import DataError
from timm_nhl.data.decode import decode_image

if TYPE_CHECKING:
    from hierarchy.dataset import Numbers


class BrokenImage(DataError):
    """An image that cannot be read.

    If a worker raises it, torch raises another one whose message is the worker's traceback; the problem is at its end.

    >>> str(BrokenImage("Caught BrokenImage in worker 0.\\n...\\ntimm_nhl.data.BrokenImage: row 2: no image"))
    'row 2: no image'
    """

    def __init__(self, problem: str) -> None:
        super().__init__([problem.rstrip().rpartition(f"{type(self).__name__}: ")[2]])


@dataclass(frozen=True)
class Images:
    """Images with labels, as a map-style dataset: `images[3]` is (an RGB Pillow image, its label).

    Args:
        name: the source and the split, for messages.
        data: the split's image column, undecoded.
        rows: (M,) the rows of the images.
        labels: (M,) their labels.
        classes: (K,) ids by label.
        hierarchy: of these classes, if one is known.
    """

    name: str
    data: Any
    rows: Numbers
    labels: Numbers
    classes: tuple[str, ...]
    hierarchy: Hierarchy | None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        row = int(self.rows[index])
        try:
            return decode_image(image_bytes(self.data[row][self._column])), int(self.labels[index])
        except Unreadable as fault:
            raise BrokenImage(f"{self.name} row {row}: {fault}") from None

    def part(self, number: int, of: int) -> Images:
        """Every `of`-th image, starting at `number`: the part of one of several processes."""
        return replace(self, rows=self.rows[number::of], labels=self.labels[number::of])

    def hold_out(self, share: float, *, seed: int) -> tuple[Images, Images]:
        """Two parts: the images to keep, and a share of each class; a class with two images or more is in both.

        Images whose label is unknown, -1, count as a class.
        """
        _, numbers = np.unique(self.labels, return_inverse=True)
        held = assign_parts(numbers, (1 - share, share), seed=seed) == 1
        return self.select(~held, name=self.name), self.select(held, name=f"{self.name} (held out)")

    def select(self, kept: Any, *, name: str) -> Images:
        """The images at some positions, or for which a mask (M,) is true."""
        return replace(self, name=name, rows=self.rows[kept], labels=self.labels[kept])

    def restrict(self, labels: Sequence[int]) -> Images:
        """The images of some classes alone, by their labels, which are numbered anew in this order."""
        assert self.hierarchy is not None
        tree = self.hierarchy.at(labels)
        new = np.full(len(self.classes), -1)
        new[list(labels)] = np.arange(len(labels))
        kept = self.select(new[self.labels] >= 0, name=self.name)
        return replace(kept, labels=new[kept.labels], classes=tree.classes, hierarchy=tree)

    def of_labels(self, labels: Sequence[int], *, each: int) -> Images:
        """The first images of some labels, at most so many of each; they keep their labels."""
        kept = np.concatenate([np.flatnonzero(self.labels == label)[:each] for label in labels])
        return self.select(np.sort(kept), name=self.name)

    def name_of(self, label: int) -> str:
        """The display name of a class."""
        return self.classes[label] if self.hierarchy is None else self.hierarchy.names[label]

    def digest(self) -> bytes:
        """A digest of the images as they are stored, in order; labels and names do not count."""
        whole = hashlib.blake2b(digest_size=16)
        for row in self.rows:
            try:
                content = image_bytes(self.data[int(row)][self._column])
            except Unreadable as fault:
                raise BrokenImage(f"{self.name} row {row}: {fault}") from None
            whole.update(len(content).to_bytes(8, "little") + content)
        return whole.digest()

    @cached_property
    def _column(self) -> str:
        (column,) = self.data.column_names
        return str(column)


def open_images(
    source: str,
    *,
    hierarchy: Hierarchy | None,
    split: str,
    classes: Sequence[str] = (),
    image: str | None = None,
    column: str | None = None,
) -> Images:
    """Opens a split of a dataset; each image is decoded when it is used.

    Args:
        source: as for `hierarchy dataset`: a saved folder, parquet, an image folder, or a name on the Hub.
        hierarchy: gives the labels. A class of the dataset is matched by its id or else its name, never by its number.
            Without a hierarchy, labels are those of the label column.
        split: its name.
        classes: keep only these (ids, names and paths), with labels as in `hierarchy.subset(*classes)`.
        image: the image column; by default the only one.
        column: the label column; by default `label`, or the only one.

    Raises:
        SourceError: there is no such dataset or split.
        DataError: with all classes that do not match, and all bad rows.
        UnknownNode: there is no such class or node.
        AmbiguousName: a name belongs to several classes or nodes.
    """
    part = open_data(source, split=split)
    found = find_image_column(read_features(part), image)
    if hierarchy is None:
        problems = Problems()
        (read,) = read_parts(part, column, None, None, problems) or (None,)
        problems.raise_all()
        assert read is not None  # else there was a problem
        if read.column.values is None:
            raise DataError(
                [f"column {read.column.name!r} holds names without an order; pass a hierarchy to number them"]
            )
        rows, labels, ids, tree = np.arange(len(part)), read.numbers, read.values, None
    else:
        ((read,), _) = read_labels(part, hierarchy, column, None)
        placing = Relabelling(hierarchy, hierarchy.labels(*classes) if classes else range(len(hierarchy)))
        new = placing.new(read.numbers)
        rows, tree = np.flatnonzero(new >= 0), placing.small
        labels, ids = new[rows], tree.classes
    return Images(f"{source} {split}", _undecoded(part, found), rows, labels, tuple(ids), tree)


def open_unlabelled(source: str, *, hierarchy: Hierarchy, split: str, image: str | None = None) -> Images:
    """Opens a split of a dataset whose labels are missing or do not matter: all are -1.

    Args:
        source, split, image: as for `open_images`.
        hierarchy: of the classes that the images may show.

    Raises:
        SourceError: there is no such dataset or split.
        DataError: there is no image column, or several.
    """
    part = open_data(source, split=split)
    found = find_image_column(read_features(part), image)
    rows = np.arange(len(part))
    return Images(
        f"{source} {split}",
        _undecoded(part, found),
        rows,
        np.full(len(rows), -1),
        hierarchy.classes,
        hierarchy,
    )


def _undecoded(part: Any, column: str) -> Any:
    """The image column alone, as bytes."""
    from datasets import Image as ImageFeature

    return part.select_columns([column]).cast_column(column, ImageFeature(decode=False))
