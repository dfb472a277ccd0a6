"""What a training step of the study's networks costs: processor time of one thread, in turns.

OMP_NUM_THREADS=1 python benchmarks/experts_step.py --rounds 20
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from experts_plan import PLAIN, RECIPE, SHAPES, TREES
from experts_run import make_tree

import timm_nhl  # noqa: F401  registers the nested models
from timm_nhl.train.build import parse_kwargs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    classes = len(make_tree("people", options.data, 0))
    batch, side = RECIPE["batch_size"], RECIPE["img_size"]
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (batch,))
    models, optimizers = {}, {}
    for network in (*SHAPES, *TREES[-2:]):
        tree = {"hierarchy": make_tree(network.tree, options.data, 0)} if network.tree else {"num_classes": classes}
        model = timm.create_model(network.model, **tree, **parse_kwargs("--options", [network.options]))
        models[network.name] = model.to(memory_format=torch.channels_last).train()
        optimizers[network.name] = torch.optim.AdamW(model.parameters())
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for number in range(options.rounds + 1):
        for name, model in models.items():
            began = time.process_time()
            optimizers[name].zero_grad()
            F.cross_entropy(model(x), labels).backward()
            optimizers[name].step()
            if number:  # the first round allocates
                seconds[name].append(time.process_time() - began)
    print(f"| batches of {batch}, {side} px | least ms | over plain | median over plain |")
    print("|---|---|---|---|")
    for name, each in seconds.items():
        least = min(each) / min(seconds[PLAIN])
        median = statistics.median(each) / statistics.median(seconds[PLAIN])
        print(f"| {name} | {1000 * min(each):.0f} | {least:.2f} | {median:.2f} |")


if __name__ == "__main__":
    main()
