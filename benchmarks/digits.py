"""A dataset that needs no download: scikit-learn's 1,797 handwritten digits of 8x8 pixels, in the layout of emoji.py.

    python benchmarks/digits.py build/digits

Ids and names are the number words. `hierarchy.json` is our own and groups digits by the look of their strokes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from labelled import to_png, write_dataset
from PIL import Image

from hierarchy import Hierarchy
from hierarchy.errors import HierarchyError

SIDE = 32  # pixels; a small ResNet halves them five times
BRIGHTEST = 16  # the largest value of scikit-learn's pixels
TREE = Hierarchy.from_rows(
    (word, word, superclass, group)
    for word, superclass, group in (
        ("zero", "with a loop", "rings"),
        ("one", "straight", "strokes"),
        ("two", "curved", "open to the left"),
        ("three", "curved", "open to the left"),
        ("four", "straight", "crossings"),
        ("five", "curved", "open to both sides"),
        ("six", "with a loop", "loops with a tail"),
        ("seven", "straight", "strokes"),
        ("eight", "with a loop", "rings"),
        ("nine", "with a loop", "loops with a tail"),
    )
)


def to_image(digit: np.ndarray) -> Image.Image:
    """(8, 8) values of 0 to 16 -> an RGB image of 32x32 pixels, bright on black."""
    grey = Image.fromarray((digit * (255 / BRIGHTEST)).round().astype(np.uint8))
    return grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="new folder for the dataset, hierarchy.json and names.csv")
    parser.add_argument("--test-share", type=float, default=0.25, help="share of each class for the test split")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    options = parser.parse_args()
    from datasets import disable_progress_bars
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    disable_progress_bars()
    digits = load_digits()
    images = [to_png(to_image(digit)) for digit in digits.images]
    try:
        train, test = train_test_split(
            range(len(images)), test_size=options.test_share, stratify=digits.target, random_state=options.seed
        )
        splits = {
            name: {"image": [images[row] for row in rows], "label": [int(digits.target[row]) for row in rows]}
            for name, rows in (("train", sorted(train)), ("test", sorted(test)))
        }
        provenance = {"source": "by the look of the strokes", "images": "sklearn.datasets.load_digits"}
        write_dataset(options.folder, splits, tree=TREE, provenance=provenance)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    print(f"{options.folder}: {len(train)} training images, {len(test)} test images")


if __name__ == "__main__":
    main()
