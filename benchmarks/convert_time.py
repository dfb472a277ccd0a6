"""What a conversion costs of a training from scratch, with both in turns, so that other work on the machine is in both.

    OMP_NUM_THREADS=1 python benchmarks/convert_time.py --rounds 5
    OMP_NUM_THREADS=1 python benchmarks/convert_time.py --rounds 5 --tree single
    OMP_NUM_THREADS=1 python benchmarks/convert_time.py --rounds 5 --emoji

Run `convert.py` first: its kept features are used. Times are of the processor, of one thread. A conversion is views,
the fit, epochs and an evaluation after each; a training is its epochs alone, along people's tree and, if the
conversion has another one, along that.
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
from convert import EMOJI, ICONS, SCRATCH, SHAPE, SHAPES, TEACHER, Arm, Study, fill_in, flat_folder
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
PLANS = ((8, 2), (6, 2), (6, 3), (11, 2), (16, 2))  # epochs and views


def build_training(
    folder: str, study: Study = ICONS, *, hierarchy: str | None = None, **further: Any
) -> tuple[Callable[[], None], Callable[[], None], Trainer]:
    """Steps of a training from scratch, as many batches of its images alone, and what trains."""
    values = {**RECIPE, "seed": 0, "model": SCRATCH.model, "model_kwargs": [SHAPE], **further}
    tree = hierarchy or str(study.hierarchy)
    settings = Settings(str(study.data), out=f"{folder}/scratch", hierarchy=tree, **values)
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


def build_conversion(folder: str, study: Study, arm: Arm) -> tuple[Work, Distiller, Any]:
    """A conversion on kept features, and what its evaluation reads."""
    values = fill_in(study, arm, 0)
    settings = Conversion(str(flat_folder(study, arm, 0)), str(study.data), f"{folder}/nested", **values)
    teacher, tree = open_teacher(settings, Console(stderr=True))
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
    parser.add_argument("--tree", choices=("people", "single"), default="people", help="of the conversion")
    parser.add_argument("--emoji", action="store_true", help="emoji, not icons")
    options = parser.parse_args()
    study, classifier = (EMOJI, SHAPES[0]) if options.emoji else (ICONS, TEACHER)
    arm = Arm("timed", teacher=classifier, tree=options.tree, values={"epochs": PLANS[0][0], "views": PLANS[0][1]})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        train, load, trainer = build_training(folder, study)
        steps = trainer.sampler.steps_per_epoch
        work, distiller, held_out = build_conversion(folder, study, arm)
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
        if options.tree != "people":
            same_tree = str(work.settings.hierarchy)
            runs["train along the same tree"] = build_training(f"{folder}/same", study, hierarchy=same_tree)[0]
        taken = time_in_turns(runs, rounds=options.rounds, clock=time.process_time)
        seconds = {name: statistics.median(values) for name, values in taken.items()}
        began = time.process_time()
        work.fit()
        seconds["fit"] = time.process_time() - began
    each = {name: value / STEPS for name, value in seconds.items()}
    view = steps * (each["load"] + each["look"])
    print({name: round(1000 * value, 1) for name, value in each.items()}, f"fit {seconds['fit']:.1f} s")
    scratch = {name: study.epochs * steps * value for name, value in each.items() if name.startswith("train")}
    for name, value in scratch.items():
        print(f"{name}, {study.epochs} epochs: {value:.0f} s; a view of all images: {view:.0f} s")
    for epochs, views in PLANS:
        whole = epochs * distiller.steps_per_epoch * each["distil"] + (epochs + 2) * seconds["evaluate"]
        whole += (views + held_out.images / distiller.kept.images) * view + seconds["fit"]
        shares = " and ".join(f"{whole / value:.3f}" for value in scratch.values())
        print(f"converted, {epochs} epochs, {views} views: {whole:.0f} s, {shares} of it")


if __name__ == "__main__":
    main()
