"""Text with one class per line: bare names, WordNet ids, or names next to their numbers."""

from __future__ import annotations

import re

from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.imagenet import from_wnid, from_word

NUMBER_FIRST = re.compile(r"(\d{1,6})(?:\s*[:,]\s*|\s+)(\S.*)")  # Coral: "0  person"; UCF101: "1 ApplyEyeMakeup"
NUMBER_LAST = re.compile(r"(\S.*?)\s*[\s,:]\s*(\d{1,6})")  # Places365: "/a/airfield 0"


def read_names(content: Content) -> list[Entry]:
    """A name per line, or a WordNet id; names in one line, separated by commas."""
    lines = content.lines
    if len(lines) == 1 and lines[0][1].count(",") >= 2:
        place, line = lines[0]
        return [from_word(name.strip(), place) for name in line.strip(" ,").split(",")]
    return [from_word(line, place) for place, line in lines]


def read_synsets(content: Content) -> list[Entry] | None:
    """`n01440764` or `n01440764 tench, Tinca tinca`, the two common ways to list ImageNet's classes."""
    if not content.lines or not all(re.match(r"n\d{8}(\s|$)", line) for _, line in content.lines):
        return None
    found = []
    for place, line in content.lines:
        wnid, _, names = line.replace("\t", " ").partition(" ")
        known = from_wnid(wnid, place)
        found.append(Entry(place, wnid, names.split(",")[0].strip() or known.name, known.definition))
    return found


def read_number_first(content: Content) -> list[Entry] | None:
    """A number and a name per line. Numbers start at 0 or 1 and have few gaps, else they belong to the names."""
    found = [(place, NUMBER_FIRST.fullmatch(line)) for place, line in content.lines]
    pairs = [(int(words[1]), words[2], place) for place, words in found if words]
    numbers = {number for number, _, _ in pairs}
    if len(pairs) < len(found) or not pairs or min(numbers) > 1 or max(numbers) > 2 * len(pairs) + 20:
        return None
    if len({name for _, name, _ in pairs}) < len(pairs) and len(numbers) < len(pairs):
        return None  # "1 cent", "2 cent", "1 euro": amounts
    return [from_word(name, place, index=number) for number, name, place in pairs]


def read_number_last(content: Content) -> list[Entry] | None:
    """A name and a number per line; the numbers are exactly those from 0 or from 1 on."""
    found = [(place, NUMBER_LAST.fullmatch(line)) for place, line in content.lines]
    pairs = [(int(words[2]), words[1], place) for place, words in found if words]
    numbers = sorted(number for number, _, _ in pairs)
    if (
        len(pairs) < len(found)
        or not pairs
        or numbers != list(range(numbers[0], numbers[0] + len(pairs)))
        or numbers[0] > 1
    ):
        return None
    return [from_word(name, place, index=number) for number, name, place in pairs]
