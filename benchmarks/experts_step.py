"""What a training step of the study's networks costs: processor time of one thread, in turns.

OMP_NUM_THREADS=1 python benchmarks/experts_step.py --rounds 20
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from accuracy_run import make_tree
from experts_plan import PLAIN, RECIPE, SHAPES, TREES
from speed import time_in_turns
from torch import Tensor, nn

import timm_nhl  # noqa: F401  registers the nested models
from timm_nhl.train.build import parse_kwargs


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, labels: Tensor) -> None:
    """One step of training."""
    optimizer.zero_grad()
    F.cross_entropy(model(x), labels).backward()
    optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    classes = len(make_tree("people", options.data))
    batch, side = RECIPE["batch_size"], RECIPE["img_size"]
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (batch,))
    steps = {}
    for network in (*SHAPES, *TREES[-2:]):
        tree = {"hierarchy": make_tree(network.tree, options.data)} if network.tree else {"num_classes": classes}
        model = timm.create_model(network.model, **tree, **parse_kwargs("--options", [network.options]))
        model = model.to(memory_format=torch.channels_last).train()
        steps[network.name] = partial(step, model, torch.optim.AdamW(model.parameters()), x, labels)
    seconds = time_in_turns(steps, rounds=options.rounds, clock=time.process_time)
    print(f"| batches of {batch}, {side} px | least ms | over plain | median over plain |")
    print("|---|---|---|---|")
    for name, each in seconds.items():
        least = min(each) / min(seconds[PLAIN])
        median = statistics.median(each) / statistics.median(seconds[PLAIN])
        print(f"| {name} | {1000 * min(each):.0f} | {least:.2f} | {median:.2f} |")


if __name__ == "__main__":
    main()
