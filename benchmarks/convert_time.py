"""What a conversion costs of a training from scratch, with both in turns, so that other work on the machine is in both.

    OMP_NUM_THREADS=1 python benchmarks/convert_time.py --rounds 5

Run `convert.py` first: its kept features are used. Times are of the processor, of one thread. A conversion is views,
the fit, epochs and an evaluation after each; a training is its epochs alone.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from convert import ARMS, ICONS, SCRATCH, SHAPE, fill_in, flat_folder
from experts_plan import RECIPE
from rich.console import Console
from speed import time_in_turns

from timm_nhl.converting import Conversion
from timm_nhl.converting.distillation import Distiller
from timm_nhl.converting.images import open_splits
from timm_nhl.converting.measure import measure
from timm_nhl.converting.network import FrozenOutputs, build_network
from timm_nhl.converting.steps import Work, open_teacher
from timm_nhl.train import Settings, parse_kwargs
from timm_nhl.train.distributed import Process
from timm_nhl.train.settings import complete
from timm_nhl.train.splits import create_sampler
from timm_nhl.train.splits import open_splits as open_training
from timm_nhl.train.trainer import Trainer

STEPS = 12
ARM = ARMS[0]


def build_training(folder: str, **further: Any) -> tuple[Callable[[], None], Callable[[], None], Trainer]:
    """Steps of a training from scratch, as many batches of its images alone, and what trains."""
    values = {**RECIPE, "seed": 0, "model": SCRATCH.model, "model_kwargs": [SHAPE], **further}
    settings = Settings(str(ICONS.data), out=f"{folder}/scratch", hierarchy=str(ICONS.hierarchy), **values)
    process = Process(0, 1, torch.device("cpu"))
    splits = open_training(settings)
    chosen, _ = complete(settings, splits.find_facts(settings, process))
    sampler = create_sampler(chosen, splits.images, process)
    trainer = Trainer(chosen, splits.images, sampler=sampler, process=process)

    def train() -> None:
        trainer.train_mode()
        for step, (x, target) in enumerate(itertools.islice(trainer.loader, STEPS)):
            trainer.compute_gradients(x, target, step=step, micro=0)
            trainer.optimizer_step(step + 1)

    def load() -> None:
        for _ in itertools.islice(trainer.loader, STEPS):
            pass

    return train, load, trainer


def build_conversion(folder: str) -> tuple[Work, Distiller, Any]:
    """A conversion on kept features, and what its evaluation reads."""
    settings = Conversion(
        str(flat_folder(ICONS, ARM, 0)), str(ICONS.data), f"{folder}/nested", **fill_in(ICONS, ARM, 0)
    )
    teacher, tree = open_teacher(settings)
    model = build_network(teacher, tree, preset=None, options=parse_kwargs("--model-kwargs", [SHAPE]))
    splits = open_splits(settings, tree)
    work = Work(settings, model, teacher, tuple(range(len(tree))), splits, Console(stderr=True))
    distiller = Distiller(
        work.model, work.keep(work.images, augmented=True), work.learned, work.known, settings=settings
    )
    return work, distiller, work.keep(work.held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        train, load, trainer = build_training(folder)
        steps = trainer.sampler.steps_per_epoch
        work, distiller, held_out = build_conversion(folder)
        frozen = FrozenOutputs(work.model.trunk, work.teacher)
        x = torch.randn(distiller.batch_size, *work.inputs["input_size"]).contiguous(memory_format=torch.channels_last)
        rows, weights = distiller.draw.epoch(0, 0)

        def look() -> None:
            with torch.no_grad():
                for _ in range(STEPS):
                    frozen(x)

        def distil() -> None:
            distiller.levels.train()
            for step in range(STEPS):
                batch = slice(step * distiller.batch_size, (step + 1) * distiller.batch_size)
                losses = distiller._compute_losses(0, rows[batch], weights[batch])
                distiller.optimizer.zero_grad()
                losses["loss"].backward()
                distiller.optimizer.step()

        def evaluate() -> None:
            measure(work.model, held_out, work.learned, work.known)

        runs = {"train": train, "load": load, "look": look, "distil": distil, "evaluate": evaluate}
        taken = time_in_turns(runs, rounds=rounds, clock=time.process_time)
        seconds = {name: statistics.median(values) for name, values in taken.items()}
        began = time.process_time()
        work.fit()
        seconds["fit"] = time.process_time() - began
    each = {name: value / STEPS for name, value in seconds.items()}
    view = steps * (each["load"] + each["look"])
    print({name: round(1000 * value, 1) for name, value in each.items()}, f"fit {seconds['fit']:.1f} s")
    scratch = RECIPE["epochs"] * steps * each["train"]
    print(f"from scratch, {RECIPE['epochs']} epochs: {scratch:.0f} s; a view of all images: {view:.0f} s")
    for epochs, views in ((6, 2), (8, 2), (6, 3)):
        whole = epochs * distiller.steps_per_epoch * each["distil"] + (epochs + 2) * seconds["evaluate"]
        whole += (views + held_out.images / distiller.kept.images) * view + seconds["fit"]
        print(f"converted, {epochs} epochs, {views} views: {whole:.0f} s, {whole / scratch:.3f} of it")


if __name__ == "__main__":
    main()
