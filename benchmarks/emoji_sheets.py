"""Emoji as vendors draw them: downloads emoji-datasource-* from npm and crops images from each vendor's sheet.

The artwork belongs to the vendors (Google: Apache-2.0, Twitter: CC BY 4.0, Facebook: no clear licence). It is
downloaded on the machine that uses it and never redistributed.
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

VERSION = "16.0.0"  # of the packages, for Unicode emoji 16.0
SIDE = 64  # pixels of an image, the largest size of sheets
CELL = SIDE + 2  # "every emoji image in the sheet has a 1 pixel transparent border around it", says the package
VENDORS = ("google", "twitter", "facebook")  # the licence of Apple's forbids use


@dataclass(frozen=True)
class Emoji:
    """An emoji of Unicode: its code points (the id), and its position on every sheet."""

    id: str
    name: str
    category: str
    subcategory: str
    column: int
    row: int
    vendors: tuple[str, ...]  # those that draw it


@dataclass(frozen=True)
class Sheet:
    """A vendor's images of all emoji, in one large transparent image."""

    vendor: str
    emoji: tuple[Emoji, ...]
    image: Image.Image

    def crop(self, emoji: Emoji) -> Image.Image:
        """The image of an emoji on white, 64x64 in RGB."""
        left, top = emoji.column * CELL + 1, emoji.row * CELL + 1
        drawn = self.image.crop((left, top, left + SIDE, top + SIDE))
        white = Image.new("RGBA", drawn.size, "white")
        white.alpha_composite(drawn)
        return white.convert("RGB")


def fetch(vendor: str, cache: Path) -> Path:
    """Downloads the package of a vendor (60 to 100 MB) with npm unless it is in the cache; returns its path.

    Raises:
        SourceError: npm is not installed or cannot download it.
    """
    return npm.fetch(f"emoji-datasource-{vendor}", VERSION, cache)


def read_sheet(package: Path, vendor: str) -> Sheet:
    """Reads a vendor's package in the form that npm packs.

    Raises:
        SourceError: the package is damaged or does not have the layout of this version.
    """
    # the clean sheet: other sheets fill gaps with Apple's images
    files = {"package/emoji.json": b"", f"package/img/{vendor}/sheets-clean/{SIDE}.png": b""}
    try:
        with tarfile.open(package, "r:gz") as tar:
            for member in tar:
                if member.name in files and (file := tar.extractfile(member)) is not None:
                    files[member.name] = file.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise SourceError(f"cannot read {str(package)!r}: {reason}; delete it to download it again") from None
    missing = [name for name, content in files.items() if not content]
    if missing:
        raise SourceError(f"{str(package)!r} lacks {' and '.join(missing)}; expected emoji-datasource {VERSION}")
    table, drawn = files.values()
    with tempfile.SpooledTemporaryFile() as file:
        file.write(drawn)
        image = Image.open(file).convert("RGBA")
    sheet = Sheet(vendor, parse(json.loads(table)), image)
    cells = image.width // CELL, image.height // CELL
    outside = [emoji.id for emoji in sheet.emoji if emoji.column >= cells[0] or emoji.row >= cells[1]]
    if outside:
        raise SourceError(
            f"the sheet of {str(package)!r} has {cells[0]}x{cells[1]} images, but {len(outside)} emoji lie outside it,"
            f" such as {outside[0]}; delete the file to download it again"
        )
    return sheet


def parse(table: Sequence[Any]) -> tuple[Emoji, ...]:
    """The emoji of a package's `emoji.json`, in Unicode's order, without skin tone variants.

    If two have the same name (because Unicode renamed one), both get their short names.

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
