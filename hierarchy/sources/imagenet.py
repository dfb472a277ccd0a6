"""ImageNet's class lists and WordNet ids, from the files that timm carries; timm itself is not imported."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError
from hierarchy.sources.classes import Entry, from_name

FILES = {
    "imagenet-1k": "imagenet_synsets.txt",
    "imagenet-12k": "imagenet12k_synsets.txt",
    "imagenet-21k": "imagenet21k_goog_synsets.txt",
}


def read_imagenet(subset: str) -> list[Entry]:
    """The classes of `imagenet-1k`, `imagenet-12k` or `imagenet-21k`, in label order."""
    wnids = _read(FILES[subset]).split()
    return [from_wnid(wnid, f"{subset}:{line}") for line, wnid in enumerate(wnids, 1)]


def from_wnid(wnid: str, place: str, **further: Any) -> Entry:
    """A class of which only the WordNet id is known; its name and definition are ImageNet's."""
    lemmas, definition = _words().get(wnid, ("", ""))
    name = lemmas.split(", ")[0].replace("/", "-")  # ImageNet-21k has one name with a slash, "read/write head"
    return Entry(place, wnid, name or wnid, definition, **further)


def from_word(word: str, place: str, **further: Any) -> Entry:
    """A class of which one word is known: a WordNet id, or a name."""
    if re.fullmatch(r"n\d{8}", word):
        return from_wnid(word, place, **further)
    return from_name(word, place, **further)


@lru_cache(maxsize=1)
def _words() -> dict[str, tuple[str, str]]:
    """WordNet id -> ("tench, Tinca tinca", "freshwater dace-like game fish ...") for all of ImageNet."""
    lemmas, definitions = (
        dict(line.split("\t", 1) for line in _read(f"imagenet_synset_to_{what}.txt").splitlines())
        for what in ("lemma", "definition")
    )
    return {wnid: (words, definitions.get(wnid, "")) for wnid, words in lemmas.items()}


def _read(name: str) -> str:
    """One of timm's files; importing `timm.data` would take seconds, for torch."""
    spec = find_spec("timm")
    folder = Path(next(iter(spec.submodule_search_locations or ()), "")) if spec else Path()
    try:
        return (folder / "data" / "_info" / name).read_text(encoding="utf-8")
    except OSError:
        raise SourceError("cannot read ImageNet's lists, which come with timm; run `pip install timm`") from None
