"""Speed of the nested part in this checkout and in another one, in turns (A B A B ...) in one run.

    git worktree add ../before <commit>
    python benchmarks/speed_versions.py --before ../before

Each checkout runs in a process of its own that computes only when asked, so a slow minute of the machine affects both.
The fastest rounds are compared by processor time on one thread, because other processes can only slow a round down.
ResNet50 with 7/23/100 nodes at 224x224 in channels_last; a training step is forward, backward and SGD.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BACKBONE, SIZES = "resnet50", (7, 23, 100)
NESTED = {"nhl": "unfused", "fused": "after fuse()"}


class Checkout:
    """A process that runs the models of one checkout."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(root)],
            env={**os.environ, "PYTHONPATH": f"{root}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: object) -> Any:
        """Sends a line and returns the answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(*words, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def serve() -> None:
    """Answers `macs`, and `NAME BATCH TRAIN` with the seconds of one run."""
    import timm
    import torch
    from support.trees import scrambled, shape

    import timm_nhl

    torch.set_num_threads(1)
    nhl = scrambled(timm.create_model(f"{BACKBONE}_nhl", hierarchy=shape(*SIZES)))
    models = {
        "plain": timm.create_model(BACKBONE, num_classes=SIZES[2]),
        "trunk": nhl.trunk,
        "nhl": nhl,
        "fused": nhl.fuse(),
    }
    models = {name: model.to(memory_format=torch.channels_last) for name, model in models.items()}
    for line in sys.stdin:
        name, *rest = line.split()
        if name == "macs":
            parts = timm_nhl.cost(models["nhl"]).parts
            plain = timm_nhl.cost(models["plain"]).macs
            print(json.dumps({"plain": plain, "nested": sum(part.macs for part in parts[1:])}), flush=True)
            continue
        batch, train = int(rest[0]), rest[1] == "True"
        model = models[name].train(train)
        x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6) if train else None
        start = time.process_time()
        with torch.inference_mode(not train):
            y = model(x)
        if optimizer is not None:
            y.flatten(1).logsumexp(1).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        print(json.dumps(time.process_time() - start), flush=True)


def compare(checkouts: dict[str, Checkout], *, batch: int, train: bool, rounds: int) -> dict[str, Any]:
    """The fastest milliseconds of each model in each checkout, and the nested part's time per MAC relative to plain."""
    names = ["plain", "trunk", "nhl"] + ([] if train else ["fused"])
    best = {(version, name): float("inf") for version in checkouts for name in names}
    for turn in range(rounds + 1):  # the first warms up
        for name in names:
            for version, checkout in checkouts.items():
                seconds = checkout.ask(name, batch, train)
                if turn:
                    best[version, name] = min(best[version, name], seconds)
    found: dict[str, Any] = {"batch": batch, "train": train}
    for version, checkout in checkouts.items():
        macs = checkout.ask("macs")
        plain = best[version, "plain"] / macs["plain"]
        found[version] = {name: round(1e3 * best[version, name], 1) for name in names}
        for name in names[2:]:
            nested = (best[version, name] - best[version, "trunk"]) / macs["nested"]
            found[version][f"nested part {NESTED[name]}, time per MAC over plain"] = round(nested / plain, 3)
    for name in names[2:]:
        found[f"{name}, after over before"] = round(best["after", name] / best["before", name], 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 16])
    parser.add_argument("--train-batches", type=int, nargs="*", default=[4])
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    checkouts = {"before": Checkout(options.before.resolve()), "after": Checkout(ROOT)}
    for train, batches in ((False, options.batches), (True, options.train_batches)):
        for batch in batches:
            print(json.dumps(compare(checkouts, batch=batch, train=train, rounds=options.rounds)), flush=True)


if __name__ == "__main__":
    main()
