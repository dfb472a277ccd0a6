"""A three-level dataset of many hands: hundreds of things as more than a hundred authors of icon sets draw them.

    python benchmarks/icons.py build/icons

Classes and their groups are listed in icon_classes.csv; each is drawn by 30 authors or more. Splits are by author,
70/10/20 of them (train, validation, test), so no author's style is both trained and tested on. Reserved authors, those
whose name's SHA-256 begins with 0 or 1, are in no split. Images are grey, 48 x 48. `python
benchmarks/similarity.py build/icons --same 0.98` counts the test images that are near copies of training images.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from icon_sets import PACKAGE, VERSION, Icon, IconSet, Unrenderable, is_reserved, read_sets, render, strip_style
from labelled import to_png, write_dataset
from npm import CACHE, fetch

from hierarchy import Hierarchy
from hierarchy.errors import HierarchyError, OutputError, ShapeError, SourceError

CLASSES = Path(__file__).with_name("icon_classes.csv")
LEAST_AUTHORS = 30  # of a class
PER_AUTHOR = 3  # drawings of a class, each from another set: some authors have twenty sets
SHARES = {"test": 0.2, "validation": 0.1}  # of the authors; the others are trained on
IMAGES = {"test": 0.22, "validation": 0.1}  # of the images, aimed at: 0.22 of them are 4,000 to test on
COPIES = {  # author -> the one whose drawings it took over: 15 to 95 % of its images correlate above 0.98 with theirs
    "Bryan Housel": "Quincy Morgan",
    "Family": "Ben Sperry",
    "Google": "Material Design Authors",
    "Keyline Icons": "Cole Bemis",
    "Lucide Contributors": "Cole Bemis",
    "Mapbox": "Quincy Morgan",
    "Pictogrammers": "Material Design Authors",
    "Scott de Jonge": "Quincy Morgan",
    "zkreations": "Cole Bemis",
}
DRAWS = 1000  # splits to choose from
ENOUGH = {"test": 6, "validation": 2}  # images of a class; a split that has more is no better
FEWEST = 2  # test images of a class


@dataclass(frozen=True)
class Thing:
    """A class: what an icon shows, under all the names that sets give it."""

    name: str
    superclass: str
    group: str
    icons: tuple[str, ...]  # names without style, the plainest first
    without: frozenset[str]  # set:name where a set means something else by the name


@dataclass(frozen=True)
class Drawing:
    """One author's icon of a class."""

    label: int
    icon: Icon
    source: IconSet


