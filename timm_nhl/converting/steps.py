"""Converts a trained flat classifier into a nested network, step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from timm.data import resolve_data_config

import hierarchy
from hierarchy import Hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.english import count
from hierarchy.errors import nearest
from hierarchy.sources import read_classes
from timm_nhl.converting.distillation import Distiller
from timm_nhl.converting.fit import check_norms, fit
from timm_nhl.converting.images import open_splits
from timm_nhl.converting.measure import measure
from timm_nhl.converting.network import FrozenOutputs, build_network
from timm_nhl.converting.parts import choose_shard
from timm_nhl.converting.settings import STEPS, Conversion
from timm_nhl.converting.teacher import Teacher, open_flat, resize
from timm_nhl.costs import cost
from timm_nhl.data import INITIALIZATION, Images, choose_device, seed_all, write_held_out
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.features import Cached, cache_outputs
from timm_nhl.models import NHL
from timm_nhl.train import RunDir, Settings, Splits, parse_kwargs, say, train_transform

FREE = ("steps", "cache")  # a conversion may go on with other values of these
FITTED = 1000  # images that closed-form fits use; more than the numbers that each fit has, and level with 2,000


def convert(settings: Conversion) -> Path:
    """Converts a flat classifier; returns the folder that `settings.out` names.

    The trunk is the classifier's own and stays as it is. The folder is like that of a training: `settings.json`,
    `metrics.csv`, `resume.pt` and the models `last/` and, if there are labels, `best/` for timm's `local-dir:`. A
    conversion that was stopped resumes after its last finished epoch.

    Raises:
        OptionError: settings that cannot be.
        TrainingError: the folder belongs to another conversion, or the loss is not finite.
        HierarchyError: the data or the hierarchy cannot be read, or do not fit each other.
        NHLError: the classifier cannot be loaded, or the network not be created.
    """
    steps = parse_steps(settings.steps)
    console = Console(stderr=True)
    teacher, tree = open_teacher(settings, console)
    learned = choose_classes(settings, tree)
    splits = open_splits(settings, tree)
    check_taught(teacher, tree, learned, labelled=not settings.no_labels)
    seed_all(settings.seed, INITIALIZATION)
    options = parse_kwargs("--model-kwargs", settings.model_kwargs or ())
    model = build_network(teacher, tree.at(learned), preset=settings.preset, options=options)
    if "fit" in steps:
        check_norms(model)
    facts = {"teacher": teacher.digest, "hierarchy": tree.digest, "images": len(splits.images)}
    run_dir = RunDir(settings, facts=facts, free=FREE)
    checkpoint = run_dir.load_checkpoint()
    work = Work(settings, model, teacher, learned, splits, console)
    with run_dir.lock():
        hierarchy.save(tree, run_dir.path / HIERARCHY_FILE)
        if splits.share:
            write_held_out(run_dir.path, work.held_out, split=settings.train_split)
        work.run(steps, run_dir, checkpoint)
    return run_dir.path


class Work:
    """The steps of a conversion on one network, and what they print."""

    def __init__(
        self,
        settings: Conversion,
        model: NHL,
        teacher: Teacher,
        learned: tuple[int, ...],
        splits: Splits,
        console: Console,
    ) -> None:
        self.settings, self.teacher, self.learned, self.console = settings, teacher, learned, console
        assert splits.val_images is not None
        self.images, self.held_out = splits.images, splits.val_images
        self.device = choose_device(settings.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.inputs = dict(resolve_data_config({}, model=model))
        self.known = teacher.known

    def run(self, steps: tuple[str, ...], run_dir: RunDir, checkpoint: Mapping[str, Any] | None) -> None:
        """Does the steps that are not done yet, and writes what each one made.

        Raises:
            TrainingError: a fit is wanted after distillation, or the loss is not finite.
        """
        rows: list[dict[str, float]] = []
        state: Mapping[str, Any] = {"steps": ()}
        if checkpoint is not None:
            rows, state = list(checkpoint["rows"]), checkpoint["trainer"]
            self.model.load_state_dict(state["model"])
        done = tuple(state["steps"])
        evaluation = self.keep(self.held_out)
        for step in steps:
            if step in (*done, "distil"):
                continue
            if len(rows) > 1:
                raise TrainingError(
                    f"{self.settings.out!r} was distilled without --steps {step}; leave it out, or choose a new folder"
                )
            began = time.monotonic()
            if step == "fit":
                self.fit()
            rows = [{"epoch": 0, **self.measure(evaluation, step, began)}]
            done = (*done, step)
            run_dir.save_epoch(rows, self.model, self.part, {"model": self.model.state_dict(), "steps": done})
        if "distil" in steps:
            self.distil(rows, evaluation, run_dir, {**state, "steps": done})

    def distil(
        self, rows: list[dict[str, float]], evaluation: Cached, run_dir: RunDir, state: Mapping[str, Any]
    ) -> None:
        """Does the epochs that are not done yet."""
        began = time.monotonic()
        kept = self.keep(self.images, augmented=True)
        distiller = Distiller(self.model, kept, self.learned, self.known, settings=self.settings)
        without = distiller.epochs * len(self.images)
        self.say(f"{kept.summary}; {count(distiller.epochs, 'epoch')} would compute {without:,} without it")
        if len(rows) > 1:
            distiller.load_state_dict(state)
            self.say(f"{self.settings.out}: resuming after epoch {len(rows) - 1} of {distiller.epochs}")
        for epoch in range(len(rows) - 1, distiller.epochs):
            row = distiller.train_one_epoch(epoch)
            rows.append({**row, **measure(self.model, evaluation, self.learned, self.known)})
            self.say("  ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()))
            run_dir.save_epoch(rows, self.model, self.part, {**distiller.state_dict(), "steps": state["steps"]})
        self.measure(evaluation, "distil", began)

    def fit(self) -> None:
        """Fits the branches to what the flat network gives for some images, as they are."""
        images = self.images
        if not self.known[list(self.learned)].all():
            self.say("fit: left out, because the flat network does not have all classes")
            return
        some = images.part(0, -(-len(images) // FITTED))
        kept = self.keep(some, maps=True)
        fit(self.model, kept.read(0, range(len(some))), self.learned)

    @property
    def part(self) -> Images:
        """The training images, with the classes that are learned as their names."""
        tree = self.model.hierarchy
        return replace(self.images, classes=tree.classes, hierarchy=tree)

    def keep(self, images: Images, *, augmented: bool = False, maps: bool = False) -> Cached:
        """What the frozen networks give for images, computed unless it is on the disk."""
        settings = self.settings
        recipe = Settings(
            settings.source,
            settings.out,
            scale=settings.scale,
            hflip=settings.hflip,
            color_jitter=settings.color_jitter,
        )
        frozen = FrozenOutputs(self.model.trunk, self.teacher, maps=maps).to(self.device)
        kept = cache_outputs(
            frozen.to(memory_format=torch.channels_last),
            images,
            folder=Path(settings.cache or Path(settings.out) / "features"),
            inputs=self.inputs,
            transform=train_transform(recipe, self.inputs) if augmented else None,
            views=settings.views if augmented else 1,
            seed=settings.seed,
            limit=int(settings.cache_gb * 2**30),
            workers=settings.workers,
            device=self.device,
        )
        if kept.computed and not augmented:  # of the others, `distil` says more
            self.say(kept.summary)
        return kept

    def measure(self, evaluation: Cached, step: str, began: float) -> dict[str, float]:
        """Measures the network after a step, and prints a line about it."""
        found = measure(self.model, evaluation, self.learned, self.known)
        words = [f"{step}:"]
        if "eval_top1" in found:
            flat_too = f" (flat {found['teacher_top1']:.1f} %)" if "teacher_top1" in found else ""
            words.append(f"accuracy {found['eval_top1']:.1f} %{flat_too},")
        if "agreement" in found:
            words.append(f"agreement {found['agreement']:.1f} %,")
        words.append(f"{self._size},")
        words.append(f"{(time.monotonic() - began) / 60:.1f} minutes")
        self.say(" ".join(words))
        return found

    @cached_property
    def _size(self) -> str:
        """What both networks cost, which no step changes."""
        size = self.inputs["input_size"]
        mine, flat = cost(self.model, input_size=size), cost(self.teacher.model, input_size=size)
        return (
            f"{mine.macs / 1e6:.1f}M MACs (flat {flat.macs / 1e6:.1f}M),"
            f" {mine.params / 1e6:.2f}M parameters (flat {flat.params / 1e6:.2f}M)"
        )

    def say(self, text: str) -> None:
        """Prints a line to stderr, as it is."""
        say(self.console, text)


def parse_steps(text: str) -> tuple[str, ...]:
    """The steps that are wanted.

    Raises:
        OptionError: one is unknown, or they do not begin with the first.

    >>> parse_steps("init,distil")
    ('init', 'distil')
    """
    steps = tuple(word.strip() for word in text.split(","))
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        known = ", ".join(STEPS)
        raise OptionError(f"--steps {text!r}: {unknown[0]!r} is not one of {known}{nearest(unknown[0], STEPS)}")
    if steps[0] != STEPS[0] or list(steps) != sorted(set(steps), key=STEPS.index):
        raise OptionError(
            f"--steps {text!r}: steps build on each other; begin with init and keep the order {', '.join(STEPS)}"
        )
    return steps


def open_teacher(settings: Conversion, console: Console) -> tuple[Teacher, Hierarchy]:
    """The flat classifier and the hierarchy of all classes.

    It is that of the settings, the classifier or the data; without one, the classifier's classes share one group.

    Raises:
        NHLError, HierarchyError: one of them cannot be loaded.
    """
    listed = read_classes(settings.labels, fewest=1) if settings.labels else None
    teacher, classes = open_flat(settings.model, names=listed.ids if listed else None, weights=settings.weights)
    if settings.img_size is not None:
        resize(teacher, settings.img_size)
    file = Path(settings.source) / HIERARCHY_FILE
    if settings.hierarchy is not None:
        tree = hierarchy.load(settings.hierarchy)
    elif teacher.hierarchy is not None:
        tree = teacher.hierarchy
    elif file.is_file():
        tree = hierarchy.load(file)
    else:
        tree = Hierarchy.flat(classes, listed.names if listed else None)
        classes_of = f"{count(len(tree), 'class')} of {settings.model!r}"
        say(console, f"no hierarchy: the {classes_of} share one superclass and one group; see --hierarchy")
    return teacher.along(tree, classes), tree


def choose_classes(settings: Conversion, tree: Hierarchy) -> tuple[int, ...]:
    """Labels of the classes that are learned.

    Raises:
        OptionError: they are chosen in two ways, or there is no such part.
        hierarchy.errors.UnknownNode, AmbiguousName: as in `Hierarchy.labels`.
    """
    if settings.shard is not None and settings.classes:
        raise OptionError("--classes and --shard both choose classes; remove one")
    if settings.shard is not None:
        return choose_shard(tree, settings.shard)
    return tree.labels(*settings.classes) if settings.classes else tuple(range(len(tree)))


def check_taught(teacher: Teacher, tree: Hierarchy, learned: tuple[int, ...], *, labelled: bool) -> None:
    """Makes sure that every class that is learned has a teacher.

    Raises:
        OptionError: the flat network does not have some, and there are no labels.
    """
    unknown = [tree.classes[label] for label in learned if not teacher.known[label]]
    if unknown and not labelled:
        some = ", ".join(map(repr, unknown[:3])) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        raise OptionError(
            f"{teacher.source!r} has no output for {some}, so {count(len(unknown), 'class')} cannot be learned without"
            " labels; remove --no-labels, or pass a hierarchy of the classes that it has"
        )
