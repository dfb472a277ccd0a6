"""Class names inside a larger JSON or YAML file, such as the settings of a program, under a key that says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hierarchy.errors import SourceError
from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.files.objects import read_rows
from hierarchy.sources.files.shapes import read_inverted, read_numbered
from hierarchy.sources.imagenet import from_word

_KEYS = """
annotationclasses categories classes classlist classmap classnames classtoidx detectionclasses id2label idxtoclass
label2id labellist labelmap labelnames labels names options results stuffclasses thingclasses tools
"""
KEYS = frozenset(_KEYS.split())  # in lower case without underscores
DEEPEST = 8
MOST = 20  # items of a list that are searched; a longer one holds images or annotations


def read_nested(content: Content) -> list[Entry] | None:
    """The only class names under a telling key: of ROS, VIA, Datumaro, Labelbox, Detectron2, dataset_infos.json.

    Raises:
        SourceError: several places have different names.
    """
    found = list(_search(content.data, (), content))
    if len({tuple(entry.id for entry in entries) for _, entries in found}) > 1:
        places = " and ".join(f"{'.'.join(path)!r} ({len(entries)})" for path, entries in found[:3])
        raise SourceError(f"{content.path} has class names in {places}; take those that you mean out of it")
    return found[0][1] if found else None


def _search(data: Any, path: tuple[str, ...], content: Content) -> Iterator[tuple[tuple[str, ...], list[Entry]]]:
    if len(path) > DEEPEST:
        return
    if isinstance(data, list) and len(data) <= MOST:
        data = {f"[{place}]": value for place, value in enumerate(data)}
    if not isinstance(data, Mapping):
        return
    for key, value in data.items():
        here = (*path, str(key))
        names = [_plain(key), *(_plain(above) for above in path[-1:] if isinstance(value, list))]
        entries = _read(next((name for name in names if name in KEYS), ""), value, content)
        if entries:
            yield here, entries
        else:
            yield from _search(value, here, content)


def _plain(key: Any) -> str:
    return str(key).lower().replace("_", "")


def _read(key: str, value: Any, content: Content) -> list[Entry] | None:
    if key not in KEYS:
        return None
    if key == "options" and isinstance(value, Mapping) and all(isinstance(name, str) for name in value.values()):
        known = [from_word(id, content.place(id)) for id in map(str, value)]  # VIA: {"tabby": "Tabby cat"}
        return [
            Entry(entry.place, entry.id, name or entry.name, entry.definition)
            for entry, name in zip(known, value.values(), strict=True)
        ]
    return read_numbered(value, content) or read_inverted(value, content) or read_rows(value, content)
