"""How similar the test images of a dataset are to its training images, and how many are near copies.

    python benchmarks/similarity.py build/emoji-all
    python benchmarks/similarity.py build/icons --same 0.98

Prints, for the test images, the largest correlation of pixels with a training image of the same class, and the accuracy
of a nearest neighbour classifier, which learns nothing.
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

SAME = 0.95  # correlation of images that differ in shade or by a pixel only
ROWS = 512  # test images per block: their correlations with 13,000 training images take 27 MB


def correlate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M, D) and (N, D) pixels -> (M, N) Pearson correlations; 0 for an image of one colour."""
    rows, columns = (_standardize(pixels) for pixels in (first, second))
    return rows @ columns.T  # (M, D) x (D, N) -> (M, N)


def _standardize(pixels: np.ndarray) -> np.ndarray:
    centred = pixels - pixels.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(length == 0, 1, length)


def compare(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> dict[str, Any]:
    """The largest correlation of each test image with its class, and whether its nearest neighbour has its class.

    >>> pixels = np.array([[0.0, 0, 1], [1.0, 0, 0], [0.0, 1, 0]])
    >>> found = compare(pixels, np.array([0, 1, 2]), pixels[:2] + 1, np.array([0, 2]))
    >>> found["own"].round(2).tolist(), found["correct"].tolist()
    ([1.0, -0.5], [True, False])
    """
    own, correct = [], []
    for start in range(0, len(test), ROWS):
        labels = test_labels[start : start + ROWS]
        each = correlate(test[start : start + ROWS], train)  # (m, N)
        own.append(np.where(labels[:, None] == train_labels, each, -1).max(1))  # (m, N) -> (m,)
        correct.append(train_labels[each.argmax(1)] == labels)
    return {"own": np.concatenate(own), "correct": np.concatenate(correct)}


def read_pixels(split: Any) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, (rows, H*W) if grey and (rows, H*W*3) otherwise, and labels of a split whose images have one size."""
    images = (image if image.mode == "L" else image.convert("RGB") for image in split["image"])
    return np.stack([np.asarray(image, dtype=np.float32).ravel() for image in images]), np.array(split["label"])


def group_by_superclass(own: np.ndarray, labels: Sequence[int], tree: hierarchy.Hierarchy) -> dict[str, list[float]]:
    """Groups correlations by superclass."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for value, label in zip(own.tolist(), labels, strict=True):
        found[tree.groups[label][0]].append(value)
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that emoji.py or icons.py wrote")
    parser.add_argument("--same", type=float, default=SAME, help="correlation above which two images are near copies")
    options = parser.parse_args()
    try:
        data, tree = open_data(str(options.folder)), hierarchy.load(options.folder / HIERARCHY_FILE)
    except HierarchyError as error:
        sys.exit(f"error: {error}")
    (train, train_labels), (test, test_labels) = read_pixels(data["train"]), read_pixels(data["test"])
    found = compare(train, train_labels, test, test_labels)
    own, correct = found["own"], found["correct"]
    same = own > options.same
    quantiles = {f"{share}%": round(float(np.percentile(own, share)), 3) for share in (5, 50, 95, 99)}
    neighbour = {"nearest neighbour": round(float(correct.mean()), 3)}
    if not same.all():
        neighbour["nearest neighbour without near copies"] = round(float(correct[~same].mean()), 3)
    print(json.dumps({"test images": len(own), **neighbour, "quantiles": quantiles}))
    bounds = (0.8, 0.9, options.same)
    for superclass, values in group_by_superclass(own, test_labels.tolist(), tree).items():
        shares = {f"above {bound}": round(float(np.mean(np.array(values) > bound)), 3) for bound in bounds}
        print(json.dumps({superclass: {"images": len(values), "median": round(float(np.median(values)), 3), **shares}}))
    names = Counter(tree.names[label] for label in test_labels[same])
    print(json.dumps({f"{int(same.sum())} above {options.same}": dict(names.most_common())}))


if __name__ == "__main__":
    main()
