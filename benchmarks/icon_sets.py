"""Icon sets by their authors: read out of the npm package @iconify/json, drawn as small grey images.

The artwork belongs to its authors, under the licence of each set. It is downloaded on the machine that uses it and
never redistributed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hierarchy.errors import HierarchyError, SourceError

PACKAGE = "@iconify/json"
VERSION = "2.2.535"
SIDE = 48  # pixels of an image
LOGOS = "Logos"  # a category of sets
BRANDS = {  # sets of logos, of logos for kinds of files and of countries' flags in other categories
    *(
        "brandico",
        "catppuccin",
        "circle-flags",
        "cif",
        "devicon",
        "devicon-plain",
        "entypo-social",
        "file-icons",
        "flag",
    ),
    *("flagpack", "gcp", "k8s", "material-icon-theme", "nonicons", "skill-icons", "unjs", "vscode-icons"),
}
FAINTEST = 32  # of 255 grey levels between the darkest and the lightest pixel
ENDINGS = {
    *(
        "outline",
        "outlined",
        "outlines",
        "filled",
        "fill",
        "solid",
        "line",
        "linear",
        "bold",
        "light",
        "thin",
        "regular",
    ),
    *("duotone", "twotone", "sharp", "round", "rounded", "two", "tone", "alt", "fine", "thick", "o"),
    *("sm", "lg", "xs", "md", "mini", "small", "large", "big"),
    *("12", "15", "16", "20", "24", "28", "32", "48", "64"),
}
BEGINNINGS = {"outline", "baseline", "round", "sharp", "twotone", "filled", "fill", "solid", "bold"}


class Unrenderable(HierarchyError):
    """An icon is not a valid SVG, or nothing of it can be seen."""


@dataclass(frozen=True)
class Icon:
    """One drawing of a set."""

    name: str
    body: str  # what is inside <svg>
    box: tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class IconSet:
    """The icons of a set that were asked for."""

    prefix: str
    author: str
    licence: str
    icons: tuple[Icon, ...]


def is_reserved(author: str) -> bool:
    """Whether the author is kept for a final test: such icons are neither trained, chosen nor tested on here.

    >>> is_reserved("ByteDance"), is_reserved("IBM")
    (True, False)
    """
    return hashlib.sha256(author.encode()).hexdigest()[0] in "01"


def strip_style(name: str) -> str:
    """The name of the thing that an icon shows, without words for its style and size.

    >>> strip_style("heart-outline-24"), strip_style("round-heart"), strip_style("bold")
    ('heart', 'heart', 'bold')
    """
    words = name.split("-")
    while len(words) > 1 and words[-1] in ENDINGS:
        words.pop()
    while len(words) > 1 and words[0] in BEGINNINGS:
        words.pop(0)
    return "-".join(words)


def read_sets(package: Path, things: Collection[str]) -> list[IconSet]:
    """Reads the icons of some things from the package, sets by prefix; reserved authors' sets are not opened.

    Args:
        package: as npm packs it.
        things: names without style, see `strip_style`.

    Raises:
        SourceError: the package is broken, or is not laid out as this version is.
    """
    try:
        table = next((json.loads(text) for _, text in _files(package, {"collections"})), None)
        if table is None:
            raise SourceError(f"{str(package)!r} has no collections.json; use {PACKAGE} {VERSION}")
        used = {
            prefix: entry
            for prefix, entry in table.items()
            if not is_reserved(entry["author"]["name"]) and entry.get("category") != LOGOS and prefix not in BRANDS
        }
        sets = [_read_set(used[prefix], json.loads(text), things) for prefix, text in _files(package, used)]
    except (OSError, EOFError, tarfile.TarError, json.JSONDecodeError) as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise SourceError(f"cannot read {str(package)!r}: {reason}; delete it to download it again") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{str(package)!r} is not laid out as {PACKAGE} {VERSION} is: {error!r}") from None
    missing = sorted(used.keys() - {one.prefix for one in sets})
    if missing:
        raise SourceError(f"{str(package)!r} has no json/{missing[0]}.json; use {PACKAGE} {VERSION}")
    return sorted(sets, key=lambda one: one.prefix)


def _files(package: Path, stems: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The stems and contents of some JSON files of the package; stops when it has all."""
    left = set(stems)
    with tarfile.open(package, "r:gz") as tar:
        for member in tar:
            path = Path(member.name)
            folder = "package" if path.stem == "collections" else "json"
            if path.stem in left and path.suffix == ".json" and path.parent.name == folder:
                file = tar.extractfile(member)
                if file is not None:
                    left.discard(path.stem)
                    yield path.stem, file.read()
            if not left:
                return


def _read_set(entry: Mapping[str, Any], data: Mapping[str, Any], things: Collection[str]) -> IconSet:
    found = []
    # mirrored and turned aliases are left out: a few dozen in all sets
    same = {name: alias["parent"] for name, alias in data.get("aliases", {}).items() if set(alias) == {"parent"}}
    for name in [*data["icons"], *same]:
        if strip_style(name) in things:
            drawn = data["icons"].get(_original(name, same))
            if drawn is not None and "<animate" not in drawn["body"]:  # its first moment shows a part of it
                found.append(read_icon(name, drawn, data))
    licence = entry["license"]
    return IconSet(data["prefix"], entry["author"]["name"], licence.get("spdx") or licence["title"], tuple(found))


def read_icon(name: str, drawn: Mapping[str, Any], data: Mapping[str, Any]) -> Icon:
    """An icon of Iconify's JSON; what its own entry does not say is said for the whole set."""
    defaults = (("left", 0), ("top", 0), ("width", 16), ("height", 16))  # Iconify's
    left, top, width, height = (float(drawn.get(key, data.get(key, default))) for key, default in defaults)
    return Icon(name, drawn["body"], (left, top, width, height))


def _original(name: str, same: Mapping[str, str]) -> str:
    for _ in range(len(same)):
        if name not in same:
            break
        name = same[name]
    return name


def draw(icon: Icon, side: int) -> Image.Image:
    """Draws an icon on white, in its own colours and otherwise in black: side x side pixels, RGB.

    Raises:
        Unrenderable: its SVG is broken.
        SourceError: resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise SourceError("cannot draw icons: resvg-py is not installed; run `pip install resvg-py`") from None
    box = " ".join(f"{value:g}" for value in icon.box)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {spaces} width="{side}" height="{side}" viewBox="{box}" color="#000">{icon.body}</svg>'
    try:
        drawn = resvg_py.svg_to_bytes(svg_string=svg, background="#ffffff", skip_system_fonts=True)
    except ValueError as error:
        raise Unrenderable(f"its SVG is broken: {str(error).splitlines()[0]}") from None
    return Image.open(io.BytesIO(drawn)).convert("RGB")


def render(icon: Icon) -> Image.Image:
    """Draws an icon in black on white, its colours as shades of grey: SIDE x SIDE pixels, one channel.

    Raises:
        Unrenderable: its SVG is broken, or the image is blank.
        SourceError: resvg-py is not installed.
    """
    image = draw(icon, SIDE).convert("L")
    darkest, lightest = image.getextrema()
    if lightest - darkest < FAINTEST:
        raise Unrenderable("it is blank")
    return image
