"""How alike the images of two splits are: how many test images are near-duplicates of trained ones.

    python benchmarks/alike.py build/emoji-all
    python benchmarks/alike.py build/icons --same 0.98

For each test image it finds the largest correlation of pixels with a training image of its class. It also reports how
often the training image that correlates most is of the same class: the accuracy of looking images up, without learning.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE, open_data
from hierarchy.errors import HierarchyError

SAME = 0.95  # of a correlation: two such images differ in shades or by a pixel
ROWS = 512  # test images compared at a time: their correlations with 13,000 others take 27 MB


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, D) and (N, D) pixels -> (M, N) Pearson correlations; 0 with an image of one colour."""
    rows, columns = (_standardised(pixels) for pixels in (first, second))
    return rows @ columns.T  # (M, D) x (D, N) -> (M, N)


def _standardised(pixels: np.ndarray) -> np.ndarray:
    centred = pixels - pixels.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(length == 0, 1, length)


def alike(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> dict[str, Any]:
    """Of each test image the correlation with the most alike of its class, and whether a look-up finds its class.

    >>> pixels = np.array([[0.0, 0, 1], [1.0, 0, 0], [0.0, 1, 0]])
    >>> found = alike(pixels, np.array([0, 1, 2]), pixels[:2] + 1, np.array([0, 2]))
    >>> found["own"].round(2).tolist(), found["hit"].tolist()
    ([1.0, -0.5], [True, False])
    """
    own, hit = [], []
    for start in range(0, len(test), ROWS):
        labels = test_labels[start : start + ROWS]
        each = correlations(test[start : start + ROWS], train)  # (m, N)
        own.append(np.where(labels[:, None] == train_labels, each, -1).max(1))  # (m, N) -> (m,)
        hit.append(train_labels[each.argmax(1)] == labels)
    return {"own": np.concatenate(own), "hit": np.concatenate(hit)}


def read_pixels(split: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, (rows, H*W) of grey images and (rows, H*W*3) of others, and labels of a split of images of one size."""
    images = (image if image.mode == "L" else image.convert("RGB") for image in split["image"])
    return np.stack([np.asarray(image, dtype=np.float32).ravel() for image in images]), np.array(split["label"])


def by_superclass(own: np.ndarray, labels: Sequence[int], tree: hierarchy.Hierarchy) -> dict[str, list[float]]:
    """The correlations of each superclass."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for value, label in zip(own.tolist(), labels, strict=True):
        found[tree.groups[label][0]].append(value)
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, help="a dataset with a train and a test split, as emoji.py and icons.py write it"
    )
    parser.add_argument("--same", type=float, default=SAME, help="correlation above which two images are duplicates")
    options = parser.parse_args()
    try:
        data, tree = open_data(str(options.folder)), hierarchy.load(options.folder / HIERARCHY_FILE)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    (train, train_labels), (test, test_labels) = read_pixels(data["train"]), read_pixels(data["test"])
    found = alike(train, train_labels, test, test_labels)
    own, hit = found["own"], found["hit"]
    same = own > options.same
    quantiles = {f"{share}%": round(float(np.percentile(own, share)), 3) for share in (5, 50, 95, 99)}
    look_up = {"look-up": round(float(hit.mean()), 3)}
    if not same.all():
        look_up["look-up without duplicates"] = round(float(hit[~same].mean()), 3)
    print(json.dumps({"test images": len(own), **look_up, "quantiles": quantiles}))
    for superclass, values in by_superclass(own, test_labels.tolist(), tree).items():
        shares = {
            f"above {bound}": round(float(np.mean(np.array(values) > bound)), 3) for bound in (0.8, 0.9, options.same)
        }
        print(json.dumps({superclass: {"images": len(values), "median": round(float(np.median(values)), 3), **shares}}))
    names = Counter(tree.names[label] for label in test_labels[same])
    print(json.dumps({f"{int(same.sum())} above {options.same}": dict(names.most_common())}))


if __name__ == "__main__":
    main()
