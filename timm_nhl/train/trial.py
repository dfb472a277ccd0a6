"""A minute on the user's own data before the whole training: do images, labels and hierarchy make sense?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from timm.utils.distributed import is_distributed_env
from torch import Tensor

from hierarchy.errors import os_reason
from timm_nhl.data import EpochSampler, Images
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.train import distributed
from timm_nhl.train.run_dir import PICTURE
from timm_nhl.train.settings import Settings, check, complete
from timm_nhl.train.splits import Splits, create_sampler, open_splits
from timm_nhl.train.trainer import Trainer

CLASSES, EACH = 5, 64  # few classes with many images each: a network learns to tell them apart in a minute
BATCH = 32  # at most: some steps of a large network must fit into the time
SECONDS = 45.0  # of training; opening, timing and evaluating take the rest of the minute
COLUMNS, SIDE, LINE = 6, 160, 12  # of the picture, in images and pixels


@dataclass(frozen=True)
class Trial:
    """What a trial found.

    Args:
        picture: the file with a batch as the network sees it.
        classes: names of those that were trained on.
        correct, images: of these classes' images, which were not trained on if `unseen`.
        chance: the share that guessing the most frequent class would get right.
        minutes: that the whole training is expected to take.
        lines: what was chosen for the whole training.
    """

    picture: Path
    classes: tuple[str, ...]
    correct: int
    images: int
    unseen: bool
    chance: float
    seconds: float
    minutes: float
    epochs: int
    lines: tuple[str, ...]

    @property
    def learns(self) -> bool:
        """Whether more images are right than guessing would get in 19 of 20 trials."""
        spread = 1.64 * (self.chance * (1 - self.chance) * self.images) ** 0.5  # one-sided, normal approximation
        return bool(self.correct > self.chance * self.images + spread)

    def describe(self) -> Iterator[str]:
        """The result, line by line."""
        yield from self.lines
        yield f"{self.picture} shows a batch as the network sees it, with its labels"
        share, kind = self.correct / self.images, "unseen images" if self.unseen else "images that it was trained on"
        found = (
            f"after {self.seconds:.0f} s on {', '.join(self.classes)}: {share:.0%} of {self.images} {kind} are right"
        )
        if self.learns:
            yield f"{found}, guessing gives {self.chance:.0%}: the labels can be learned"
        else:
            yield f"{found}, no more than guessing ({self.chance:.0%}): do images and labels match? look at it"
        yield f"the whole training: {self.epochs} epochs, about {self.minutes:.0f} minutes at most"


def try_out(settings: Settings, *, seconds: float = SECONDS, least: int = 2) -> Trial:
    """Trains for a short time on a few classes, as the settings say, and times what the whole training would do.

    Args:
        seconds: of training.
        least: steps, however long they take.

    Leaves the picture of a batch in the folder of the settings, and nothing else.

    Raises the errors of `train`.
    """
    check(settings)
    if is_distributed_env():
        raise OptionError("--try runs in one process; start it without torchrun")
    with distributed.join(settings.device) as process:
        splits = open_splits(settings)
        labels = choose_labels(splits)
        chosen, lines = complete(settings, splits.find_facts(settings, process))
        constant = replace(chosen, sched="constant", warmup_epochs=0.0, cooldown_epochs=0, cache=None)
        sampler = create_sampler(constant, splits.images, process)
        trainer = Trainer(constant, splits.images, sampler=sampler, process=process, start=splits.start)
        x, target = next(iter(trainer.loader))
        picture = Path(settings.out) / PICTURE
        _save(draw(x, target, trainer, splits.images), picture)
        few = splits.images.of_labels(labels, each=EACH)
        per_image = fit(trainer, few, seconds, least=least)
        held = few if splits.val_images is None else splits.val_images.of_labels(labels, each=EACH)
        right, per_tested = judge(trainer, held, labels)
        tested = 0 if splits.val_images is None else len(splits.val_images)
        counts = np.bincount(held.labels)
        return Trial(
            picture=picture,
            classes=tuple(map(splits.images.name_of, labels)),
            correct=right,
            images=len(held),
            unseen=splits.val_images is not None,
            chance=float(counts.max() / counts.sum()),
            seconds=seconds,
            minutes=(len(splits.images) * per_image + tested * per_tested) * trainer.epochs / 60,
            epochs=chosen.epochs,
            lines=tuple(lines),
        )


def choose_labels(splits: Splits) -> list[int]:
    """The classes with the most images, to evaluate on as well as to train on."""
    classes = len(splits.images.classes)
    parts = [splits.images] if splits.val_images is None else [splits.images, splits.val_images]
    enough = np.minimum.reduce([np.bincount(part.labels, minlength=classes) for part in parts])
    first = np.argsort(-enough, kind="stable")[:CLASSES]
    if enough[first].min() == 0:
        first = first[enough[first] > 0]
    if len(first) < 2:
        raise TrainingError(
            f"--try needs two classes with images to train and to evaluate on, found {len(first)}; add images or"
            " classes"
        )
    return sorted(map(int, first))


def fit(trainer: Trainer, images: Images, seconds: float, *, least: int) -> float:
    """Trains on some images for some seconds and steps; returns the seconds per image, loading included."""
    batch_size = min(trainer.settings.batch_size, BATCH, len(images))
    sampler = EpochSampler(len(images), batch_size=batch_size, seed=trainer.settings.seed)
    loader = trainer.create_loader(images, sampler)
    trainer.train_mode()
    timed: list[float] = []
    began = time.perf_counter()
    while True:
        sampler.set_epoch(len(timed))
        start = time.perf_counter()
        for x, target in loader:
            trainer.compute_gradients(x, target, step=len(timed), micro=trainer.settings.grad_accum_steps - 1)
            trainer.optimizer_step(len(timed) + 1)
            now = time.perf_counter()
            timed.append((now - start) / len(x))
            if now - began >= seconds and len(timed) >= least:
                return float(np.median(timed))  # the first step allocates memory
            start = now


def judge(trainer: Trainer, images: Images, labels: Sequence[int]) -> tuple[int, float]:
    """How many images are right if only these classes compete, and the seconds per image."""
    columns = torch.tensor(labels, device=trainer.process.device)
    began, right = time.perf_counter(), 0
    for target, logits in trainer.predict(images, trainer.model):
        right += int((columns[logits[:, columns].argmax(1)] == target).sum())
    return right, (time.perf_counter() - began) / len(images)


def draw(x: Tensor, target: Tensor, trainer: Trainer, images: Images) -> Image.Image:
    """A sheet of the images of a batch, each above its label and the nodes it lies in.

    Args:
        x: (B, 3, H, W), normalised.
        target: (B,).
    """
    mean, std = (x.new_tensor(trainer.inputs[name]).view(3, 1, 1) for name in ("mean", "std"))
    shown = (x[: COLUMNS * 4] * std + mean).clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1).cpu().numpy()
    rows = -(-len(shown) // COLUMNS)
    tall = SIDE + 3 * LINE
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * tall), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (pixels, label) in enumerate(zip(shown, target.tolist(), strict=False)):
        left, top = number % COLUMNS * SIDE, number // COLUMNS * tall
        sheet.paste(Image.fromarray(pixels).resize((SIDE - 2, SIDE - 2), Image.Resampling.NEAREST), (left, top))
        above = () if images.hierarchy is None else images.hierarchy.groups[label]
        for line, text in enumerate((images.name_of(label), *reversed(above))):
            # the built-in font has Latin-1 only
            words = text[:26].encode("latin-1", "replace").decode("latin-1")
            pen.text((left, top + SIDE + line * LINE - 2), words, fill="black" if not line else "gray")
    return sheet


def _save(sheet: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except OSError as error:
        raise TrainingError(f"cannot write {str(path)!r}: {os_reason(error)}; choose another --out") from None
