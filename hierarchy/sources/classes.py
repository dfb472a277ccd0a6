"""Where classes come from: ImageNet's lists, text and CSV files, image folders, Hugging Face data sets."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError, in_one_sentence, nearest, os_reason
from hierarchy.files import read_text
from hierarchy.io import folder
from hierarchy.tree import name_fault

FEWEST = 3  # classes; with fewer, three levels have nothing to group
LONGEST = 200  # characters of an id or a name; the longest of ImageNet-21k's has 46
SPLITS = ("train", "training", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class ClassList:
    """K classes in label order: unique ids, display names, definitions ("" where there is none), and their source."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    definitions: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        """The number of classes, K."""
        return len(self.ids)


@dataclass(frozen=True)
class _Entry:
    """A class as a source states it, with the place it was read from ("names.txt:3")."""

    place: str
    id: str
    name: str
    definition: str = ""


def read_classes(source: str, *, fewest: int = FEWEST) -> ClassList:
    """Reads the classes of a source.

    Args:
        source: one of
            - `imagenet-1k`, `imagenet-12k`, `imagenet-21k` (timm's lists), `imagenet-100-cmc`, `cifar-100`;
            - a .txt file: a name, a WNID, or a WNID and a name a line;
            - a .csv or .tsv file whose header names some of the columns id, name, definition;
            - a folder with one folder of images per class (below `train`, or below all, where there are splits);
            - a folder written by `datasets.Dataset.save_to_disk`, or the name of a Hugging Face data set
              (`owner/name`, or `datasets:name`); `:column` behind it chooses among several label columns.
        fewest: how many there must be, by default as many as a hierarchy needs.

    Raises:
        SourceError: the source is unknown, has too few classes, or holds bad or repeated ones; the message names the
            file, the lines and all problems.
        FormatError: a file that is missing or not UTF-8.

    >>> read_classes("imagenet-1k").names[4]
    'hammerhead'
    """
    return _parse(_entries(source), source, fewest)


def known_sources() -> tuple[str, ...]:
    """Names of the class lists that need no file."""
    return tuple(_NAMED)


def _entries(source: str) -> list[_Entry]:
    if source in _NAMED:
        return _NAMED[source]()
    if source.startswith("datasets:"):
        return _from_hub(source.removeprefix("datasets:"))
    path, ending = Path(source), Path(source).suffix.lower()
    try:
        path.exists()
    except OSError as error:  # a text longer than any name of a file
        reason = os_reason(error)
        raise SourceError(
            f"no class source {source[:40] + '...'!r}: {reason}; put the names into a .txt file"
        ) from None
    if ending == ".txt":
        return _from_text(path)
    if ending in (".csv", ".tsv"):
        return _from_table(path, "," if ending == ".csv" else "\t")
    place, _, column = source.rpartition(":") if not path.exists() and ":" in source else (source, "", "")
    if place and Path(place).is_dir():
        saved = [name for name in ("dataset_dict.json", "state.json") if (Path(place) / name).is_file()]
        return _from_saved(Path(place), column) if saved else _from_folder(Path(place))
    if re.fullmatch(r"[\w.-]+/[\w.-]+", place) and not place.startswith("."):
        return _from_hub(source)
    raise SourceError(
        f"no class source {source!r}{nearest(source, _NAMED)}; give one of {', '.join(_NAMED)},"
        " a .txt, .csv or .tsv file, an image folder, or a Hugging Face data set (owner/name or datasets:name)"
    )


def _parse(entries: list[_Entry], source: str, fewest: int) -> ClassList:
    """Turns entries into classes; the border behind which ids are unique and names are clean."""
    problems = tuple(_problems(entries))
    if problems:
        raise SourceError(in_one_sentence("", problems))  # each begins with its place
    if len(entries) < fewest:
        found = {0: "no classes", 1: "one class"}.get(len(entries), f"{len(entries)} classes")
        asked = "a hierarchy needs" if fewest == FEWEST else "give"
        raise SourceError(f"{source} holds {found}; {asked} {fewest} or more")
    return ClassList(
        ids=tuple(entry.id for entry in entries),
        names=tuple(entry.name for entry in entries),
        definitions=tuple(entry.definition for entry in entries),
        source=source,
    )


def _problems(entries: Iterable[_Entry]) -> Iterator[str]:
    first: dict[str, str] = {}
    for entry in entries:
        if len(entry.id) > LONGEST or len(entry.name) > LONGEST:
            longest = max(len(entry.id), len(entry.name))
            yield f"{entry.place}: a name of {longest:,} characters; shorten it to {LONGEST} or fewer"
            continue
        for kind, value in {"id": entry.id, "name": entry.name}.items():
            fault = name_fault(value)
            if fault and not (kind == "name" and value == entry.id):
                yield f"{entry.place}: {kind} {value!r} {fault}"
        if entry.id in first:
            yield (
                f"{entry.place}: id {entry.id!r} stands already at {first[entry.id]}; ids must be unique"
                " (a .csv with a column id beside name tells twins apart)"
            )
        first.setdefault(entry.id, entry.place)


def _from_imagenet(subset: str) -> list[_Entry]:
    return [_of_wnid(wnid, f"{subset}:{line}") for line, wnid in enumerate(_imagenet(subset).label_names(), 1)]


def _imagenet(subset: str) -> Any:
    from timm.data import ImageNetInfo

    return ImageNetInfo(subset)


def _of_wnid(wnid: str, place: str) -> _Entry:
    lemmas, definition = _imagenet_words().get(wnid, ("", ""))
    name = lemmas.split(", ")[0].replace("/", "-")  # ImageNet-21k has one name with a slash, "read/write head"
    return _Entry(place, wnid, name or wnid, definition)


@lru_cache(maxsize=1)
def _imagenet_words() -> dict[str, tuple[str, str]]:
    """WNID -> ("tench, Tinca tinca", "freshwater dace-like game fish ..."), for all of ImageNet, from timm."""
    words: dict[str, tuple[str, str]] = {}
    for subset in ("imagenet-21k", "imagenet-1k"):  # one class of 1k, the teddy, is not in 21k
        lemmas = _imagenet(subset).label_descriptions(as_dict=True)
        detailed = _imagenet(subset).label_descriptions(detailed=True, as_dict=True)
        words |= {wnid: (lemmas[wnid], detailed[wnid].removeprefix(f"{lemmas[wnid]}: ")) for wnid in lemmas}
    return words


def _from_text(path: Path) -> list[_Entry]:
    lines = read_text(path).rstrip().split("\n")
    numbered = [(f"{path}:{number}", line.strip()) for number, line in enumerate(lines, 1)] if lines != [""] else []
    if numbered and all(re.match(r"n\d{8}(\s|$)", line) for _, line in numbered):
        return [_of_synset_line(line, place) for place, line in numbered]
    return [_named(line, place) for place, line in numbered]


def _of_synset_line(line: str, place: str) -> _Entry:
    """Reads `n01440764` or `n01440764 tench, Tinca tinca`, the two common ways to list ImageNet's classes."""
    wnid, _, names = line.replace("\t", " ").partition(" ")
    known = _of_wnid(wnid, place)
    return _Entry(place, wnid, names.split(",")[0].strip() or known.name, known.definition)


def _named(id: str, place: str) -> _Entry:
    """A class of which only one word is known: a WNID, or a name ("aquarium_fish" is displayed "aquarium fish")."""
    return _of_wnid(id, place) if re.fullmatch(r"n\d{8}", id) else _Entry(place, id, id.replace("_", " ").strip() or id)


def _from_table(path: Path, delimiter: str) -> list[_Entry]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        columns = reader.fieldnames or []
        if not columns:
            raise SourceError(f"{path}:1: no header; give one with a column id or name, and a line a class")
        if not {"id", "name"} & set(columns):
            raise SourceError(f"{path}:1: the header is {delimiter.join(columns)!r}; it needs a column id or name")
        return [_of_row(row, f"{path}:{reader.line_num}") for row in reader]
    except csv.Error as error:
        raise SourceError(
            f"{path}:{reader.line_num + 1}: not {path.suffix[1:].upper()} ({error}); check the quotes"
        ) from None


def _of_row(row: dict[Any, Any], place: str) -> _Entry:
    if None in row or None in row.values():
        raise SourceError(f"{place}: not as many fields as the header has; quote a field that holds the separator")
    id: str = row["id"] if "id" in row else row["name"]
    return _Entry(place, id, row.get("name") or _named(id, place).name, row.get("definition", ""))


def _from_folder(path: Path) -> list[_Entry]:
    """One class per folder, in the order of `sorted`, as torchvision and datasets number them.

    Folders that each hold folders are splits, of any name, and so are those of `SPLITS` where they are alone; classes
    are those of the first of `SPLITS`, or else of all.
    """
    folders = _folders(path)
    if folders and (set(folders) <= set(SPLITS) or all(_folders(path / name) for name in folders)):
        splits = next(([split] for split in SPLITS if split in folders), folders)
        found = {entry.id: entry for split in reversed(splits) for entry in _from_folder(path / split)}
        return [found[name] for name in sorted(found)]
    return [_named(name, str(path / name)) for name in folders]


def _folders(path: Path) -> list[str]:
    """The folders in one; none where it cannot be read."""
    _, folders, _ = next(os.walk(path), ("", [], []))
    return sorted(name for name in folders if not name.startswith("."))


def _from_saved(path: Path, column: str) -> list[_Entry]:
    from datasets import DatasetDict, load_from_disk

    try:
        data = load_from_disk(str(path))
    except Exception as error:  # files that are missing or broken raise many kinds
        raise SourceError(f"cannot read the data set in {str(path)!r}: {_first_line(error)}; save it again") from error
    features = next(iter(data.values())).features if isinstance(data, DatasetDict) else data.features
    return _from_features(features, column, str(path))


def _from_hub(source: str) -> list[_Entry]:
    from datasets import load_dataset_builder

    name, _, column = source.partition(":")
    try:
        features = load_dataset_builder(name).info.features
    except Exception as error:  # the library raises many kinds: no network, no such data set, no permission
        raise SourceError(
            f"no folder {name!r}, and no data set of that name could be read: {_first_line(error)}; check the name"
        ) from error
    return _from_features(features or {}, column, name)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


def _from_features(features: Any, column: str, place: str) -> list[_Entry]:
    from datasets import ClassLabel

    labels = {name: feature for name, feature in features.items() if isinstance(feature, ClassLabel)}
    if column and column not in labels:
        raise SourceError(f"{place} has no label column {column!r}; it has {', '.join(labels) or 'none'}")
    if len(labels) != 1 and not column:
        found = f"several label columns ({', '.join(labels)})" if labels else f"no label column among {list(features)}"
        raise SourceError(f"{place} has {found}; name one, as {place}:{next(iter(labels), 'label')}")
    chosen = column or next(iter(labels))
    return [_named(name, f"{place}:{chosen}[{i}]") for i, name in enumerate(labels[chosen].names)]


_NAMED: dict[str, Callable[[], list[_Entry]]] = {
    "imagenet-1k": lambda: _from_imagenet("imagenet-1k"),
    "imagenet-12k": lambda: _from_imagenet("imagenet-12k"),
    "imagenet-21k": lambda: _from_imagenet("imagenet-21k"),
    "imagenet-100-cmc": lambda: _from_text(folder("data") / "imagenet100_cmc.txt"),
    "cifar-100": lambda: _from_text(folder("data") / "cifar100.txt"),
}
