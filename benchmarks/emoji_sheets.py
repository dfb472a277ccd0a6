"""Emoji as vendors draw them: fetched from npm (emoji-datasource-*), cut out of each vendor's sheet of pictures.

The artwork is the vendors' (Google's under Apache-2.0, Twitter's under CC BY 4.0, Facebook's without a clear licence):
it is fetched where it is used, and never passed on.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import npm
from PIL import Image

from hierarchy.errors import SourceError

VERSION = "16.0.0"  # of the packages: Unicode's emoji 16.0
SIDE = 64  # pixels of a picture, the largest that sheets have
CELL = SIDE + 2  # "every emoji image in the sheet has a 1 pixel transparent border around it", says the package
VENDORS = ("google", "twitter", "facebook")  # Apple's may not be used


@dataclass(frozen=True)
class Emoji:
    """One emoji of Unicode: its code points as id, and where its picture lies on every sheet."""

    id: str
    name: str
    category: str
    subcategory: str
    column: int
    row: int
    vendors: tuple[str, ...]  # who draw it


@dataclass(frozen=True)
class Sheet:
    """A vendor's pictures of all emoji, on one transparent picture."""

    vendor: str
    emoji: tuple[Emoji, ...]
    picture: Image.Image

    def cut(self, emoji: Emoji) -> Image.Image:
        """The picture of an emoji over white, 64x64 in RGB."""
        left, top = emoji.column * CELL + 1, emoji.row * CELL + 1
        drawn = self.picture.crop((left, top, left + SIDE, top + SIDE))
        white = Image.new("RGBA", drawn.size, "white")
        white.alpha_composite(drawn)
        return white.convert("RGB")


def fetch(vendor: str, cache: Path) -> Path:
    """The package of a vendor, by npm unless the cache has it already (60 to 100 MB each).

    Raises:
        SourceError: npm is not installed, or cannot fetch it.
    """
    return npm.fetch(f"emoji-datasource-{vendor}", VERSION, cache)


def read_sheet(package: Path, vendor: str) -> Sheet:
    """Reads a vendor's package, as npm packs it.

    Raises:
        SourceError: it is broken, or is not laid out as this version is.
    """
    # the clean sheet: on the others, pictures of Apple stand in for missing ones
    files = {"package/emoji.json": b"", f"package/img/{vendor}/sheets-clean/{SIDE}.png": b""}
    try:
        with tarfile.open(package, "r:gz") as tar:
            for member in tar:
                if member.name in files and (file := tar.extractfile(member)) is not None:
                    files[member.name] = file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise SourceError(f"cannot read {str(package)!r}: {reason}; delete it, and it is fetched again") from None
    missing = [name for name, content in files.items() if not content]
    if missing:
        raise SourceError(f"{str(package)!r} has no {' and no '.join(missing)}; is it emoji-datasource {VERSION}?")
    table, drawn = files.values()
    with tempfile.SpooledTemporaryFile() as file:
        file.write(drawn)
        picture = Image.open(file).convert("RGBA")
    sheet = Sheet(vendor, parse(json.loads(table)), picture)
    cells = picture.width // CELL, picture.height // CELL
    outside = [emoji.id for emoji in sheet.emoji if emoji.column >= cells[0] or emoji.row >= cells[1]]
    if outside:
        raise SourceError(
            f"the sheet of {str(package)!r} has {cells[0]}x{cells[1]} pictures, and {len(outside)} emoji lie outside,"
            f" {outside[0]} first; delete the file, and it is fetched again"
        )
    return sheet


def parse(table: Sequence[Any]) -> tuple[Emoji, ...]:
    """The emoji of a package's `emoji.json`, in Unicode's order, without variations of skin tone.

    Where two have the same name (Unicode renamed one), theirs is the short name.

    >>> tuxedo = {"name": "MAN IN TUXEDO", "category": "People", "subcategory": "role", "sheet_x": 0, "sheet_y": 1}
    >>> man = tuxedo | {"unified": "2", "short_name": "man_in_tuxedo", "sort_order": 2, "has_img_google": True}
    >>> person = tuxedo | {"unified": "1", "short_name": "person_in_tuxedo", "sort_order": 1}
    >>> [(emoji.id, emoji.name, emoji.vendors) for emoji in parse([man, person])]
    [('1', 'person in tuxedo', ()), ('2', 'man in tuxedo', ('google',))]
    """
    uses = Counter(entry["name"] for entry in table)
    return tuple(
        Emoji(
            id=entry["unified"],
            name=(entry["name"] if uses[entry["name"]] == 1 else entry["short_name"].replace("_", " ")).lower(),
            category=entry["category"],
            subcategory=entry["subcategory"],
            column=entry["sheet_x"],
            row=entry["sheet_y"],
            vendors=tuple(vendor for vendor in VENDORS if entry.get(f"has_img_{vendor}")),
        )
        for entry in sorted(table, key=lambda entry: entry["sort_order"])
    )
