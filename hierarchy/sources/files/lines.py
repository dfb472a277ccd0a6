"""Text with one class per line: bare names, WordNet ids, or names next to their numbers."""

from __future__ import annotations

import re
from pathlib import Path

from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.imagenet import from_wnid, from_word

# Coral: "0  person"; UCF101: "1 ApplyEyeMakeup"; "0 - person"; "0=person"
NUMBER_FIRST = re.compile(r"(\d{1,6})(?:\s*[:,=]\s*|[.)]\s+|\s+-\s+|\s+)(\S[^\t]*)")
NUMBER_LAST = re.compile(r"(\S.*?)\s*[\s,:]\s*(\d{1,6})")  # Places365: "/a/airfield 0"

AROUND = (re.compile(r"(.+?)\s*[,;]"), re.compile(r"[-*•]\s+(.+)"), re.compile(r"\"(.+)\""), re.compile(r"'(.+)'"))


def read_names(content: Content) -> list[Entry]:
    """A name per line, or a WordNet id; names in one line, separated by commas or semicolons.

    What all lines have around their names, bullets, quotes or a comma, does not belong to them; nor does a comment
    above them.
    """
    lines = content.lines
    separator = next((mark for mark in ",;" if len(lines) == 1 and lines[0][1].count(mark) >= 2), "")
    if separator:
        place, line = lines[0]
        lines = [(place, name.strip()) for name in line.strip(f" {separator}").split(separator)]
    if len(lines) > 1 and re.match(r"#\s", lines[0][1]) and not re.match(r"#\s", lines[1][1]):
        lines = lines[1:]
    for around in AROUND:
        found = [around.fullmatch(line) for _, line in lines]
        if len(found) > 1 and all(found[:-1]):  # the last of a list has no comma
            lines = [(place, match[1] if match else line) for (place, line), match in zip(lines, found, strict=True)]
    return [from_word(line, place) for place, line in lines]


def read_darknet(content: Content) -> list[Entry] | None:
    """The .names file that Darknet's `obj.data` names, next to it or where its path says."""
    settings = dict(pair for _, line in content.lines if len(pair := re.split(r"\s*=\s*", line, maxsplit=1)) == 2)
    if "names" not in settings or not {"classes", "train", "valid", "backup"} & set(settings):
        return None
    named, folder = Path(settings["names"]), Path(content.path).parent
    found = next((path for path in (folder / named, folder / named.name) if path.is_file()), folder / named)
    return read_names(Content(str(found)))


def read_colours(content: Content) -> list[Entry] | None:
    """`tabby:128,0,0:parts:actions`, the labelmap.txt of CVAT's segmentation masks, with a comment above."""
    lines = [(place, line) for place, line in content.lines if not line.startswith("#")]
    found = [(place, re.fullmatch(r"([^:]+):\d+,\d+,\d+:[^:]*:[^:]*", line)) for place, line in lines]
    return (
        [from_word(match[1], place) for place, match in found if match] if found and all(m for _, m in found) else None
    )


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
