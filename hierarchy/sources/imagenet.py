"""ImageNet's class lists and WordNet ids, from the lists that timm carries."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from hierarchy.sources.classes import Entry


def read_imagenet(subset: str) -> list[Entry]:
    """The classes of `imagenet-1k`, `imagenet-12k` or `imagenet-21k`, in label order."""
    return [from_wnid(wnid, f"{subset}:{line}") for line, wnid in enumerate(_info(subset).label_names(), 1)]


def from_wnid(wnid: str, place: str) -> Entry:
    """A class of which only the WordNet id is known; its name and definition are ImageNet's."""
    lemmas, definition = _words().get(wnid, ("", ""))
    name = lemmas.split(", ")[0].replace("/", "-")  # ImageNet-21k has one name with a slash, "read/write head"
    return Entry(place, wnid, name or wnid, definition)


def from_word(word: str, place: str) -> Entry:
    """A class of which one word is known: a WordNet id, or a name ("aquarium_fish" is displayed "aquarium fish")."""
    if re.fullmatch(r"n\d{8}", word):
        return from_wnid(word, place)
    return Entry(place, word, word.replace("_", " ").strip() or word)


def _info(subset: str) -> Any:
    from timm.data import ImageNetInfo

    return ImageNetInfo(subset)


@lru_cache(maxsize=1)
def _words() -> dict[str, tuple[str, str]]:
    """WordNet id -> ("tench, Tinca tinca", "freshwater dace-like game fish ...") for all of ImageNet."""
    words: dict[str, tuple[str, str]] = {}
    for subset in ("imagenet-21k", "imagenet-1k"):  # one class of 1k, the teddy, is not in 21k
        lemmas = _info(subset).label_descriptions(as_dict=True)
        detailed = _info(subset).label_descriptions(detailed=True, as_dict=True)
        words |= {wnid: (lemmas[wnid], detailed[wnid].removeprefix(f"{lemmas[wnid]}: ")) for wnid in lemmas}
    return words
