"""Emoji as seven hands of five vendors draw them, with Unicode's three-level hierarchy; vendors are kept apart.

    python benchmarks/emoji_vendors.py build/emoji-vendors                  # all emoji that enough vendors draw
    python benchmarks/emoji_vendors.py build/emoji-500 --classes 500

Google (two styles), Twitter and Emoji One (two styles) are trained on, OpenMoji validates, and Facebook and Microsoft
test. Sheets of 64 pixels come from the npm packages emoji-datasource-*, drawings from @iconify-json/*. Authors whose
name's SHA-256 begins with 0 or 1 are reserved and left out (Mozilla, Streamline).
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import emoji_sheets
from emoji import draw_lists, make_unicode_tree
from emoji_sheets import SIDE, Emoji, read_sheet
from icon_sets import Icon, Unrenderable, draw, is_reserved, read_icon
from labelled import to_png, write_dataset
from npm import CACHE, fetch

from hierarchy import Hierarchy
from hierarchy.errors import HierarchyError, SourceError

SHEETS = {"google": "train", "twitter": "train", "facebook": "test"}
PACKAGES = {  # of @iconify-json -> version, split
    "noto-v1": ("1.2.5", "train"),
    "emojione": ("1.2.3", "train"),
    "emojione-v1": ("1.2.3", "train"),
    "openmoji": ("1.2.29", "validation"),
    "fluent-emoji-flat": ("1.2.6", "test"),
}
LEAST_TO_TRAIN = 3  # images of a class
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Hand:
    """One style of one vendor: PNG files by code points."""

    name: str
    split: str
    images: Mapping[str, bytes]


def strip_code(code: str) -> str:
    """Code points without the variation selector, which packages set or leave out.

    >>> strip_code("2049-FE0F")
    '2049'
    """
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def read_package(path: Path) -> tuple[str, dict[str, str], dict[str, Icon]]:
    """Reads a package of @iconify-json.

    Returns:
        its author, the names of icons by code points (few packages have them) and the icons by name.

    Raises:
        SourceError: the package is damaged, laid out differently, or by a reserved author.
    """
    files: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                name = Path(member.name).name
                if name in ("info.json", "icons.json", "chars.json") and (file := tar.extractfile(member)) is not None:
                    files[name] = json.loads(file.read())
        author = files["info.json"]["author"]["name"]
        data = files["icons.json"]
        icons = {name: read_icon(name, drawn, data) for name, drawn in data["icons"].items()}
        for name, alias in data.get("aliases", {}).items():
            if set(alias) == {"parent"} and alias["parent"] in icons:
                icons[name] = icons[alias["parent"]]
        names = {strip_code(code): name for code, name in files.get("chars.json", {}).items()}
    except (OSError, EOFError, tarfile.TarError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"cannot read {str(path)!r}: {error!r}; delete it to download it again") from None
    if is_reserved(author):
        raise SourceError(f"{str(path)!r} is by {author!r}, a reserved author; leave it out")
    return author, names, icons


def read_hands(cache: Path, emoji: Sequence[Emoji]) -> list[Hand]:
    """All hands, those of sheets first; packages without code points are matched by the names of the others.

    Raises:
        SourceError: npm cannot download a package, or a package cannot be read.
    """
    hands = []
    for vendor, split in SHEETS.items():
        sheet = read_sheet(emoji_sheets.fetch(vendor, cache), vendor)
        drawn = {one.id: to_png(sheet.crop(one)) for one in sheet.emoji if vendor in one.vendors}
        hands.append(Hand(vendor, split, drawn))
    packages = {
        name: (split, *read_package(fetch(f"@iconify-json/{name}", version, cache))[1:])
        for name, (version, split) in PACKAGES.items()
    }
    common: dict[str, str] = {}
    for _, names, _ in packages.values():
        common = {**names, **common}
    for name, (split, names, icons) in packages.items():
        images = {}
        for one in emoji:
            icon = icons.get((names or common).get(strip_code(one.id), ""))
            if icon is not None:
                try:
                    images[one.id] = to_png(draw(icon, SIDE))
                except Unrenderable as error:
                    print(f"left out {name}:{icon.name}: {error}", file=sys.stderr)
        hands.append(Hand(name, split, images))
    return hands


def select_usable(emoji: Sequence[Emoji], hands: Sequence[Hand]) -> list[Emoji]:
    """The emoji that every hand that validates or tests draws, and enough that train, each unlike all others.

    Of emoji that one hand draws alike (the flags of Norway and Bouvet Island), the first is kept.
    """
    kept, seen = [], set()
    for one in emoji:
        drawn = Counter(hand.split for hand in hands if one.id in hand.images)
        looks = {(hand.name, hand.images[one.id]) for hand in hands if one.id in hand.images}
        held_out = all(one.id in hand.images for hand in hands if hand.split != "train")
        if held_out and drawn["train"] >= LEAST_TO_TRAIN and not looks & seen:
            kept.append(one)
        seen |= looks
    return kept


def write_vendors(folder: Path, hands: Sequence[Hand], emoji: Sequence[Emoji], *, command: str = "") -> Hierarchy:
    """Writes the dataset; returns Unicode's hierarchy of the emoji.

    Raises:
        hierarchy.errors.OutputError: the folder exists or cannot be created.
    """
    tree = make_unicode_tree(emoji)
    splits: dict[str, dict[str, list[Any]]] = {split: defaultdict(list) for split in SPLITS}
    for hand in hands:
        for label, one in enumerate(emoji):
            if one.id in hand.images:
                columns = splits[hand.split]
                columns["image"].append(hand.images[one.id])
                columns["label"].append(label)
                columns["vendor"].append(hand.name)
    packages = [f"emoji-datasource-{vendor}@{emoji_sheets.VERSION}" for vendor in SHEETS]
    packages += [f"@iconify-json/{name}@{version}" for name, (version, _) in PACKAGES.items()]
    provenance = {"source": f"Unicode's categories and subcategories, by {packages[0]}", "images": packages}
    write_dataset(folder, splits, tree=tree, provenance={**provenance, "command": command})
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder for the dataset, hierarchy.json and names.csv")
    parser.add_argument("--classes", default="all", help="number of classes, or 'all'")
    parser.add_argument("--seed", type=int, default=0, help="seed of the list")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the downloaded packages")
    options = parser.parse_args()
    from datasets import disable_progress_bars

    disable_progress_bars()
    if options.classes != "all" and not options.classes.isdigit():
        parser.error(f"invalid --classes {options.classes!r}; use a whole number or 'all'")
    try:
        first = next(iter(SHEETS))
        emoji = read_sheet(emoji_sheets.fetch(first, options.cache), first).emoji
        hands = read_hands(options.cache, emoji)
        usable = select_usable(emoji, hands)
        if options.classes != "all":
            usable = list(draw_lists(usable, int(options.classes), seed=options.seed, count=1)[0])
        command = " ".join(["benchmarks/emoji_vendors.py", *sys.argv[1:]])
        tree = write_vendors(options.folder, hands, usable, command=command)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    superclasses, groups, classes = tree.sizes
    chosen = {one.id for one in usable}
    images = {split: sum(len(chosen & hand.images.keys()) for hand in hands if hand.split == split) for split in SPLITS}
    counts = ", ".join(f"{split} {count}" for split, count in images.items())
    print(f"{options.folder}: {superclasses} superclasses, {groups} groups, {classes} classes; images: {counts}")


if __name__ == "__main__":
    main()
