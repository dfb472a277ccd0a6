"""Hugging Face datasets: the classes of a ClassLabel column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError, first_line
from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_word


def read_saved(source: str) -> list[Entry]:
    """The classes of a folder written by `save_to_disk`, as FOLDER or FOLDER:COLUMN."""
    from datasets import DatasetDict, load_from_disk

    path, column = split_column(source)
    try:
        data = load_from_disk(path)
    except Exception as error:  # files that are missing or broken raise many kinds
        raise SourceError(f"cannot read the dataset in {path!r}: {first_line(error)}; save it again") from error
    features = next(iter(data.values())).features if isinstance(data, DatasetDict) else data.features
    return _from_features(features, column, path)


def read_hub(source: str) -> list[Entry]:
    """The classes of a dataset on the Hub, as OWNER/NAME, OWNER/NAME:COLUMN or datasets:NAME."""
    from datasets import load_dataset_builder

    name, column = split_column(source.removeprefix("datasets:"))
    try:
        features = load_dataset_builder(name).info.features
    except Exception as error:  # the library raises many kinds: no network, no such dataset, no permission
        raise SourceError(
            f"no folder {name!r}, and no dataset of that name could be read: {first_line(error)}; check the name"
        ) from error
    return _from_features(features or {}, column, name)


def is_saved(source: str) -> bool:
    """Whether a source is a folder written by `save_to_disk`."""
    path = Path(split_column(source)[0])
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def is_hub_name(source: str) -> bool:
    """Whether a source is written like a dataset on the Hub: OWNER/NAME or datasets:NAME."""
    return bool(re.fullmatch(r"datasets:.*|(?!\.)[\w.-]+/[\w.-]+", source))


def split_column(source: str) -> tuple[str, str]:
    """A source and the column behind its last colon; a path that exists has none."""
    if Path(source).exists() or ":" not in source:
        return source, ""
    place, _, column = source.rpartition(":")
    return place, column


def _from_features(features: Any, column: str, place: str) -> list[Entry]:
    from datasets import ClassLabel

    labels = {name: feature for name, feature in features.items() if isinstance(feature, ClassLabel)}
    if column and column not in labels:
        raise SourceError(f"{place} has no label column {column!r}; it has {', '.join(labels) or 'none'}")
    if len(labels) != 1 and not column:
        found = f"several label columns ({', '.join(labels)})" if labels else f"no label column among {list(features)}"
        raise SourceError(f"{place} has {found}; name one, as in {place}:{next(iter(labels), 'label')}")
    chosen = column or next(iter(labels))
    return [from_word(name, f"{place}:{chosen}[{i}]") for i, name in enumerate(labels[chosen].names)]
