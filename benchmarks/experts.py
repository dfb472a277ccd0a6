"""What experts cost and how accurate they are, beside plain networks, on thousands of images of unseen authors.

    python benchmarks/icons.py build/icons
    python benchmarks/experts.py list
    python benchmarks/experts.py run --processes 2
    python benchmarks/experts.py report
    python benchmarks/experts.py draw --out docs/images/experts.svg

    python benchmarks/emoji_vendors.py build/emoji-vendors
    python benchmarks/experts.py run --shapes --seeds 1 --epochs 16 --data build/emoji-vendors --folder build/emoji

On a GPU, the main table (presets, plain networks, plain with twice the steps; three seeds) in one call:

    python benchmarks/experts.py run --main --processes 15 --device cuda --workers 1

Each training has a folder below `build/experts`; a run skips those that are done and goes on with a stopped one at
its last epoch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from accuracy import claim
from experts_plan import EPOCHS, MAIN, RECIPE, SEEDS, SHAPES, list_networks

FOLDER = Path("build") / "experts"
DATA = Path("build") / "icons"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("list", "run", "report", "draw"))
    parser.add_argument("--processes", type=int, default=1, help="number of processes of one thread")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("experts.svg"), help="picture to draw")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--shapes", action="store_true", help="only the presets, plain and its rival")
    parser.add_argument("--main", action="store_true", help="these, and plain with twice the steps")
    parser.add_argument("--device", default=RECIPE["device"], help="like cpu or cuda; processes share it")
    parser.add_argument("--workers", type=int, default=RECIPE["workers"], help="processes that load images, of each")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="number of seeds")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of networks that are not trained for twice as long")
    options = parser.parse_args()
    folder = options.folder
    chosen = SHAPES if options.shapes else MAIN if options.main else None
    given = {"epochs": options.epochs, "device": options.device, "workers": options.workers}
    networks = [
        (replace(network, settings={**given, **network.settings}), seed)
        for network, seed in list_networks()
        if seed < options.seeds and (chosen is None or network in chosen)
    ]
    if options.action == "run" and options.processes > 1:
        command = [sys.executable, *sys.argv, "--processes", "1"]
        workers = [subprocess.Popen(command) for _ in range(options.processes)]
        sys.exit(max(worker.wait() for worker in workers))
    if options.action in ("report", "draw"):
        from experts_picture import draw
        from experts_report import format_accuracy, format_costs, format_parts, read_rows

        rows = read_rows(networks, folder, options.data)
        if options.action == "draw":
            draw(rows, options.out)
            return
        for split in ("validation", "test"):
            print("\n".join(format_accuracy(rows, split)) + "\n")
        print("\n".join(format_costs(rows)) + "\n")
        print("\n".join(format_parts(networks, rows, folder)))
        return
    import torch
    from experts_run import place, run

    torch.set_num_threads(1)
    for network, seed in networks:
        own = place(network, seed, folder)
        done = (own / "result.json").exists()
        if options.action == "list":
            print(f"{own.name}\t{'done' if done else 'to do'}\t{network.expected}")
        elif not done:
            folder.mkdir(parents=True, exist_ok=True)
            with claim(folder / f"{own.name}.lock") as mine:
                if mine:
                    began = time.monotonic()
                    run(network, seed, data=options.data, folder=folder)
                    print(f"{own.name} {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
