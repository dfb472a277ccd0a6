"""Time per multiply-accumulate of the nested part, compared with the plain backbone in the same run.

    python benchmarks/speed.py --threads 1   # on the CPU, float32, batch 1 and 16; for a GPU see gpu.py

Models take turns (A B A B ...), so that a slow minute of the machine affects all of them. The fastest rounds are
compared, because other processes can only slow a round down. Everything is in channels_last. The shapes are those of
the paper: 7/23/100 nodes on ResNet50, 20/200/1000 on ConvNeXtV2-tiny, with unequal numbers of children.
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


def read_clock() -> float:
    """Seconds of this process with one CPU thread, where other processes do not count; else of the wall clock."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def read_gpu_clock() -> float:
    """Seconds of the wall clock once the GPU is idle; the process itself only spends the time of the launches."""
    torch.cuda.synchronize()
    return time.perf_counter()


def time_in_turns(
    runs: dict[str, Callable[[], None]], *, rounds: int, clock: Callable[[], float] = read_clock
) -> dict[str, list[float]]:
    """Seconds of each run in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def make_models(
    backbone: str, sizes: tuple[int, int, int], *, expert: int, reference: bool
) -> dict[str, torch.nn.Module]:
    """The plain backbone, the trunk, the NHL, an expert and, if asked for, the reference with a module per branch."""
    tree = shape(*sizes)
    nhl = scrambled(timm.create_model(f"{backbone}_nhl", hierarchy=tree))  # a new branch computes only its shortcut
    models = {
        "plain": timm.create_model(backbone, num_classes=len(tree)),
        "trunk": nhl.trunk,
        "nhl": nhl,
        "expert": nhl.expert([tree.classes[label] for label in range(expert)]),
    }
    if reference:
        models["module per branch"] = Reference(nhl)
    return models


def count_macs(models: dict[str, torch.nn.Module]) -> dict[str, int]:
    """Multiply-accumulates of one image, by model."""
    macs = {name: cost(models[name]).macs for name in ("plain", "nhl", "expert")}
    macs["trunk"] = cost(models["nhl"]).parts[0].macs
    macs["module per branch"] = macs["nhl"]
    return macs


def compute_ratios(seconds: dict[str, float], macs: dict[str, int]) -> dict[str, float]:
    """Time per MAC of the nested part divided by that of the plain backbone, and further ratios."""
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


def time_inference(models: dict[str, torch.nn.Module], x: torch.Tensor, *, rounds: int) -> dict[str, list[float]]:
    """Seconds of a forward pass of each model in each round."""

    def runner(model: torch.nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                model(x)

        return run

    return time_in_turns({name: runner(model.eval()) for name, model in models.items()}, rounds=rounds)


def time_cutting(*, repeats: int = 10) -> dict[str, float]:
    """Milliseconds to cut 5 of 1,000 classes out, with copied and with shared weights."""
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
    parser.add_argument("--threads", type=int, help="CPU threads; 1 counts processor time instead of wall-clock time")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--no-reference", action="store_true", help="skip the reference with a module per branch")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = f"{torch.get_num_threads()} CPU threads"
    print(json.dumps({"machine": machine, "python": platform.python_version(), "torch": torch.__version__}))
    for backbone in options.cases:
        sizes = CASES[backbone]
        models = make_models(backbone, sizes, expert=EXPERT[sizes[2]], reference=not options.no_reference)
        macs = count_macs(models)
        models = {name: model.to(memory_format=torch.channels_last) for name, model in models.items()}
        for batch in options.batches:
            x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
            seconds = {name: min(values) for name, values in time_inference(models, x, rounds=options.rounds).items()}
            row = {"backbone": backbone, "nodes": sizes, "batch": batch}
            row["ms"] = {name: round(1e3 * value, 1) for name, value in seconds.items()}
            row["ratios"] = {name: round(value, 2) for name, value in compute_ratios(seconds, macs).items()}
            print(json.dumps(row), flush=True)
    print(json.dumps({name: round(value, 1) for name, value in time_cutting().items()}))


if __name__ == "__main__":
    main()
