"""Whether what experts gain holds for other authors, and without test images that nearly equal a training image.

    python benchmarks/experts_robust.py

Differences in top-1 of the trainings that `experts.py run` made, on the test images of icons: with intervals over
images, as everywhere; over authors, each of whom is drawn with all images or not at all; and without near copies.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accuracy_statistics import estimate
from experts_plan import LONGER, PLAIN, SHAPES, list_networks
from experts_report import read_rows
from similarity import compare, read_pixels

from hierarchy.dataset import open_data

FOLDER, DATA = Path("build") / "experts", Path("build") / "icons"
SAME = 0.98  # correlation above which a test image is a near copy of a training image of its class
KINDS = ("all", "5 random", "5 related")


def main() -> None:
    data = open_data(str(DATA))
    splits = {name: read_pixels(data[name]) for name in ("train", "validation", "test")}
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        near = compare(*splits[first], *splits[second])["own"] > SAME
        print(f"{second} images that nearly equal a {first} image of their class: {near.sum()} of {len(near)}")
    copies = compare(*splits["train"], *splits["test"])["own"] > SAME
    _, authors = np.unique(data["test"]["author"], return_inverse=True)
    rows = {row.network.name: row for row in read_rows(list_networks(), FOLDER, DATA)}
    edge, tiny, longer = SHAPES[1].name, SHAPES[2].name, LONGER[0].name
    print("\n| points | | over images | over authors | without near copies |\n|---|---|---|---|---|")
    for one, other in ((edge, PLAIN), (tiny, PLAIN), (longer, edge)):
        for kind in KINDS:
            gap = rows[one].mark(kind, "test") - rows[other].mark(kind, "test")  # (M, seeds)
            cells = (
                estimate({"": gap}),
                estimate({"": gap}, units={"": authors}),
                estimate({"": np.where(copies[:, None], np.nan, gap)}),
            )
            print(
                f"| {one} minus {other} | {kind} | {' | '.join(cell.format_signed() for cell in cells)} |", flush=True
            )


if __name__ == "__main__":
    main()
