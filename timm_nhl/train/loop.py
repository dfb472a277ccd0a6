"""The training loop: data, model, epochs, and what they leave in a folder.

Everything random is a function of the seed and of where it is drawn (`timm_nhl.data`), so a run that resumes at the
end of an epoch has the same weights, bit for bit, as one that was never stopped. A killed run repeats its last epoch.
"""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from hierarchy import Hierarchy, load
from hierarchy.dataset import HIERARCHY_FILE, open_data
from hierarchy.english import count
from hierarchy.errors import DataError
from timm_nhl.data import EpochSampler, Images, open_images
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.growing import Growth
from timm_nhl.train import distributed
from timm_nhl.train.config import Settings
from timm_nhl.train.conflicts import check
from timm_nhl.train.distributed import Process
from timm_nhl.train.run_dir import Row, RunDir
from timm_nhl.train.trainer import Trainer


def train(settings: Settings) -> Path:
    """Trains a model; returns the folder that `settings.out` names.

    The folder holds `settings.json`, `metrics.csv`, `resume.pt` and the models `last/` and `best/` for timm's
    `local-dir:`. A run that was stopped resumes after its last finished epoch; a finished one stays as it is.

    Raises:
        OptionError: with all settings that cannot be.
        TrainingError: the folder belongs to another training, or the loss is not finite.
        HierarchyError: the data or the hierarchy cannot be read, or do not fit each other.
        NHLError: the model cannot be created.
    """
    check(settings)
    with distributed.join(settings.device) as process:
        images, val_images = open_splits(settings)
        sampler = create_sampler(settings, images, val_images, process)
        run_dir = RunDir(settings, facts=summarize(images, val_images, process))
        checkpoint = run_dir.load_checkpoint()
        trainer = Trainer(settings, images, sampler=sampler, process=process)
        rows: list[Row] = []
        if checkpoint is not None:
            rows = checkpoint["rows"]
            trainer.load_state_dict(checkpoint["trainer"])
        process.wait()  # no process writes to the folder before all have looked at it
        console = Console(stderr=True, quiet=not process.is_main)
        if len(rows) == trainer.epochs:
            say(console, f"{settings.out}: this training is finished; nothing to do")
            return run_dir.path
        if isinstance(trainer.model, Growth):
            say(console, trainer.model.summary)
        if rows:
            say(console, f"{settings.out}: resuming after epoch {len(rows)} of {trainer.epochs}")
        with run_dir.lock() if process.is_main else nullcontext(), progress_bar(console) as bar:
            for epoch in range(len(rows), trainer.epochs):
                began = time.monotonic()
                losses = train_one_epoch(trainer, epoch, bar)
                row: Row = {"epoch": epoch + 1, "lr": trainer.lr, **losses}
                if evaluates(settings, epoch + 1, trainer.epochs):
                    row |= trainer.evaluate(val_images)
                row["seconds"] = time.monotonic() - began
                say(console, "  ".join(f"{name} {value:.4g}" for name, value in row.items()))
                rows.append(row)
                if process.is_main:
                    run_dir.save_epoch(rows, trainer.best_model, images, trainer.state_dict())
    return run_dir.path


def train_in_memory(settings: Settings, images: Images) -> nn.Module:
    """Trains a model on some images like `train`, but writes and resumes nothing; returns the model.

    Raises the errors of `train`.
    """
    check(settings)
    with distributed.join(settings.device) as process:
        sampler = create_sampler(settings, images, images, process)
        trainer = Trainer(settings, images, sampler=sampler, process=process)
        for epoch in range(trainer.epochs):
            train_one_epoch(trainer, epoch, Progress(disable=True))
        return trainer.best_model


