"""Where the time of a training step goes, and what shortens it: nested against plain, on the CPU.

    OMP_NUM_THREADS=1 python benchmarks/step.py --classes 200 --classes 1000

A step is forward, loss, backward and AdamW on a batch of random images, mobilenetv4_conv_small with preset `edge`.
Parts and variants take turns (A B A B ...), and the fastest rounds are compared, by the processor time of one thread.
"Due" is the time of the plain backbone's step in the same variant, times the ratio of multiply-accumulates.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import timm
import torch
from speed import time_in_turns
from torch import Tensor, nn

from hierarchy import Hierarchy
from timm_nhl.costs import cost

BACKBONE = "mobilenetv4_conv_small"


@dataclass(frozen=True)
class Variant:
    """How a step is computed."""

    name: str
    channels_last: bool = False
    bfloat16: bool = False
    optimizer: str = "foreach"
    compiled: bool = False


VARIANTS = (
    Variant("default"),
    Variant("one parameter at a time", optimizer="loop"),
    Variant("fused optimizer", optimizer="fused"),
    Variant("channels last", channels_last=True),
    Variant("bfloat16", bfloat16=True),
    Variant("bfloat16, channels last", channels_last=True, bfloat16=True),
    Variant("bfloat16, channels last, fused optimizer", channels_last=True, bfloat16=True, optimizer="fused"),
)
COMPILED = Variant("compiled", compiled=True)


def make_step(model: nn.Module, variant: Variant, x: Tensor, target: Tensor) -> Callable[[], None]:
    """A function that runs one step."""
    memory = torch.channels_last if variant.channels_last else torch.contiguous_format
    model = model.train().to(memory_format=memory)
    x = x.contiguous(memory_format=memory)
    options = {"foreach": {"foreach": True}, "loop": {"foreach": False}, "fused": {"fused": True}}[variant.optimizer]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **options)
    run = torch.compile(model) if variant.compiled else model

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16) if variant.bfloat16 else nullcontext():
            loss = nn.functional.cross_entropy(run(x), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def make_parts(model: nn.Module, x: Tensor) -> dict[str, Callable[[], object]]:
    """Forward and backward of each part alone, and the optimizer."""
    model.train().to(memory_format=torch.channels_last)
    parts: dict[str, Callable[[], object]] = {}
    for name, module in (("trunk", model.trunk), *((f"level {i}", each) for i, each in enumerate(model.levels, 1)),
                         ("head", model.head)):  # fmt: skip
        own = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_(name != "trunk")
        y = module(own)
        parts[name] = partial(run_back, module, own, torch.ones_like(y))
        x = y
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    parts["optimizer"] = optimizer.step
    return parts


def run_back(module: nn.Module, x: Tensor, grad: Tensor) -> None:
    """A forward and a backward pass."""
    module(x).backward(grad)


def milliseconds(seconds: list[float]) -> float:
    """The mean of the fastest third of the rounds."""
    return 1000 * statistics.mean(sorted(seconds)[: max(1, len(seconds) // 3)])


def main() -> None:
    """Prints a table of parts and one of variants for each number of classes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, action="append", default=[])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="also torch.compile; takes minutes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(options.batch, 3, options.side, options.side)
    for classes in options.classes or [200]:
        target = torch.randint(classes, (options.batch,))
        size = (3, options.side, options.side)

        def nested(classes: int = classes) -> nn.Module:
            return timm.create_model(f"{BACKBONE}_nhl", hierarchy=Hierarchy.balanced(classes), preset="edge")

        def plain(classes: int = classes) -> nn.Module:
            return timm.create_model(BACKBONE, num_classes=classes)

        ratio = cost(nested(), input_size=size).macs / cost(plain(), input_size=size).macs
        print(f"\n## {classes} classes, {ratio:.2f} times the plain backbone's multiply-accumulates\n")
        print("| part, channels last, float32 | ms | share |\n|---|---|---|")
        taken = {
            name: milliseconds(s) for name, s in time_in_turns(make_parts(nested(), x), rounds=options.rounds).items()
        }
        for name, ms in taken.items():
            print(f"| {name} | {ms:.1f} | {ms / sum(taken.values()):.0%} |", flush=True)
        print("\n| variant | nested, ms | plain, ms | due, ms | nested / due |\n|---|---|---|---|---|")
        variants = (*VARIANTS, COMPILED) if options.compile else VARIANTS
        runs = {(kind, v.name): make_step(make(), v, x, target) for v in variants
                for kind, make in (("nested", nested), ("plain", plain))}  # fmt: skip
        taken = {name: milliseconds(s) for name, s in time_in_turns(runs, rounds=options.rounds).items()}
        for variant in variants:
            mine, flat = taken["nested", variant.name], taken["plain", variant.name]
            due = flat * ratio
            print(f"| {variant.name} | {mine:.0f} | {flat:.0f} | {due:.0f} | {mine / due:.2f} |", flush=True)


if __name__ == "__main__":
    main()
