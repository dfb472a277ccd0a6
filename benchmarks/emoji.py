"""A dataset with a three-level hierarchy made by people: Unicode's category > subcategory > emoji, in three styles.

    python benchmarks/emoji.py build/emoji-all                     # all emoji that Google, Twitter and Facebook draw
    python benchmarks/emoji.py build/emoji-100 --classes 100       # 4 from each of 25 subcategories
    python benchmarks/emoji.py build/emoji-400 --classes 400       # from 60 subcategories

Two vendors give the training split, one image of each class from either; the third vendor is held out for the test
split. The seed determines the list of classes; `--part 1`, `2` ... give further lists of the same seed that share no
class with the ones before.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from emoji_sheets import VENDORS, VERSION, Emoji, Sheet, fetch, read_sheet
from labelled import to_png, write_dataset
from npm import CACHE

from hierarchy import Hierarchy
from hierarchy.errors import HierarchyError, ShapeError

MOST_GROUPS = 60  # in a list, so that groups of long lists have more than four classes
FEWEST = 2  # classes in a list: one alone cannot be classified


def select_usable(sheets: Sequence[Sheet]) -> tuple[Emoji, ...]:
    """The emoji that all vendors draw, without those that some vendor draws exactly like an earlier one.

    Such twins (the flags of Norway and Bouvet Island; families, which Twitter draws in grey) look the same, so they
    cannot be two classes.
    """
    drawn = [emoji for emoji in sheets[0].emoji if {sheet.vendor for sheet in sheets} <= {*emoji.vendors}]
    seen: set[tuple[str, bytes]] = set()
    kept = []
    for emoji in drawn:
        looks = {(sheet.vendor, sheet.crop(emoji).tobytes()) for sheet in sheets}
        if not looks & seen:
            kept.append(emoji)
        seen |= looks
    return tuple(kept)


def draw_lists(emoji: Sequence[Emoji], classes: int, *, seed: int, count: int) -> list[tuple[Emoji, ...]]:
    """Draws `count` lists of `classes` emoji that share no emoji; a seed always gives the same lists.

    For each list, subcategories are drawn first, a quarter of the number of classes and at most 60. Then each
    subcategory gives one class in turn, so that groups differ in size only if small ones are used up.

    Raises:
        ShapeError: there are too few emoji.
    """
    if classes < FEWEST:
        raise ShapeError(f"a list needs at least {FEWEST} classes, got {classes}")
    left = list(emoji)
    found = []
    for part in range(count):
        draw = random.Random(f"{seed} {part}")
        groups: defaultdict[tuple[str, str], list[Emoji]] = defaultdict(list)
        for one in left:
            groups[one.category, one.subcategory].append(one)
        wanted = max(1, min(classes // 4, MOST_GROUPS))
        each = min(classes // wanted, 4)
        large = [group for group, members in sorted(groups.items()) if len(members) >= each]
        chosen = draw.sample(large, min(wanted, len(large)))
        members = [draw.sample(groups[group], len(groups[group])) for group in chosen]
        turns = [
            one
            for turn in range(max(map(len, members), default=0))
            for group in members
            for one in group[turn : turn + 1]
        ]
        if len(turns) < classes:
            raise ShapeError(
                f"cannot draw list {part} of {classes} classes from {len(emoji)} emoji: its {len(chosen)} subcategories"
                f" have {len(turns)} left; ask for fewer classes or an earlier list"
            )
        picked = {one.id for one in turns[:classes]}
        found.append(tuple(one for one in left if one.id in picked))
        left = [one for one in left if one.id not in picked]
    return found


def make_unicode_tree(emoji: Iterable[Emoji]) -> Hierarchy:
    """Unicode's hierarchy of some emoji, with labels in their order."""
    return Hierarchy.from_rows((one.id, one.name, one.category, one.subcategory) for one in emoji)


def write_emoji(
    folder: Path, sheets: Sequence[Sheet], emoji: Sequence[Emoji], *, test_vendor: str, command: str = ""
) -> Hierarchy:
    """Writes the dataset of some emoji; returns Unicode's hierarchy of them.

    Raises:
        hierarchy.errors.OutputError: the folder exists or cannot be created.
    """
    tree = make_unicode_tree(emoji)
    splits = {}
    for split in ("train", "test"):
        vendors = [sheet for sheet in sheets if (sheet.vendor == test_vendor) == (split == "test")]
        rows = [(label, one, sheet) for sheet in vendors for label, one in enumerate(emoji)]
        splits[split] = {
            "image": [to_png(sheet.crop(one)) for _, one, sheet in rows],
            "label": [label for label, _, _ in rows],
            "vendor": [sheet.vendor for _, _, sheet in rows],
        }
    packages = [f"emoji-datasource-{sheet.vendor}@{VERSION}" for sheet in sheets]
    provenance = {"source": f"Unicode's categories and subcategories, by {packages[0]}", "images": packages}
    write_dataset(folder, splits, tree=tree, provenance={**provenance, "test": test_vendor, "command": command})
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder for the dataset, hierarchy.json and names.csv")
    parser.add_argument("--classes", default="all", help="number of classes, or 'all'")
    parser.add_argument("--seed", type=int, default=0, help="seed of the list")
    parser.add_argument("--part", type=int, default=0, help="number of the list among the lists of this seed, from 0")
    parser.add_argument("--test-vendor", choices=VENDORS, default="facebook", help="vendor held out of training")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the downloaded packages")
    options = parser.parse_args()
    from datasets import disable_progress_bars

    disable_progress_bars()
    if options.classes != "all" and not options.classes.isdigit():
        parser.error(f"invalid --classes {options.classes!r}; use a whole number or 'all'")
    try:
        sheets = [read_sheet(fetch(vendor, options.cache), vendor) for vendor in VENDORS]
        emoji = select_usable(sheets)
        if options.classes != "all":
            parts = draw_lists(emoji, int(options.classes), seed=options.seed, count=options.part + 1)
            emoji = parts[options.part]
        command = " ".join(["benchmarks/emoji.py", *sys.argv[1:]])
        tree = write_emoji(options.folder, sheets, emoji, test_vendor=options.test_vendor, command=command)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    superclasses, groups, classes = tree.sizes
    sizes = f"{superclasses} superclasses, {groups} groups, {classes} classes"
    print(f"{options.folder}: {sizes}; test: {options.test_vendor}")


if __name__ == "__main__":
    main()
