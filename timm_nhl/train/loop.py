"""The training loop: data, model, epochs, and what they leave in a folder.

Everything random is a function of the seed and of where it is drawn (`timm_nhl.data`), so a run that resumes at the
end of an epoch has the same weights, bit for bit, as one that was never stopped. A killed run repeats its last epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from hierarchy.english import count
from timm_nhl.data import Images, write_held_out
from timm_nhl.errors import TrainingError
from timm_nhl.growing import Growth
from timm_nhl.train import distributed
from timm_nhl.train.run_dir import Row, RunDir, rank
from timm_nhl.train.settings import Chosen, Settings, check, complete
from timm_nhl.train.splits import Splits, create_sampler, open_splits
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
        console = Console(stderr=True, quiet=not process.is_main)
        splits = open_splits(settings)
        chosen, choices = complete(settings, splits.find_facts(settings, process))
        sampler = create_sampler(chosen, splits.images, process)
        run_dir = RunDir(chosen, facts=splits.describe(process))
        checkpoint = run_dir.load_checkpoint()
        trainer = Trainer(chosen, splits.images, sampler=sampler, process=process, start=splits.start)
        rows: list[Row] = []
        if checkpoint is not None:
            rows = checkpoint["rows"]
            trainer.load_state_dict(checkpoint["trainer"])
        process.wait()  # no process writes to the folder before all have looked at it
        if is_finished(rows, trainer.epochs, chosen.patience):
            say(console, f"{settings.out}: this training is finished; nothing to do")
            return run_dir.path
        if rows:
            say(console, f"{settings.out}: resuming after epoch {len(rows)} of {trainer.epochs}")
        else:
            for line in [*describe_splits(splits), *choices]:
                say(console, line)
        if isinstance(trainer.model, Growth):
            say(console, trainer.model.summary)
        if trainer.cached is not None:
            without = trainer.epochs * len(splits.images)
            say(console, f"{trainer.cached.summary}; {trainer.epochs} epochs would compute {without:,} without it")
        with run_dir.lock() if process.is_main else nullcontext(), progress_bar(console) as bar:
            if splits.share and process.is_main:
                assert splits.val_images is not None
                write_held_out(run_dir.path, splits.val_images, split=chosen.train_split)
            while not is_finished(rows, trainer.epochs, chosen.patience):
                row = run_epoch(trainer, len(rows), splits.val_images, bar)
                say(console, "  ".join(f"{name} {value:.4g}" for name, value in row.items()))
                rows.append(row)
                if process.is_main:
                    run_dir.save_epoch(rows, trainer.best_model, splits.images, trainer.state_dict())
            if len(rows) < trainer.epochs:
                say(console, f"stopped: no better top-1 in {count(chosen.patience, 'epoch')}; see --patience")
    return run_dir.path


def train_in_memory(settings: Settings, images: Images) -> nn.Module:
    """Trains a model on some images like `train`, but writes and resumes nothing; returns the model.

    Raises the errors of `train`.
    """
    check(settings)
    with distributed.join(settings.device) as process:
        chosen, _ = complete(settings, Splits(images, None).find_facts(settings, process))
        sampler = create_sampler(chosen, images, process)
        trainer = Trainer(chosen, images, sampler=sampler, process=process)
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


def run_epoch(trainer: Trainer, epoch: int, val_images: Images | None, bar: Progress) -> Row:
    """Trains an epoch, counted from 0, and evaluates; returns what is known of it."""
    began = time.monotonic()
    losses = train_one_epoch(trainer, epoch, bar)
    row: Row = {"epoch": epoch + 1, "lr": trainer.lr, **losses}
    if val_images is not None and evaluates(trainer.settings, epoch + 1, trainer.epochs):
        row |= trainer.evaluate(val_images)
    row["seconds"] = time.monotonic() - began
    return row


def is_finished(rows: Sequence[Row], epochs: int, patience: int) -> bool:
    """Whether all epochs are trained, or the last `patience` of them were no better than one before.

    >>> rows = [{"epoch": 1, "eval_top1": 50.0}, {"epoch": 2, "eval_top1": 40.0}, {"epoch": 3, "eval_top1": 45.0}]
    >>> is_finished(rows, 9, 2), is_finished(rows, 9, 3), is_finished(rows, 9, 0), is_finished(rows, 3, 0)
    (True, False, False, True)
    """
    if len(rows) >= epochs:
        return True
    if not rows or not patience or "eval_top1" not in rows[-1]:
        return False
    return len(rows) - max(rows, key=rank)["epoch"] >= patience


def describe_splits(splits: Splits) -> list[str]:
    """What to evaluate on, if that was decided here, and what is left out."""
    lines = []
    if splits.others:
        lines.append(f"left out: {count(splits.others, 'image')} of classes that the model does not have")
    if splits.share:
        assert splits.val_images is not None
        held = count(len(splits.val_images), "image")
        lines.append(
            f"no validation split: {held} ({splits.share:.0%} of each class) held out; see --val-split, --val-share"
        )
    elif splits.val_images is None:
        lines.append("no validation split: this training is not evaluated")
    return lines


def evaluates(settings: Chosen, epoch: int, epochs: int) -> bool:
    """Whether an epoch, counted from 1, ends with an evaluation."""
    return bool(settings.eval_every) and (epoch % settings.eval_every == 0 or epoch == epochs)


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