def read_things(path: Path) -> tuple[Thing, ...]:
    """Reads a list of classes: superclass, group, class, icons and without, the last two separated by spaces.

    Raises:
        SourceError: the file cannot be read, lacks a column, or gives one name to two classes.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        things = tuple(
            Thing(
                row["class"],
                row["superclass"],
                row["group"],
                tuple(row["icons"].split()),
                frozenset(row["without"].split()),
            )
            for row in rows
        )
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {str(error.strerror).lower()}") from None
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error):
        columns = "superclass, group, class, icons, without"
        raise SourceError(f"{str(path)!r} is not a list of icon classes; expected the columns {columns}") from None
    uses = Counter(name for thing in things for name in thing.icons)
    twice = sorted(name for name, count in uses.items() if count > 1)
    if twice:
        raise SourceError(f"{str(path)!r} gives the icon name {twice[0]!r} twice; an icon has one class")
    return things


def choose(sets: Iterable[IconSet], things: Sequence[Thing]) -> list[Drawing]:
    """One drawing of a class from a set, and of an author the drawings of at most PER_AUTHOR sets.

    From a set it is the plainest: the class's first name, then the shortest. What a set draws for two classes alike is
    left out.
    """
    labels = {name: (label, rank) for label, thing in enumerate(things) for rank, name in enumerate(thing.icons)}
    chosen = defaultdict(list)
    for one in sets:
        found = defaultdict(list)
        for icon in one.icons:
            name = strip_style(icon.name)
            label, rank = labels[name]
            if f"{one.prefix}:{name}" not in things[label].without:
                found[label].append((rank, len(icon.name), icon.name, icon))
        bodies = Counter(body for icons in found.values() for body in {icon.body for *_, icon in icons})
        for label, icons in found.items():
            clear = [entry for entry in icons if bodies[entry[-1].body] == 1]
            if clear:
                chosen[label, one.author].append(Drawing(label, min(clear, key=lambda entry: entry[:3])[-1], one))
    return [
        drawing
        for (label, _), drawings in sorted(chosen.items(), key=lambda item: item[0])
        for drawing in sorted(drawings, key=lambda drawing: _shuffled(label, drawing.source.prefix))[:PER_AUTHOR]
    ]


def _shuffled(label: int, prefix: str) -> str:
    """Orders sets differently for each class, so that no set of an author is left out of all."""
    return hashlib.sha256(f"{label} {prefix}".encode()).hexdigest()


def check_authors(drawings: Iterable[Drawing], things: Sequence[Thing], least: int) -> None:
    """Checks that every class is drawn by enough authors.

    Raises:
        SourceError: it names all classes that are not.
    """
    authors: list[set[str]] = [set() for _ in things]
    for drawing in drawings:
        assert not is_reserved(drawing.source.author)
        authors[drawing.label].add(drawing.source.author)
    few = [(thing, len(found)) for thing, found in zip(things, authors, strict=True) if len(found) < least]
    if few:
        names = ", ".join(f"{thing.name!r} ({count})" for thing, count in few)
        one = f"{few[0][0].name!r} is in no icon set" if not few[0][1] else f"{few[0][0].name!r} has {few[0][1]}"
        raise SourceError(
            f"expected {least} authors or more for each class, but {one}; correct the icon names of {names},"
            " or remove them from the list"
        )


def split_authors(drawings: Sequence[Drawing], classes: int, seed: int) -> dict[str, str]:
    """Author -> train, validation or test; the same again for the same seed. Authors of COPIES go with the original.

    Of DRAWS random splits it is one in which the class with the fewest test images has most, up to ENOUGH, then the
    same of validation; among such the one whose numbers of images come nearest to IMAGES.

    Raises:
        ShapeError: some class has fewer than FEWEST test images in all of them.
    """
    authors = {drawing.source.author for drawing in drawings}
    heads = sorted({COPIES.get(author, author) for author in authors})
    place = {head: row for row, head in enumerate(heads)}
    counts = np.zeros((len(heads), classes), dtype=int)  # (A, K) images
    for drawing in drawings:
        counts[place[COPIES.get(drawing.source.author, drawing.source.author)], drawing.label] += 1
    sizes = {split: round(share * len(heads)) for split, share in SHARES.items()}

    def rate(order: Sequence[int]) -> tuple[float, ...]:
        fewest, missed, start = [], 0.0, 0
        for split, size in sizes.items():
            part = counts[list(order[start : start + size])].sum(0)  # (A', K) -> (K,)
            fewest.append(min(int(part.min()), ENOUGH[split]))
            missed += abs(part.sum() / counts.sum() - IMAGES[split])
            start += size
        return (*fewest, -missed)

    orders = [random.Random(f"{seed} {draw}").sample(range(len(heads)), len(heads)) for draw in range(DRAWS)]
    best = max(orders, key=rate)
    if rate(best)[0] < FEWEST:
        raise ShapeError(
            f"no split of {len(authors)} authors has {FEWEST} test images of every class; use classes that more"
            " authors draw"
        )
    names = [split for split, size in sizes.items() for _ in range(size)]
    names += ["train"] * (len(heads) - len(names))
    split_by = {heads[row]: split for row, split in zip(best, names, strict=True)}
    return {author: split_by[COPIES.get(author, author)] for author in sorted(authors)}


def draw(drawings: Iterable[Drawing]) -> tuple[list[tuple[Drawing, bytes]], dict[str, str]]:
    """The drawings with their images as PNG files; and set:name -> reason of those that cannot be drawn."""
    drawn, skipped = [], {}
    for drawing in drawings:
        try:
            drawn.append((drawing, to_png(render(drawing.icon))))
        except Unrenderable as error:
            skipped[f"{drawing.source.prefix}:{drawing.icon.name}"] = str(error)
    return drawn, skipped


def build(
    folder: Path, sets: Sequence[IconSet], things: Sequence[Thing], *, least: int, seed: int, command: str = ""
) -> tuple[dict[str, Any], dict[str, str]]:
    """Writes the dataset; returns the columns of each split, and why icons were skipped.

    Raises:
        OutputError: the folder exists, or cannot be made.
        SourceError, ShapeError: a class has too few authors.
    """
    if folder.exists():
        raise OutputError(f"cannot write {str(folder)!r}: it exists; remove it or choose another folder")
    tree = Hierarchy.from_rows((thing.name, thing.name, thing.superclass, thing.group) for thing in things)
    chosen = choose(sets, things)
    check_authors(chosen, things, least)
    drawn, skipped = draw(chosen)
    kept = [drawing for drawing, _ in drawn]
    check_authors(kept, things, least)
    split_by = split_authors(kept, len(things), seed)
    splits = {}
    for split in ("train", "validation", "test"):
        rows = [(drawing, image) for drawing, image in drawn if split_by[drawing.source.author] == split]
        splits[split] = {
            "image": [image for _, image in rows],
            "label": [drawing.label for drawing, _ in rows],
            "author": [drawing.source.author for drawing, _ in rows],
            "set": [drawing.source.prefix for drawing, _ in rows],
        }
    provenance = {
        "source": f"groups by people; drawings of {PACKAGE}@{VERSION}",
        "licences": _licences(drawing.source for drawing in kept),
        "skipped": skipped,
        "seed": seed,
        "command": command,
    }
    write_dataset(folder, splits, tree=tree, provenance=provenance)
    return splits, skipped


def _licences(sets: Iterable[IconSet]) -> Mapping[str, list[str]]:
    found = defaultdict(set)
    for one in sets:
        found[one.licence].add(one.prefix)
    return {licence: sorted(found[licence]) for licence in sorted(found)}


def describe(splits: Mapping[str, Any], skipped: Mapping[str, str]) -> str:
    """The lines that say what a dataset holds: images and authors of each split, what was skipped."""
    lines = [
        f"{name}: {len(columns['label'])} images by {len(set(columns['author']))} authors, {min(counts)} to"
        f" {max(counts)} of a class"
        for name, columns in splits.items()
        if (counts := Counter(columns["label"]).values())
    ]
    if skipped:
        lines.append(f"skipped {len(skipped)} icons:")
        lines += [f"  {icon}: {reason}" for icon, reason in sorted(skipped.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made; a saved dataset with hierarchy.json and names.csv")
    parser.add_argument("--classes", type=Path, default=CLASSES, help="the list of classes, a CSV file")
    parser.add_argument("--least-authors", type=int, default=LEAST_AUTHORS, help="of a class")
    parser.add_argument("--seed", type=int, default=0, help="of the splits")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the package (100 MB) is kept")
    options = parser.parse_args()
    from datasets import disable_progress_bars

    disable_progress_bars()
    try:
        if options.folder.exists():  # said before anything is fetched
            raise OutputError(f"cannot write {str(options.folder)!r}: it exists; remove it or choose another folder")
        things = read_things(options.classes)
        package = fetch(PACKAGE, VERSION, options.cache)
        sets = read_sets(package, {name for thing in things for name in thing.icons})
        command = " ".join(["benchmarks/icons.py", *sys.argv[1:]])
        splits, skipped = build(
            options.folder, sets, things, least=options.least_authors, seed=options.seed, command=command
        )
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    groups = {(thing.superclass, thing.group) for thing in things}
    sizes = f"{len({superclass for superclass, _ in groups})} superclasses, {len(groups)} groups, {len(things)} classes"
    print(f"{options.folder}: {sizes}\n{describe(splits, skipped)}")


if __name__ == "__main__":
    main()
