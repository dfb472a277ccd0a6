"""Checks and measures nested networks on a GPU in one call of less than ten minutes.

    python benchmarks/gpu.py   # one JSON line per result; exit code 1 if numbers disagree

Checks that the NHL has the logits of the reference with a module per branch, that an expert and a fused model have
those of the full model, and that bfloat16 is close to float32. Then times the plain backbone, trunk, NHL, expert and
reference in turns, in channels_last under bfloat16 autocast: inference and training steps, eager and compiled (without
the reference, which takes minutes to compile). Finally measures the memory of a training step with one model at a time
on the GPU. `time over MACs` is the ratio of times to the plain backbone divided by the ratio of multiply-accumulates;
1 means proportional. Measurements that do not fit into the time are printed as skipped.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from speed import CASES, EXPERT, count_macs, make_models, read_clock, read_gpu_clock, time_in_turns

from timm_nhl.models import NHL

Models = dict[str, torch.nn.Module]
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}  # relative to the largest value


class Budget:
    """A time limit."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def start(self, what: str) -> bool:
        """Whether there is time for a measurement; prints it as skipped if not."""
        if time.monotonic() < self.end:
            return True
        print_json(skipped=what)
        return False


def print_json(**found: object) -> None:
    """Prints a JSON line."""
    print(json.dumps(found), flush=True)


def relative_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference relative to the largest value."""
    return ((actual - expected).abs().max() / expected.abs().max()).item()


@torch.inference_mode()
def check(models: Models, x: torch.Tensor) -> bool:
    """Whether all numbers agree; prints how much they differ."""
    nhl, expert = models["nhl"].eval(), models["expert"].eval()
    assert isinstance(nhl, NHL) and isinstance(expert, NHL)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        whole, part, slow = nhl(x), expert(x), models["module per branch"].eval()(x)
        fused = nhl.fuse()(x)
        with torch.autocast(x.device.type, torch.bfloat16):
            half = nhl(x).float()
    differ = {
        "expert and NHL": (relative_difference(part, whole[:, list(expert.labels)]), TOLERANCE["float32"]),
        "NHL and one module per branch": (relative_difference(whole, slow), TOLERANCE["float32"]),
        "fused and NHL": (relative_difference(fused, whole), TOLERANCE["float32"]),
        "bfloat16 and float32": (relative_difference(half, whole), TOLERANCE["bfloat16"]),
    }
    for what, (value, allowed) in differ.items():
        print_json(check=what, differ_by=value, allowed=allowed, holds=value <= allowed)
    return all(value <= allowed for value, allowed in differ.values())


def prepare_step(model: torch.nn.Module, x: torch.Tensor, *, train: bool) -> Callable[[], None]:
    """Prepares a step on one batch under bfloat16 autocast: forward and, for training, backward and optimizer step."""
    model.train(train)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4) if train else None

    def run() -> None:
        with torch.autocast(x.device.type, torch.bfloat16), torch.set_grad_enabled(train):
            y = model(x)
        if optimizer is not None:
            y.float().flatten(1).logsumexp(1).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def time_models(
    models: Models, macs: dict[str, int], x: torch.Tensor, *, train: bool, rounds: int
) -> dict[str, object]:
    """Milliseconds of each model, and its time over MACs relative to the plain backbone."""
    runs = {name: prepare_step(model, x, train=train) for name, model in models.items()}
    taken = time_in_turns(runs, rounds=rounds, clock=read_gpu_clock if x.is_cuda else read_clock)
    seconds = {name: min(values) for name, values in taken.items()}
    plain = seconds["plain"] / macs["plain"]
    nested = (seconds["nhl"] - seconds["trunk"]) / (macs["nhl"] - macs["trunk"])
    full = seconds["nhl"] / macs["nhl"]
    return {
        "ms": {name: round(1e3 * value, 2) for name, value in seconds.items()},
        "time over MACs": {name: round(value / macs[name] / plain, 2) for name, value in seconds.items()},
        "nested part, time over MACs": round(nested / plain, 2),
        "expert over NHL, time over MACs": round(seconds["expert"] / macs["expert"] / full, 2),
    }


def move(models: Models, device: torch.device | str) -> None:
    """Moves all models to a device."""
    for model in models.values():
        model.to(device)


def measure_peak_mib(models: Models, name: str, x: torch.Tensor, memory: Any = torch.cuda) -> float:
    """Peak memory of a training step of one model, including its parameters; moves all models to the CPU."""
    move(models, "cpu")  # all of them, because some share a trunk
    memory.empty_cache()
    before = memory.memory_allocated()  # images, and models of other backbones
    run = prepare_step(models[name].to(x.device), x, train=True)
    run()
    memory.reset_peak_memory_stats()
    run()
    peak = memory.max_memory_allocated() - before
    move(models, "cpu")
    return round(peak / 2**20, 1)


def measure_eager(
    backbone: str, models: Models, macs: dict[str, int], x: torch.Tensor, options: argparse.Namespace
) -> None:
    for train in (False, True):
        what = {"backbone": backbone, "batch": len(x), "mode": "training" if train else "inference"}
        if options.budget.start(f"{what}, eager"):
            print_json(**what, compiled=False, **time_models(models, macs, x, train=train, rounds=options.rounds))
    for name in models:
        if options.budget.start(f"{backbone}, memory of {name}"):
            mib = measure_peak_mib(models, name, x) if x.is_cuda else None  # unknown on the CPU
            print_json(backbone=backbone, memory_of=name, batch=len(x), peak_mib=mib)


def measure_compiled(
    backbone: str, models: Models, macs: dict[str, int], x: torch.Tensor, options: argparse.Namespace
) -> None:
    move(models, x.device)
    for train in (False, True):
        what = {"backbone": backbone, "batch": len(x), "mode": "training" if train else "inference"}
        if options.budget.start(f"{what}, compiled"):
            torch.compiler.reset()
            fast = {name: torch.compile(model) for name, model in models.items() if name != "module per branch"}
            print_json(**what, compiled=True, **time_models(fast, macs, x, train=train, rounds=options.rounds))
    move(models, "cpu")  # leaves the GPU to the next models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="use cpu to try the script")
    parser.add_argument("--backbones", nargs="+", default=list(CASES))
    parser.add_argument("--nodes", type=int, nargs=3, help="superclasses, groups and classes; the paper's by default")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--seconds",
        type=float,
        default=420,
        help="start no measurement later than this; the last one may take two minutes",
    )
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    options.budget = Budget(options.seconds)
    machine = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    print_json(machine=machine, python=platform.python_version(), torch=torch.__version__, command=sys.argv)
    agree, later = True, []
    for backbone in options.backbones:
        sizes = tuple(options.nodes or CASES[backbone])
        models = make_models(backbone, sizes, expert=EXPERT.get(sizes[2], 5), reference=True)
        macs = count_macs(models)
        models = {name: model.to(memory_format=torch.channels_last) for name, model in models.items()}
        x = torch.randn(options.batch, 3, options.size, options.size).to(
            options.device, memory_format=torch.channels_last
        )
        move(models, x.device)
        agree &= check(models, x[:8])
        measure_eager(backbone, models, macs, x, options)
        move(models, "cpu")
        later.append((backbone, models, macs, x))
    for case in later if options.compile else ():  # last, because it takes longest
        measure_compiled(*case, options)
    sys.exit(not agree)


if __name__ == "__main__":
    main()
