"""How often `answer` names a class, a group, a superclass or nothing, and how often that is true.

    OMP_NUM_THREADS=1 python benchmarks/answers.py build/routed/nested_48_24_12__people_seed*

With all groups running, these are sums of the softmax over nodes; with few, what the router gives to a group is
divided among its classes. Test images, all models together.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import torch
from timm.data import resolve_data_config

import timm_nhl
from timm_nhl.data import eval_loader, open_images

THRESHOLDS = (0.5, 0.7, 0.9)
WAYS = {"all groups": {}, "groups of probability .9": {"mass": 0.9}}
LEVELS = ("nothing", "a superclass", "a group", "a class")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="saved networks with a router")
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    options = parser.parse_args()
    torch.set_num_threads(1)
    said: Counter[tuple[str, float, int]] = Counter()  # by way, threshold and level
    true: Counter[tuple[str, float, int]] = Counter()
    for source in options.models:
        model: Any = timm_nhl.load(source).eval()
        tree = model.hierarchy
        paths = [tree.nodes(3)[leaf] for leaf in tree.ancestors(3)]  # in label order
        images = open_images(str(options.data), hierarchy=tree, split="test")
        for x, labels in eval_loader(images, resolve_data_config({}, model=model), batch_size=64):
            with torch.inference_mode():
                for way, threshold in product(WAYS, THRESHOLDS):
                    answers = model.answer(x, threshold, **WAYS[way])
                    for answer, label in zip(answers, labels.tolist(), strict=True):
                        level = answer.count("/") + 1 if answer else 0
                        said[way, threshold, level] += 1
                        true[way, threshold, level] += f"{paths[label]}/".startswith(f"{answer}/")
    print(
        f"| what runs | threshold | {' | '.join(f'{level}, %' for level in LEVELS[::-1])} |\n|---|---|---|---|---|---|"
    )
    for way, threshold in product(WAYS, THRESHOLDS):
        total = sum(said[way, threshold, level] for level in range(4))
        cells = []
        for level in (3, 2, 1):
            found = said[way, threshold, level]
            cells.append(f"{100 * found / total:.1f} ({100 * true[way, threshold, level] / max(1, found):.1f} true)")
        print(f"| {way} | {threshold} | {' | '.join(cells)} | {100 * said[way, threshold, 0] / total:.1f} |")


if __name__ == "__main__":
    main()
