"""What kept features save: a training step on a frozen trunk with and without `--cache`, in turns.

    OMP_NUM_THREADS=1 python benchmarks/cache_time.py --rounds 5

The icons of experts.py, shape `edge`, random weights, processor time of one thread. The features of two views are
computed first.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import torch
from convert_time import STEPS, build_training
from speed import time_in_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        plain, _, _ = build_training(folder, freeze_trunk=True)
        kept, _, trainer = build_training(folder, freeze_trunk=True, cache=f"{folder}/features", cache_views=2)
        assert trainer.cached is not None
        print(trainer.cached.summary)
        taken = time_in_turns({"images": plain, "kept": kept}, rounds=rounds, clock=time.process_time)
    seconds = {name: statistics.median(values) / STEPS for name, values in taken.items()}
    print(f"a step on images {1000 * seconds['images']:.0f} ms, on kept features {1000 * seconds['kept']:.0f} ms:"
          f" {seconds['kept'] / seconds['images']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
