"""The accuracy claim: nested networks and their experts beside what one would do without them, on pictures of emoji.

    python benchmarks/accuracy.py list --plan cpu          # what is trained, and how long it is going to take
    python benchmarks/accuracy.py run --plan cpu --processes 2
    python benchmarks/accuracy.py report --plan cpu

Test pictures are those of a vendor that nobody trained on. Every training leaves one file in `build/accuracy`; what is
there is not done again, so a run that was stopped goes on. Plans: `cpu` (64 pixels, resnet10t, four lists of 100
classes, which share none, three seeds), `cpu400` (one list of 400), `wide` (the published widths), `vary`
(variations of the recipe, each with a prediction), `gpu` (all classes, resnet50 and convnextv2_tiny).
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

from accuracy_plan import List, Size, Training, protocol
from accuracy_variations import AS_LARGE, MAIN, PUBLISHED_WIDTHS, VARIATIONS, WIDE, varied, wide

from hierarchy.errors import HierarchyError, Locked
from hierarchy.files import lock
from timm_nhl.errors import NHLError

FOLDER = Path("build") / "accuracy"
SEEDS = (0, 1, 2)
HUNDREDS = tuple(List(f"100-{part}", 100, part) for part in range(4))
TUNING = List("tuning", 100, 4, test_vendor="twitter")  # other classes, another vendor: what the recipe was chosen on
FOUR_HUNDRED = List("400", 400)
EVERYTHING = List("all", None)

# On so small a trunk, branches of the published widths make the nested network three times the flat one. With half of
# them the two stand as the published ones do (25.0M / 23.7M and 5.86 / 4.13): 1.00 of the parameters and 1.33 of the
# multiply-accumulates.
HALF = (("model_kwargs", ("widths=64,32,16",)),)
RECIPE = (
    ("workers", 0),
    ("channels_last", True),
    ("eval_every", 0),  # nothing is chosen by the test pictures
    ("opt", "adamw"),
    ("lr", 2e-3),
    ("weight_decay", 0.05),
    ("scale", (0.6, 1.0)),
    ("hflip", 0.0),  # arrows and hands are told apart by it
    ("smoothing", 0.1),
)
SMALL = Size(
    backbone="resnet10t",
    steps=200,
    batch_size=40,
    warmup=20,
    recipe=(*RECIPE, ("img_size", 64), ("device", "cpu"), ("amp", True)),  # bfloat16: a step takes 0.6 of the time
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


def plan(name: str) -> list[Training]:
    """The trainings of a plan, in the order they are done in."""
    if name == "cpu":
        return list(protocol(SMALL, HUNDREDS, SEEDS, experts=(20, 5), trained={20: 5, 5: 4}))
    if name == "cpu400":
        longer = replace(SMALL, steps=4 * SMALL.steps)  # as many epochs
        trees = ("unicode", "random")
        return list(protocol(longer, [FOUR_HUNDRED], SEEDS, experts=(20, 5), trained={5: 1}, trees=trees))
    if name == "wide":
        return list(wide(SMALL, HUNDREDS, SEEDS))
    if name == "vary":
        return list(varied(SMALL, HUNDREDS[:2], SEEDS))
    large = (protocol(size, [EVERYTHING], SEEDS, experts=(20, 5), trained={20: 1, 5: 1}) for size in LARGE)
    return list(chain.from_iterable(large))


PLANS = ("cpu", "cpu400", "wide", "vary", "gpu")


def work(trainings: Iterable[Training], folder: Path) -> None:
    """Does what is not done and what no other process is doing; says each result on stderr."""
    from accuracy_run import run

    for number, training in enumerate(trainings, 1):
        place = folder / training.size.backbone
        place.mkdir(parents=True, exist_ok=True)
        if (place / "results" / f"{training.key}.json").exists():
            continue
        with claimed(place / f"{training.key}.lock") as mine:
            if mine:
                began = time.monotonic()
                run(training, place, data=folder / "data")
                print(f"{number} {training.key} {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process alone holds a file; it is let go however the process ends."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(path, busy=f"{str(path)!r} is in use"))
        except Locked:
            yield False
            return
        yield True


def spread(processes: int, arguments: Sequence[str]) -> int:
    """Has several processes do the work together; the exit code of the worst."""
    command = [sys.executable, __file__, "run", *arguments, "--processes", "1"]
    workers = [subprocess.Popen(command) for _ in range(processes)]
    return max(worker.wait() for worker in workers)


def tell(trainings: Sequence[Training], folder: Path) -> None:
    """Prints what a plan has, what is done of it, and how long the rest will take, as far as the like has been done."""
    done: dict[str, float] = {}
    seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for training in trainings:
        file = folder / training.size.backbone / "results" / f"{training.key}.json"
        if file.exists():
            done[training.key] = json.loads(file.read_text(encoding="utf-8"))["cpu_seconds"]
            seconds[like(training)].append(done[training.key])
    for training in trainings:
        print(f"{training.key}\t{f'{done[training.key]:.0f} s' if training.key in done else 'to do'}")
    left = [training for training in trainings if training.key not in done]
    known = [statistics.mean(seconds[like(training)]) for training in left if seconds[like(training)]]
    print(
        f"{len(done)} of {len(trainings)} done; of the rest {len(known)} will take {sum(known) / 60:.0f} minutes of a"
        f" processor, {len(left) - len(known)} are the first of their kind"
    )


def like(training: Training) -> tuple[str, ...]:
    """What trainings that take equally long have in common."""
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
    parser.add_argument("act", choices=("list", "run", "report"))
    parser.add_argument("--plan", choices=PLANS, default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="that train side by side")
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    trainings = plan(options.plan)
    if options.act == "list":
        tell(trainings, options.folder)
    elif options.act == "report":
        print("\n".join(report(options.plan, trainings, options.folder)))
    elif options.processes > 1:
        same = ["--plan", options.plan, "--threads", str(options.threads), "--folder", str(options.folder)]
        sys.exit(spread(options.processes, same))
    else:
        import torch

        torch.set_num_threads(options.threads)
        try:
            work(trainings, options.folder)
        except (HierarchyError, NHLError) as error:
            sys.exit(f"error: {error}")


def report(name: str, trainings: Sequence[Training], folder: Path) -> Iterator[str]:
    """Lines of Markdown about what is done of a plan."""
    from accuracy_report import read, tables, variations

    for backbone in dict.fromkeys(training.size.backbone for training in trainings):
        own = [training for training in trainings if training.size.backbone == backbone]
        results = [one for one in read(folder / backbone) if one["list"] in {training.list.name for training in own}]
        yield f"{backbone}, plan {name}\n"
        if name == "vary":
            yield from variations(results, VARIATIONS, each=20)
            continue
        for each in (20, 5):
            if name == "wide":
                asked = {"variation": PUBLISHED_WIDTHS, "controls": (AS_LARGE,), "expected": WIDE}
            else:
                asked = {"controls": [control for control, _ in own[0].size.wider], "expected": MAIN}
            yield from tables(results, each=each, **(asked if each == 20 else {**asked, "expected": None}))
            yield ""


if __name__ == "__main__":
    main()
