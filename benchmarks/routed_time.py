"""How long a routed network of all classes takes for one image in PyTorch, beside the whole and the plain network.

    timm-nhl router build/experts/nested_48_24_12__people_seed0/run/last build/icons --out build/routed/edge
    OMP_NUM_THREADS=1 python benchmarks/routed_time.py build/routed/edge

Test images one by one, one thread, channels last; the ways take turns, and the fastest round of each is compared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from experts_plan import BACKBONE
from speed import time_in_turns
from timm.data import resolve_data_config
from torch import Tensor

import timm_nhl
from timm_nhl.data import eval_loader, open_images

IMAGES = 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a saved network with a router")
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    routed: Any = timm_nhl.load(options.model).eval()
    tree = routed.hierarchy
    plain = timm.create_model(BACKBONE, num_classes=len(tree)).eval()
    for model in (routed, plain):
        model.to(memory_format=torch.channels_last)
    images = open_images(str(options.data), hierarchy=tree, split="test")
    some = images.select(range(0, len(images), len(images) // IMAGES), name=images.name)
    batches = [x for x, _ in eval_loader(some, resolve_data_config({}, model=routed), batch_size=1)]
    ways: dict[str, Callable[[Tensor], Any]] = {
        "plain": plain,
        "everything": routed,
        "trunk and router": lambda x: routed.router(routed.trunk(x)),
        "the likeliest group": partial(routed.route, keep=1),
        "the 2 likeliest": partial(routed.route, keep=2),
        "groups of probability .8": partial(routed.route, mass=0.8),
        "groups of probability .9, the default": routed.route,
    }

    def run(way: Callable[[Tensor], Any]) -> None:
        with torch.inference_mode():
            for x in batches:
                way(x)

    seconds = time_in_turns({name: partial(run, way) for name, way in ways.items()}, rounds=options.rounds)
    print("| what runs | ms | time over plain |\n|---|---|---|")
    for name, each in seconds.items():
        print(f"| {name} | {1000 * min(each) / len(batches):.2f} | {min(each) / min(seconds['plain']):.2f} |")


if __name__ == "__main__":
    main()
