"""Accuracy of nested networks and their experts, compared with flat networks, on images of emoji.

    python benchmarks/accuracy.py list --plan cpu          # the trainings and the time they will take
    python benchmarks/accuracy.py run --plan cpu --processes 2
    python benchmarks/accuracy.py report --plan cpu

The test images are those of a vendor held out of training. Each training writes a file to `build/accuracy`; a run skips
trainings whose file exists, so it continues where it was stopped. Plans: `cpu` (64 pixels, resnet10t, four disjoint
lists of 100 classes, three seeds), `cpu400` (one list of 400), `wide` (the published widths), `vary` (variations of the
recipe, each with a prediction), `gpu` (all classes, resnet50 and convnextv2_tiny).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path

from accuracy_plan import List, Size, Training, list_protocol
from accuracy_variations import EQUAL_SIZE, MAIN, PUBLISHED_WIDTHS, VARIATIONS, WIDE, list_varied, list_wide

from hierarchy.errors import HierarchyError, Locked
from hierarchy.files import lock
from timm_nhl.errors import NHLError

FOLDER = Path("build") / "accuracy"
SEEDS = (0, 1, 2)
HUNDREDS = tuple(List(f"100-{part}", 100, part) for part in range(4))
TUNING = List("tuning", 100, 4, test_vendor="twitter")  # the recipe was chosen with these classes and this vendor
FOUR_HUNDRED = List("400", 400)
EVERYTHING = List("all", None)

# With the published widths, the nested network has three times the parameters of this flat one. With half of them, the
# ratios are close to the published ones (25.0M / 23.7M and 5.86 / 4.13): 1.00 for parameters, 1.33 for MACs.
HALF = (("model_kwargs", ("widths=64,32,16",)),)
RECIPE = (
    ("workers", 0),
    ("channels_last", True),
    ("eval_every", 0),  # the test images choose nothing
    ("opt", "adamw"),
    ("lr", 2e-3),
    ("weight_decay", 0.05),
    ("scale", (0.6, 1.0)),
    ("color_jitter", 0.4),
    ("hflip", 0.0),  # the direction of arrows and hands matters
    ("smoothing", 0.1),
)
SMALL = Size(
    backbone="resnet10t",
    steps=200,
    batch_size=40,
    warmup=20,
    recipe=(*RECIPE, ("img_size", 64), ("device", "cpu"), ("amp", True)),  # bfloat16 takes 0.6 of the time
    nested=HALF,
    wider=(("of equal MACs", (("model_kwargs", ("channels=80,160,320,640",)),)),),
)
GPU = (("img_size", 128), ("device", "cuda"), ("amp", True))
LARGE = tuple(
    Size(
        backbone=backbone,
        steps=6000,
        batch_size=256,
        warmup=500,
        recipe=(*RECIPE, *GPU),
        wider=(
            ("of equal MACs", (("model_kwargs", (macs,)),)),
            ("of equal parameters", (("model_kwargs", (params,)),)),
        ),
    )
    for backbone, macs, params in (
        ("resnet50", "channels=128,256,512,1024", "channels=152,304,608,1216"),
        ("convnextv2_tiny", "dims=184,368,736,1472", "dims=212,424,848,1696"),
    )
)


def list_trainings(name: str) -> list[Training]:
    """The trainings of a plan, in their order."""
    if name == "cpu":
        return list(list_protocol(SMALL, HUNDREDS, SEEDS, experts=(20, 5), trained={20: 5, 5: 4}))
    if name == "cpu400":
        longer = replace(SMALL, steps=4 * SMALL.steps)  # the same number of epochs
        trees = ("unicode", "random")
        return list(list_protocol(longer, [FOUR_HUNDRED], SEEDS, experts=(20, 5), trained={5: 1}, trees=trees))
    if name == "wide":
        return list(list_wide(SMALL, HUNDREDS, SEEDS))
    if name == "vary":
        return list(list_varied(SMALL, HUNDREDS[:2], SEEDS))
    large = (list_protocol(size, [EVERYTHING], SEEDS, experts=(20, 5), trained={20: 1, 5: 1}) for size in LARGE)
    return list(chain.from_iterable(large))


PLANS = ("cpu", "cpu400", "wide", "vary", "gpu")


def run_all(trainings: Iterable[Training], folder: Path) -> None:
    """Runs trainings that have no result and that no other process is running; reports each on stderr."""
    from accuracy_run import run

    for number, training in enumerate(trainings, 1):
        place = folder / training.size.backbone
        place.mkdir(parents=True, exist_ok=True)
        if (place / "results" / f"{training.key}.json").exists():
            continue
        with claim(place / f"{training.key}.lock") as mine:
            if mine:
                began = time.monotonic()
                run(training, place, data=folder / "data")
                print(f"{number} {training.key} {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Locks a file until the block ends; yields False if another process holds the lock."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path, busy=f"{str(path)!r} is in use"))
        except Locked:
            yield False
            return
        yield True


def run_processes(processes: int, arguments: Sequence[str]) -> int:
    """Shares the trainings among several processes; returns the largest exit code."""
    command = [sys.executable, __file__, "run", *arguments, "--processes", "1"]
    workers = [subprocess.Popen(command) for _ in range(processes)]
    return max(worker.wait() for worker in workers)


def print_progress(trainings: Sequence[Training], folder: Path) -> None:
    """Prints the trainings, which of them are done, and an estimate of the time for the rest."""
    done: dict[str, float] = {}
    seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for training in trainings:
        file = folder / training.size.backbone / "results" / f"{training.key}.json"
        if file.exists():
            done[training.key] = json.loads(file.read_text(encoding="utf-8"))["cpu_seconds"]
            seconds[kind_key(training)].append(done[training.key])
    for training in trainings:
        print(f"{training.key}\t{f'{done[training.key]:.0f} s' if training.key in done else 'to do'}")
    left = [training for training in trainings if training.key not in done]
    known = [statistics.mean(seconds[kind_key(training)]) for training in left if seconds[kind_key(training)]]
    print(
        f"{len(done)} of {len(trainings)} done; {len(known)} of the rest will take about {sum(known) / 60:.0f}"
        f" processor minutes, {len(left) - len(known)} have no estimate yet"
    )


def kind_key(training: Training) -> tuple[str, ...]:
    """A key that trainings of equal duration share."""
    return (
        training.size.backbone,
        str(training.list.classes),
        training.kind,
        training.tree,
        training.variation,
        str(training.part),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("list", "run", "report"))
    parser.add_argument("--plan", choices=PLANS, default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="number of processes")
    parser.add_argument("--threads", type=int, default=1, help="threads per process")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of results and datasets")
    options = parser.parse_args()
    trainings = list_trainings(options.plan)
    if options.action == "list":
        print_progress(trainings, options.folder)
    elif options.action == "report":
        print("\n".join(format_report(options.plan, trainings, options.folder)))
    elif options.processes > 1:
        same = ["--plan", options.plan, "--threads", str(options.threads), "--folder", str(options.folder)]
        sys.exit(run_processes(options.processes, same))
    else:
        import torch

        torch.set_num_threads(options.threads)
        try:
            run_all(trainings, options.folder)
        except (HierarchyError, NHLError) as error:
            sys.exit(f"error: {error}")


def format_report(name: str, trainings: Sequence[Training], folder: Path) -> Iterator[str]:
    """Lines of Markdown about the finished trainings of a plan."""
    from accuracy_report import format_tables, format_variations, read_results

    for backbone in dict.fromkeys(training.size.backbone for training in trainings):
        own = [training for training in trainings if training.size.backbone == backbone]
        results = [
            one for one in read_results(folder / backbone) if one["list"] in {training.list.name for training in own}
        ]
        yield f"{backbone}, plan {name}\n"
        if name == "vary":
            yield from format_variations(results, VARIATIONS, each=20)
            continue
        for each in (20, 5):
            if name == "wide":
                asked = {"variation": PUBLISHED_WIDTHS, "controls": (EQUAL_SIZE,), "expected": WIDE}
            else:
                asked = {"controls": [control for control, _ in own[0].size.wider], "expected": MAIN}
            yield from format_tables(results, each=each, **(asked if each == 20 else {**asked, "expected": None}))
            yield ""


if __name__ == "__main__":
    main()
