"""What experts cost and how accurate they are, beside plain networks, on thousands of images of unseen authors.

    python benchmarks/icons.py build/icons
    python benchmarks/experts.py list
    python benchmarks/experts.py run --processes 2
    python benchmarks/experts.py report
    python benchmarks/experts.py draw --out docs/images/experts.svg

Each training has a folder below `build/experts`; a run skips those that are done and goes on with a stopped one at
its last epoch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from accuracy import claim
from experts_plan import list_networks

FOLDER = Path("build") / "experts"
DATA = Path("build") / "icons"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("list", "run", "report", "draw"))
    parser.add_argument("--processes", type=int, default=1, help="number of processes of one thread")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, default=Path("experts.svg"), help="picture to draw")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    folder = options.folder
    if options.action == "run" and options.processes > 1:
        command = [sys.executable, *sys.argv, "--processes", "1"]
        workers = [subprocess.Popen(command) for _ in range(options.processes)]
        sys.exit(max(worker.wait() for worker in workers))
    if options.action in ("report", "draw"):
        from experts_picture import draw
        from experts_report import format_accuracy, format_costs, format_parts, read_rows

        rows = read_rows(list_networks(), folder, options.data)
        if options.action == "draw":
            draw(rows, options.out)
            return
        for split in ("validation", "test"):
            print("\n".join(format_accuracy(rows, split)) + "\n")
        print("\n".join(format_costs(rows)) + "\n")
        print("\n".join(format_parts(list_networks(), rows, folder)))
        return
    import torch
    from experts_run import place, run

    torch.set_num_threads(1)
    for network, seed in list_networks():
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
