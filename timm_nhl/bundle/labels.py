"""labels.txt: what each output of a bundle is, one line `id<tab>name<tab>path` an output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from hierarchy.english import count
from hierarchy.errors import FormatError
from hierarchy.files import read_text
from timm_nhl.errors import BundleError, ExportError
from timm_nhl.export import list_label_names
from timm_nhl.models import NHL

LABELS = "labels.txt"


class Label(NamedTuple):
    """One output: a class's id, its name, and its path in the hierarchy, empty for a plain model."""

    id: str
    name: str
    path: str


def list_labels(model: nn.Module) -> tuple[Label, ...]:
    """The labels of a model's outputs.

    Raises:
        ExportError: the outputs of a plain model have no names, or not as many.
    """
    if isinstance(model, NHL):
        tree = model.hierarchy
        paths = [tree.nodes(3)[node] for node in tree.ancestors(3)]
        return tuple(Label(*row) for row in zip(tree.classes, tree.names, paths, strict=True))
    names, outputs = list_label_names(model), getattr(model, "num_classes", 0)
    if len(names) != outputs:
        raise ExportError(
            f"the model has {count(outputs, 'output')} and its config names {len(names)} of them; write label_names"
            " into its config.json, ids in order"
        )
    return tuple(Label(name, name, "") for name in names)


def write_labels(labels: Sequence[Label], folder: Path) -> None:
    """Writes labels.txt."""
    text = "".join("\t".join(label) + "\n" for label in labels)
    (folder / LABELS).write_text(text, encoding="utf-8", newline="")


def read_labels(folder: Path) -> tuple[Label, ...]:
    """Reads labels.txt.

    Raises:
        BundleError: it is missing or not UTF-8, or a line does not have three columns.
    """
    try:
        lines = read_text(folder / LABELS).splitlines()
    except FormatError as error:
        raise BundleError(str(error)) from None
    for number, line in enumerate(lines, 1):
        if line.count("\t") != 2:
            raise BundleError(
                f"{str(folder / LABELS)!r} line {number}: expected id, name and path with tabs between them, got"
                f" {line[:60]!r}; export the bundle again"
            )
    return tuple(Label(*line.split("\t")) for line in lines)
