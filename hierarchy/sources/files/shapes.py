"""What JSON, YAML and literals hold: names in one of the shapes that tools and data sets use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hierarchy.errors import SourceError
from hierarchy.io import COLUMNS, FORMAT
from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.imagenet import from_wnid, from_word

LISTS = ("labels", "classes", "class_names", "classnames", "categories")  # what a list of names is called


def read_hierarchy(content: Content) -> list[Entry] | None:
    """A hierarchy file, whose superclasses and groups are known."""
    data = _mapping(content)
    rows: Any = data.get("classes")
    if data.get("format") != FORMAT or not _all(rows, Mapping):
        return None
    return [
        Entry(content.path, id, name, "", (superclass, group))
        for id, name, superclass, group in ([str(row.get(column, "")) for column in COLUMNS] for row in rows)
    ]


def read_yolo(content: Content) -> list[Entry] | None:
    """`names` of a YOLO data.yaml: a list, or a mapping of numbers.

    Raises:
        SourceError: their number, `nc`, is another.
    """
    data = _mapping(content)
    found, stated = read_numbered(data.get("names"), content), data.get("nc", "")
    if found and _is_index(stated) and int(stated) != len(found):
        raise SourceError(f"{content.path}: `nc` is {stated}, but `names` has {len(found)}; correct one of them")
    return found


def read_id2label(content: Content) -> list[Entry] | None:
    """`id2label`, or else `label2id`, of a model's config.json."""
    data = _mapping(content)
    found = read_numbered(data.get("id2label"), content)
    inverse = read_inverted(data.get("label2id"), content)
    if found and inverse and {(e.id, e.index) for e in found} != {(e.id, e.index) for e in inverse}:
        raise SourceError(f"{content.path}: `id2label` and `label2id` disagree; remove the one that is wrong")
    return found or inverse


def read_label_names(content: Content) -> list[Entry] | None:
    """`label_names` of a config.json of timm, with `label_descriptions`."""
    data = _mapping(content)
    config = data if "label_names" in data else data.get("pretrained_cfg")
    if not isinstance(config, Mapping) or not _all(config.get("label_names"), str):
        return None
    said = config.get("label_descriptions")
    names = said if isinstance(said, Mapping) else {}
    found = []
    for number, id in enumerate(config["label_names"]):
        known = from_word(id, content.place(id))
        found.append(
            Entry(known.place, id, str(names.get(id, "")).split(", ")[0] or known.name, known.definition, index=number)
        )
    return found


def read_class_to_idx(content: Content) -> list[Entry] | None:
    """{name: index}, torchvision's class_to_idx."""
    data = _mapping(content)
    inner = data.get("class_to_idx")
    return read_inverted(inner if isinstance(inner, Mapping) else data, content)


def read_idx_to_class(content: Content) -> list[Entry] | None:
    """{index: name}, or {index: [WordNet id, name]} as Keras has it."""
    data = _mapping(content)
    if data and all(_is_index(key) for key in data) and all(_is_pair(value) for value in data.values()):
        return [
            Entry(content.place(id), id, name, from_wnid(id, "").definition, index=int(key))
            for key, (id, name) in data.items()
        ]
    return read_numbered(data, content) if isinstance(content.data, Mapping) else None


def read_list(content: Content) -> list[Entry] | None:
    """A list of names."""
    return read_numbered(content.data, content) if isinstance(content.data, list) else None


def read_named_list(content: Content) -> list[Entry] | None:
    """A list of names under a usual key, such as `classes`; FiftyOne's `default_classes` and `classes` of one field."""
    data = _mapping(content)
    nested = data.get("classes")
    one = nested if isinstance(nested, Mapping) and len(nested) == 1 else {}
    for names in (data.get("default_classes"), *(data.get(key) for key in LISTS), *one.values()):
        found = read_numbered(names, content)
        if found:
            return found
    return None


