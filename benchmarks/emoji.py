"""A three-level dataset that people made: Unicode's category > subcategory > emoji, as several vendors draw it.

    python benchmarks/emoji.py build/emoji-all                     # all emoji that google, twitter and facebook draw
    python benchmarks/emoji.py build/emoji-100 --classes 100       # 4 of each of 25 subcategories
    python benchmarks/emoji.py build/emoji-400 --classes 400       # of 60 subcategories

Train is two vendors, a picture of each class from either; test is the third, of whose pictures none is trained on.
Lists are fixed by the seed; `--part 1`, `2` ... are further ones of a seed that share no class with those before.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from emoji_sheets import VENDORS, VERSION, Emoji, Sheet, fetch, read_sheet
from labelled import png, write
from npm import CACHE

from hierarchy import Hierarchy
from hierarchy.errors import HierarchyError, ShapeError

MOST_GROUPS = 60  # of a list; by default a group has four classes or more
FEWEST = 2  # classes of a group of a list: of one alone, the group would say nothing


def usable(sheets: Sequence[Sheet]) -> tuple[Emoji, ...]:
    """The emoji that all vendors draw, without those that some vendor draws exactly as an earlier one.

    Such twins (the flags of Norway and of Bouvet Island; families, which Twitter draws in grey) cannot be told apart by
    their looks, so they are not two classes.
    """
    drawn = [emoji for emoji in sheets[0].emoji if {sheet.vendor for sheet in sheets} <= {*emoji.vendors}]
    seen: set[tuple[str, bytes]] = set()
    kept = []
    for emoji in drawn:
        looks = {(sheet.vendor, sheet.cut(emoji).tobytes()) for sheet in sheets}
        if not looks & seen:
            kept.append(emoji)
        seen |= looks
    return tuple(kept)


def lists(emoji: Sequence[Emoji], classes: int, *, seed: int, count: int) -> list[tuple[Emoji, ...]]:
    """Some lists of so many classes, of which no two share one; the same again for the same seed.

    Of each list first the subcategories are drawn, a quarter as many as there are classes, up to 60; then classes, one
    of each subcategory in turn, so that they differ in size only where small ones are used up.

    Raises:
        ShapeError: there are not enough emoji.
    """
    if classes < FEWEST:
        raise ShapeError(f"a list of {classes} has nothing to tell apart; ask for {FEWEST} or more")
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
                f"list {part} of {classes} classes cannot be drawn from {len(emoji)} emoji: its {len(chosen)}"
                f" subcategories have {len(turns)} left; ask for fewer classes, or an earlier list"
            )
        picked = {one.id for one in turns[:classes]}
        found.append(tuple(one for one in left if one.id in picked))
        left = [one for one in left if one.id not in picked]
    return found


def unicode_tree(emoji: Iterable[Emoji]) -> Hierarchy:
    """Unicode's own hierarchy of some emoji; labels in their order."""
    return Hierarchy.from_rows((one.id, one.name, one.category, one.subcategory) for one in emoji)


def build(
    folder: Path, sheets: Sequence[Sheet], emoji: Sequence[Emoji], *, test_vendor: str, command: str = ""
) -> Hierarchy:
    """Writes the dataset of some emoji; gives Unicode's hierarchy of them.

    Raises:
        hierarchy.errors.OutputError: the folder is there already, or cannot be made.
    """
    tree = unicode_tree(emoji)
    splits = {}
    for split in ("train", "test"):
        vendors = [sheet for sheet in sheets if (sheet.vendor == test_vendor) == (split == "test")]
        rows = [(label, one, sheet) for sheet in vendors for label, one in enumerate(emoji)]
        splits[split] = {
            "image": [png(sheet.cut(one)) for _, one, sheet in rows],
            "label": [label for label, _, _ in rows],
            "vendor": [sheet.vendor for _, _, sheet in rows],
        }
    packages = [f"emoji-datasource-{sheet.vendor}@{VERSION}" for sheet in sheets]
    provenance = {"source": f"Unicode's categories and subcategories, by {packages[0]}", "pictures": packages}
    write(folder, splits, tree=tree, provenance={**provenance, "test": test_vendor, "command": command})
    return tree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made; a saved dataset with hierarchy.json and names.csv")
    parser.add_argument("--classes", default="all", help="how many, or all")
    parser.add_argument("--seed", type=int, default=0, help="of the list")
    parser.add_argument("--part", type=int, default=0, help="which of the lists of this seed that share no class")
    parser.add_argument("--test-vendor", choices=VENDORS, default="facebook", help="is never trained on")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where packages are kept")
    options = parser.parse_args()
    from datasets import disable_progress_bars

    disable_progress_bars()
    if options.classes != "all" and not options.classes.isdigit():
        parser.error(f"--classes {options.classes!r} is no number; give one, or all")
    try:
        sheets = [read_sheet(fetch(vendor, options.cache), vendor) for vendor in VENDORS]
        emoji = usable(sheets)
        if options.classes != "all":
            parts = lists(emoji, int(options.classes), seed=options.seed, count=options.part + 1)
            emoji = parts[options.part]
        command = " ".join(["benchmarks/emoji.py", *sys.argv[1:]])
        tree = build(options.folder, sheets, emoji, test_vendor=options.test_vendor, command=command)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    superclasses, groups, classes = tree.sizes
    sizes = f"{superclasses} superclasses, {groups} groups, {classes} classes"
    print(f"{options.folder}: {sizes}; test: {options.test_vendor}")


if __name__ == "__main__":
    main()
