"""Training: `timm-nhl train` or `python -m timm_nhl.train`, alone or by torchrun.

timm's own parts (transforms, optimizers, schedules, tasks, moving average) around one loop. All that is random is a
function of the seed and of where it is drawn (`timm_nhl.data.seeds`), so a killed run continues as if nothing happened.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hierarchy import Hierarchy, load
from hierarchy.dataset.loading import BESIDE, open_data
from hierarchy.errors import DataError
from timm_nhl.cli.asked import listed
from timm_nhl.cli.train_flags import command_of
from timm_nhl.data.images import Images, open_images
from timm_nhl.data.sampler import Order
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.export import find_folder
from timm_nhl.growing import Growth
from timm_nhl.train.build import is_nested
from timm_nhl.train.config import Settings
from timm_nhl.train.config_check import check
from timm_nhl.train.display import Display
from timm_nhl.train.distributed import Process, joined
from timm_nhl.train.learner import Learner
from timm_nhl.train.progress import Progress, Row
from timm_nhl.train.run_dir import RunFolder


def train(settings: Settings, *, out: Path) -> Path:
    """Trains a model; gives the folder of what came of it.

    The folder holds `settings.json`, `metrics.csv`, `curves.html`, and the models `last/` and `best/` for timm's
    `local-dir:`. What an earlier run of the same training left there is gone on with; one that is finished stays as it
    is.

    Raises:
        OptionError: settings that cannot be, all that are wrong.
        TrainingError: the folder is of another training; or the loss is no number any more.
        HierarchyError: the data or the hierarchy cannot be read, or do not fit.
        NHLError: the model cannot be made.
    """
    check(settings)
    with joined(settings.machine.device) as process:
        images, val_images = open_splits(settings)
        schedule = settings.schedule
        order = Order(
            images=len(images),
            batch_size=schedule.batch_size,
            seed=settings.machine.seed,
            micro_batches=schedule.grad_accum_steps,
            processes=process.count,
        )
        check_sizes(order, val_images)
        command = command_of(settings, out)
        folder = RunFolder(Path(out), settings, facts=facts_of(settings, images, val_images, process), command=command)
        state = folder.state()
        learner = Learner(settings, images, order=order, process=process)
        progress = Progress()
        if state is not None:
            learner.load_state(state["learner"])
            progress = Progress.of_state(state["progress"], process)
        process.wait()  # all have looked at the folder before one writes to it
        display = Display(
            learner.steps, done=progress.step, tensorboard=folder.path / "tensorboard", shows=process.writes
        )
        if progress.step == learner.steps:
            display.say(f"{out}: this training is finished; nothing was done")
            return Path(out)
        with folder.held() if process.writes else nullcontext(), display:
            if isinstance(learner.model, Growth):
                display.say(learner.model.summary)
            if progress.step:
                display.say(f"{out}: going on behind step {progress.step} of {learner.steps}")
            if process.writes:
                folder.write_metrics(progress.rows)
            run(learner, images, val_images, progress, folder, display)
    return Path(out)


def run(
    learner: Learner, images: Images, val_images: Images, progress: Progress, folder: RunFolder, display: Display
) -> None:
    """Trains from the step it is at to the last one."""
    order, record, process = learner.order, learner.settings.record, learner.process
    batches = iter(learner.batches(images, range(progress.step, learner.steps)))
    began = time.monotonic() - progress.seconds
    for step in range(progress.step, learner.steps):
        learner.train_mode()
        for micro in range(order.micro_batches):
            x, target = next(batches)  # (B, C, H, W), (B,)
            progress.add(learner.learn(x, target, step=step, micro=micro))
        learner.update(step + 1)
        progress.step, progress.seconds = step + 1, time.monotonic() - began
        display.step(progress.step)

        epoch, left = divmod(progress.step, order.steps_per_epoch)
        if progress.step % record.log_interval == 0:
            display.losses(progress.means(process), step=progress.step, lr=learner.rate)
        if left == 0:
            row: Row = {"epoch": epoch, "step": progress.step, "lr": learner.rate, **progress.means(process)}
            if record.eval_every and (epoch % record.eval_every == 0 or progress.step == learner.steps):
                row |= learner.evaluate(val_images)
            row["seconds"] = time.monotonic() - began
            keep(row, learner, images, progress, folder)
            display.epoch(row, step=progress.step)
            began = time.monotonic()
        if left == 0 or (record.save_every and progress.step % record.save_every == 0):
            progress.means(process)  # nothing is saved once the loss is no number
            save(learner, progress, folder)


def keep(row: Row, learner: Learner, images: Images, progress: Progress, folder: RunFolder) -> None:
    """Ends an epoch: writes its row and the model, also as the best one if it is."""
    top1 = row.get("ema_top1", row.get("eval_top1"))
    is_best = top1 is not None and (progress.best is None or top1 > progress.best)
    progress.best = top1 if is_best else progress.best
    progress.end_epoch(row)
    if learner.process.writes:
        folder.write_metrics(progress.rows)
        model = learner.saved_model  # of one that is grown, a copy
        for name in ("last", "best") if is_best else ("last",):
            folder.write_model(name, model, classes=images.classes, tree=images.hierarchy)


def save(learner: Learner, progress: Progress, folder: RunFolder) -> None:
    """Writes all that a run needs to go on from here."""
    state = {"progress": progress.state(learner.process), "learner": learner.state()}  # all processes' sums
    if learner.process.writes:
        folder.write_state(state)


def open_splits(settings: Settings) -> tuple[Images, Images]:
    """The images that are trained on and those that are evaluated on, with labels of the same classes.

    Raises:
        HierarchyError: they cannot be read, do not fit the hierarchy or, without one, number their classes differently.
        OptionError: a hierarchy is needed and none is given.
    """
    data, tree = settings.data, hierarchy_of(settings)
    images, val_images = (
        open_images(
            settings.source,
            hierarchy=tree,
            split=split,
            classes=listed(tree, data.classes) if tree is not None else (),
            image=data.image,
            column=data.column,
        )
        for split in (data.train_split, data.val_split)
    )
    for label, (name, other) in enumerate(zip_longest(images.classes, val_images.classes)):
        if name != other:
            raise DataError(
                [
                    f"label {label} is {_called(name)} in {images.name} and {_called(other)} in {val_images.name};"
                    " give --hierarchy, along which both are numbered"
                ]
            )
    return images, val_images


def _called(name: str | None) -> str:
    return "no class" if name is None else repr(name)


def hierarchy_of(settings: Settings) -> Hierarchy | None:
    """The hierarchy that is asked for, or the one beside the data."""
    beside = Path(settings.source) / BESIDE
    if settings.data.hierarchy is not None:
        return load(settings.data.hierarchy)
    if beside.is_file():
        return load(beside)
    needs = ["--grow"] if settings.model.grow is not None else []
    if is_nested(settings.model.model) and not needs:
        needs.append(f"--model {settings.model.model}")
    needs += ["--level-loss"] if any(settings.loss.level_loss) else []
    needs += ["--classes"] if settings.data.classes else []
    if needs:
        open_data(settings.source)  # no hierarchy is missed beside data that are not there
        raise OptionError(
            f"{' and '.join(needs)} need{'s' * (len(needs) == 1)} a hierarchy, and there is no {str(beside)!r};"
            " give --hierarchy"
        )
    return None


def check_sizes(order: Order, val_images: Images) -> None:
    """Raises:
    TrainingError: there is not even one step of images, or nothing to evaluate on.
    """
    if not order.steps_per_epoch:
        raise TrainingError(
            f"{order.images} images are fewer than the {order.step_size} of one step (--batch-size"
            f" {order.batch_size} x {order.micro_batches} micro batches x {order.processes} processes);"
            " lower --batch-size"
        )
    if not len(val_images):
        raise TrainingError(f"{val_images.name} holds no images of these classes; name another --val-split")


def facts_of(settings: Settings, images: Images, val_images: Images, process: Process) -> dict[str, Any]:
    """What decides a training beside its settings.

    Weights to begin with are not among them: from the first state on, those of the state count.
    """
    return {
        "processes": process.count,
        "hierarchy": None if images.hierarchy is None else images.hierarchy.digest,
        "images": len(images),
        "evaluated images": len(val_images),
        "digest of the labels": _digest(images.labels.tobytes(), val_images.labels.tobytes()),
        "digest of the class names": _digest(*(name.encode() for name in images.classes)),
        "digest of the teacher": None if settings.loss.teacher is None else _digest_of(settings.loss.teacher),
    }


def _digest_of(saved: str) -> str:
    """Of all files in the folder of a saved model."""
    folder = find_folder(saved)
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return _digest(*(part for path in files for part in (path.name.encode(), path.read_bytes())))


def _digest(*parts: bytes) -> str:
    return hashlib.blake2b(b"".join(hashlib.blake2b(part).digest() for part in parts), digest_size=16).hexdigest()


if __name__ == "__main__":
    from timm_nhl.cli.train import main

    main()