def read_grouped(content: Content) -> list[Entry] | None:
    """{superclass: [classes]}, {superclass: {group: [classes]}} or {class: superclass}."""
    data = _mapping(content)
    if not data or any(map(_is_index, data)) or all(map(_is_index, data.values())):
        return None
    if all(isinstance(value, str) for value in data.values()):
        if len(set(data.values())) > len(data) // 2:  # as many names as keys: {id: name}
            return None
        return [from_word(name, content.place(name), above=(above, "")) for name, above in data.items()]
    found = []
    for superclass, inside in data.items():
        groups = inside if isinstance(inside, Mapping) else {"": inside}
        for group, names in groups.items():
            if not _all(names, str):
                return None
            found += [from_word(name, content.place(name), above=(superclass, group)) for name in names]
    is_one = len(data) == 1 and (next(iter(data)) in LISTS or len({entry.above for entry in found}) == 1)
    return None if is_one else found  # a single list, or lists of the same in several fields, are no groups


def read_id_to_name(content: Content) -> list[Entry] | None:
    """{id: name}, where no two ids have one name, or few have."""
    data = _mapping(content)
    names = list(data.values())
    if (
        not data
        or "label_config" in data
        or any(map(_is_index, data))
        or all(map(_is_index, names))
        or not all(isinstance(n, str) for n in names)
    ):
        return None
    if len(set(names)) <= len(names) // 2:
        return None
    return [
        Entry(content.place(id), id, name.split(", ")[0], from_word(id, "").definition) for id, name in data.items()
    ]


def read_dataset_info(content: Content) -> list[Entry] | None:
    """The one ClassLabel of a Hugging Face dataset_info.json or dataset card."""
    data = _mapping(content)
    info: Any = data.get("dataset_info", data)
    info = info[0] if _all(info, Mapping) else info
    features: Any = info.get("features") if isinstance(info, Mapping) else None
    if isinstance(features, Mapping):
        labels = [value.get("names") for value in features.values() if isinstance(value, Mapping) and "names" in value]
    elif _all(features, Mapping):
        dtypes = [value.get("dtype") for value in features]
        labels = [dtype["class_label"].get("names") for dtype in dtypes if _has(dtype, "class_label")]
    else:
        return None
    return read_numbered(labels[0], content) if len(labels) == 1 else None


def _mapping(content: Content) -> Mapping[str, Any]:
    return content.data if isinstance(content.data, Mapping) else {}


def read_numbered(names: Any, content: Content) -> list[Entry] | None:
    """The classes of a list of names, or of a mapping of numbers to names; None if it is neither."""
    if isinstance(names, list) and names and all(map(_is_name, names)):
        pairs: Sequence[tuple[Any, Any]] = list(enumerate(names))
    elif isinstance(names, list) and names and all(map(_is_numbered, names)):  # [[0, "tabby"], [1, "carp"]]
        pairs = names
    elif isinstance(names, Mapping) and names and all(map(_is_index, names)) and all(map(_is_name, names.values())):
        pairs = list(names.items())
    else:
        return None
    return [from_word(str(name), content.place(str(name)), index=int(number)) for number, name in pairs]


def read_inverted(labels: Any, content: Content) -> list[Entry] | None:
    """The classes of a mapping of names to numbers; None if it is none."""
    if not isinstance(labels, Mapping) or not labels or not all(map(_is_index, labels.values())):
        return None
    if all(map(_is_index, labels)):  # {0: 1}: neither side has names
        return None
    return [from_word(str(name), content.place(str(name)), index=int(number)) for name, number in labels.items()]


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _is_index(value: Any) -> bool:
    """Whether a value is a label: 3 or, in JSON's keys and in YAML, "3"."""
    if isinstance(value, float):
        return value >= 0 and value.is_integer()
    return (isinstance(value, int) and not isinstance(value, bool) and value >= 0) or (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
    )


def _is_numbered(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_index(value[0]) and isinstance(value[1], str)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _has(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(key), Mapping)


def _all(values: Any, kind: type) -> bool:
    """Whether a value is a list of some type, and not empty."""
    return isinstance(values, list) and bool(values) and all(isinstance(value, kind) for value in values)
