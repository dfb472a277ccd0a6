"""Speed of the nested part per multiply-accumulate, against the plain backbone measured in the same run.

    python benchmarks/speed.py --threads 1   # CPU, fp32, batch 1 and 16; gpu.py measures on a GPU

Models take turns (A B A B ...), so that a slow minute of the machine hits all of them; the fastest of all rounds is
compared, because what else runs on a machine only ever adds. Everything is in channels_last. Shapes are those of the
paper: 7/23/100 nodes on ResNet50, 20/200/1000 on ConvNeXtV2-tiny, children spread unevenly.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import timm
import torch

from timm_nhl.costs import cost

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.reference import Reference
from support.trees import scrambled, shape

CASES = {"resnet50": (7, 23, 100), "convnextv2_tiny": (20, 200, 1000)}
EXPERT = {100: 20, 1000: 5}  # classes of the expert, as in the paper


def clock() -> float:
    """Seconds: of the process where one CPU thread computes, which other processes cannot add to; else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def gpu_clock() -> float:
    """Seconds of the wall, once the GPU has done what it was given: to the process it only costs the launching."""
    torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(
    runs: dict[str, Callable[[], None]], *, rounds: int, clock: Callable[[], float] = clock
) -> dict[str, list[float]]:
    """Seconds of every run, one of each per round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def models_of(
    backbone: str, sizes: tuple[int, int, int], *, expert: int, reference: bool
) -> dict[str, torch.nn.Module]:
    """Plain backbone, trunk alone, NHL, expert of some classes and, if wanted, the module-per-branch reference."""
    tree = shape(*sizes)
    nhl = scrambled(timm.create_model(f"{backbone}_nhl", hierarchy=tree))  # else each branch is its shortcut
    models = {
        "plain": timm.create_model(backbone, num_classes=len(tree)),
        "trunk": nhl.trunk,
        "nhl": nhl,
        "expert": nhl.expert([tree.classes[label] for label in range(expert)]),
    }
    if reference:
        models["module per branch"] = Reference(nhl)
    return models


def macs_of(models: dict[str, torch.nn.Module]) -> dict[str, int]:
    macs = {name: cost(models[name]).macs for name in ("plain", "nhl", "expert")}
    macs["trunk"] = cost(models["nhl"]).parts[0].macs
    macs["module per branch"] = macs["nhl"]
    return macs


def ratios(seconds: dict[str, float], macs: dict[str, int]) -> dict[str, float]:
    """Time per MAC of the nested part over that of the plain backbone, and what else was asked to be shown."""
    plain = seconds["plain"] / macs["plain"]
    nested_macs = macs["nhl"] - macs["trunk"]
    found = {
        "nested part, time per MAC over plain": (seconds["nhl"] - seconds["trunk"]) / nested_macs / plain,
        "whole NHL, time per MAC over plain": seconds["nhl"] / macs["nhl"] / plain,
        "expert over NHL, time over MACs": (seconds["expert"] / seconds["nhl"]) / (macs["expert"] / macs["nhl"]),
        "expert over plain, time": seconds["expert"] / seconds["plain"],
    }
    if "module per branch" in seconds:
        slow = seconds["module per branch"] - seconds["trunk"]
        found["module per branch, time per MAC over plain"] = slow / nested_macs / plain
    return found


def inference(models: dict[str, torch.nn.Module], x: torch.Tensor, *, rounds: int) -> dict[str, list[float]]:
    def runner(model: torch.nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                model(x)

        return run

    return in_turns({name: runner(model.eval()) for name, model in models.items()}, rounds=rounds)


def cutting(*, repeats: int = 10) -> dict[str, float]:
    """Milliseconds to cut 5 classes out of 1,000, and the same sharing memory."""
    model = timm.create_model("convnextv2_tiny_nhl", hierarchy=shape(20, 200, 1000)).eval()
    wanted = [model.hierarchy.classes[label] for label in (0, 200, 400, 600, 800)]

    def median(act: Callable[[], object]) -> float:
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            act()
            seconds.append(time.perf_counter() - start)
        return 1e3 * statistics.median(seconds)

    return {
        "expert of 5 of 1,000, ms": median(lambda: model.expert(wanted)),
        "the same, shared, ms": median(lambda: model.expert(wanted, share=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, help="CPU threads; with one, the process's own seconds are counted")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--no-reference", action="store_true", help="leave the module-per-branch reference out")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = f"{torch.get_num_threads()} CPU threads"
    print(json.dumps({"machine": machine, "python": platform.python_version(), "torch": torch.__version__}))
    for backbone in options.cases:
        sizes = CASES[backbone]
        models = models_of(backbone, sizes, expert=EXPERT[sizes[2]], reference=not options.no_reference)
        macs = macs_of(models)
        models = {name: model.to(memory_format=torch.channels_last) for name, model in models.items()}
        for batch in options.batches:
            x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
            seconds = {name: min(values) for name, values in inference(models, x, rounds=options.rounds).items()}
            row = {"backbone": backbone, "nodes": sizes, "batch": batch}
            row["ms"] = {name: round(1e3 * value, 1) for name, value in seconds.items()}
            row["ratios"] = {name: round(value, 2) for name, value in ratios(seconds, macs).items()}
            print(json.dumps(row), flush=True)
    print(json.dumps({name: round(value, 1) for name, value in cutting().items()}))


if __name__ == "__main__":
    main()