def train_one_epoch(trainer: Trainer, epoch: int, bar: Progress) -> dict[str, float]:
    """Trains on every batch of an epoch; returns the mean of the loss and of its parts.

    Raises:
        TrainingError: the loss is not finite.
    """
    settings, sampler = trainer.settings, trainer.sampler
    sampler.set_epoch(epoch)
    trainer.train_mode()
    bar_task = bar.add_task(f"epoch {epoch + 1}", total=sampler.steps_per_epoch)
    sums: dict[str, Tensor] = {}  # on the device: nothing waits for it until they are read
    for number, (x, target) in enumerate(trainer.loader):  # (B, C, H, W), (B,)
        step_in_epoch, micro = divmod(number, settings.grad_accum_steps)
        step = epoch * sampler.steps_per_epoch + step_in_epoch
        losses = trainer.compute_gradients(x, target, step=step, micro=micro)
        sums = {name: sums.get(name, 0) + value.float() for name, value in losses.items()}
        if micro < settings.grad_accum_steps - 1:
            continue
        trainer.optimizer_step(step + 1)
        bar.update(bar_task, completed=step_in_epoch + 1)
        if (step + 1) % settings.log_interval == 0 or step_in_epoch + 1 == sampler.steps_per_epoch:
            means = trainer.process.mean({name: total / (number + 1) for name, total in sums.items()})
            if not all(map(math.isfinite, means.values())):
                raise TrainingError(
                    f"the loss is {means['loss']} at step {step + 1}; lower --lr, lengthen --warmup-epochs or set"
                    " --clip-grad, and start in a new folder"
                )
            bar.update(bar_task, description=f"epoch {epoch + 1}, loss {means['loss']:.3f}, lr {trainer.lr:.2e}")
    bar.remove_task(bar_task)
    return means


def evaluates(settings: Settings, epoch: int, epochs: int) -> bool:
    """Whether an epoch, counted from 1, ends with an evaluation."""
    return bool(settings.eval_every) and (epoch % settings.eval_every == 0 or epoch == epochs)


def open_splits(settings: Settings) -> tuple[Images, Images]:
    """The images to train and to evaluate on, with the same labels.

    Raises:
        HierarchyError: they cannot be read, do not fit the hierarchy or, without one, number their classes differently.
        OptionError: the settings need a hierarchy.
    """
    hierarchy = find_hierarchy(settings)
    images, val_images = (
        open_images(
            settings.source,
            hierarchy=hierarchy,
            split=split,
            classes=settings.classes or (),
            image=settings.image,
            column=settings.column,
        )
        for split in (settings.train_split, settings.val_split)
    )
    for label, pair in enumerate(zip_longest(images.classes, val_images.classes)):
        if pair[0] != pair[1]:
            mine, theirs = ("missing" if name is None else repr(name) for name in pair)
            raise DataError(
                [
                    f"label {label} is {mine} in {images.name} and {theirs} in {val_images.name};"
                    " pass --hierarchy to number both"
                ]
            )
    return images, val_images


def find_hierarchy(settings: Settings) -> Hierarchy | None:
    """The hierarchy of the settings, or the one in the folder of the data."""
    file = Path(settings.source) / HIERARCHY_FILE
    if settings.hierarchy is not None:
        return load(settings.hierarchy)
    if file.is_file():
        return load(file)
    needs = {
        "--grow": settings.grow is not None,
        f"--model {settings.model}": settings.nested and settings.grow is None,
        "--classes": bool(settings.classes),
    }
    flags = [flag for flag, given in needs.items() if given]
    if flags:
        open_data(settings.source)  # data that do not exist are the first problem to report
        raise OptionError(
            f"{' and '.join(flags)} need{'s' * (len(flags) == 1)} a hierarchy; pass --hierarchy, or add {str(file)!r}"
        )
    return None


def create_sampler(settings: Settings, images: Images, val_images: Images, process: Process) -> EpochSampler:
    """The batches of this process.

    Raises:
        TrainingError: there are fewer images than a step needs, or none to evaluate on.
    """
    sampler = EpochSampler(
        len(images),
        batch_size=settings.batch_size,
        seed=settings.seed,
        grad_accum_steps=settings.grad_accum_steps,
        rank=process.rank,
        world_size=process.world_size,
    )
    if not sampler.steps_per_epoch:
        raise TrainingError(
            f"a step needs {count(sampler.step_size, 'image')} (--batch-size {settings.batch_size} x --grad-accum-steps"
            f" {settings.grad_accum_steps} x {process.world_size} processes), but there are {len(images)}; lower"
            " --batch-size"
        )
    if not len(val_images):
        raise TrainingError(f"{val_images.name} has no image of these classes; pass another --val-split")
    return sampler


def summarize(images: Images, val_images: Images, process: Process) -> dict[str, Any]:
    """What decides the result of a training files its settings."""
    labels = hashlib.blake2b(digest_size=16)
    for part in (images, val_images):
        labels.update("\n".join(part.classes).encode() + part.labels.tobytes())
    return {
        "processes": process.world_size,
        "hierarchy": None if images.hierarchy is None else images.hierarchy.digest,
        "images": len(images),
        "labels": labels.hexdigest(),
    }


def progress_bar(console: Console) -> Progress:
    """A progress bar for a terminal; elsewhere it shows nothing."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def say(console: Console, text: str) -> None:
    """Prints a line to stderr, as it is."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
