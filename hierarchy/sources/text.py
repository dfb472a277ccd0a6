"""Text files with one class per line: a name, a WordNet id, or a WordNet id and names."""

from __future__ import annotations

import re
from pathlib import Path

from hierarchy.files import read_text
from hierarchy.sources.classes import Entry
from hierarchy.sources.imagenet import from_wnid, from_word


def read_lines(source: str) -> list[Entry]:
    """The classes of a .txt file; empty lines at its end do not count."""
    text = read_text(Path(source)).rstrip()
    lines = [(f"{source}:{number}", line.strip()) for number, line in enumerate(text.split("\n"), 1)] if text else []
    if lines and all(re.match(r"n\d{8}(\s|$)", line) for _, line in lines):
        return [_from_synset_line(line, place) for place, line in lines]
    return [from_word(line, place) for place, line in lines]


def _from_synset_line(line: str, place: str) -> Entry:
    """Reads `n01440764` or `n01440764 tench, Tinca tinca`, the two common ways to list ImageNet's classes."""
    wnid, _, names = line.replace("\t", " ").partition(" ")
    known = from_wnid(wnid, place)
    return Entry(place, wnid, names.split(",")[0].strip() or known.name, known.definition)
