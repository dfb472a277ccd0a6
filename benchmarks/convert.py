"""What converting a flat classifier gives, beside training a nested network from scratch and the flat one itself.

    python benchmarks/icons.py build/icons
    python benchmarks/experts.py run
    python benchmarks/convert.py run --seeds 1
    python benchmarks/convert.py report
    python benchmarks/convert.py task      # branches of 5 classes alone
    python benchmarks/convert.py halves    # the classifier has one half of the classes, the task is the other half
    python benchmarks/convert.py run --emoji --only "converted from plain"    # and `report --emoji`; see experts.py

Flat networks and those trained from scratch are the ones of `experts.py`. Each conversion has a folder below
`build/convert`; a run skips those that are done and goes on with a stopped one at its last epoch. Conversions of one
classifier share the outputs of its frozen layers; each row's time has what its views cost, whoever computed them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import claim
from accuracy_run import compute_logits, make_tree
from experts_plan import EDGE, EPOCHS, LONGER, RECIPE, SHAPES, Network
from experts_report import Row, compare, format_cell
from experts_run import place, save_logits
from experts_tasks import draw_tasks
from rich.console import Console

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE, open_data, save_data, subset
from hierarchy.files import write_text
from timm_nhl.converting import Conversion, convert, merge
from timm_nhl.converting.images import open_splits
from timm_nhl.converting.network import build_network
from timm_nhl.converting.steps import Work, open_teacher
from timm_nhl.data import open_images
from timm_nhl.export import load_model
from timm_nhl.train import Settings, parse_kwargs, train

SHAPE = f"split=-3 strides=2,2,1 widths={EDGE}"
KINDS = ("all", "20 random", "5 random", "5 related")
SHARED: dict[str, Any] = {"workers": 0, "device": "cpu", "model_kwargs": [SHAPE]}
SHARED |= {name: RECIPE[name] for name in ("batch_size", "scale", "hflip", "color_jitter")}
TEACHER = LONGER[0]  # the best flat network there is
SCRATCH = SHAPES[1]


@dataclass(frozen=True)
class Study:
    """Where images are, networks that `experts.py` trained on them, and what is converted."""

    data: Path
    networks: Path
    folder: Path
    epochs: int  # of the training from scratch

    @property
    def hierarchy(self) -> Path:
        return self.data / HIERARCHY_FILE


BUILD = Path("build")
ICONS = Study(BUILD / "icons", BUILD / "experts", BUILD / "convert", EPOCHS)
EMOJI = Study(BUILD / "emoji-vendors", BUILD / "emoji", BUILD / "convert-emoji", 16)


@dataclass(frozen=True)
class Arm:
    """A way to a nested network.

    Args:
        name: of its row.
        teacher: the flat network that is converted; none for training from scratch.
        images: of each class; none for all.
        shards: parts that are converted apart and merged.
        further: epochs in which all weights are trained afterwards, with the flat network as the teacher.
        tree: kind of hierarchy (see experts_run.py).
        values: settings that differ.
    """

    name: str
    teacher: Network | None = TEACHER
    images: int | None = None
    shards: int = 1
    further: int = 0  # with one shard
    tree: str = "people"
    values: Mapping[str, Any] = field(default_factory=dict)


USUAL: dict[str, Any] = {"epochs": 8, "views": 2}  # what 12,009 images get unless told otherwise
GENTLE = {"lr": 0.004}
ARMS = (
    Arm("converted, 8 epochs", values=USUAL),
    Arm("converted, 8 epochs, 2 views", values={**USUAL, **GENTLE}),
    Arm("converted, 6 epochs", values={**USUAL, "epochs": 6}),
    Arm("converted, 6 epochs, 3 views", values={"epochs": 6, "views": 3, **GENTLE}),
    Arm("converted, 8 epochs, then all weights, 2 epochs", values=USUAL, further=2),
    Arm("converted in 4 shards and merged, 8 epochs", shards=4, values=USUAL),
    # expected: half a point above the tree on all classes, level among 5
    Arm("converted without a tree, 8 epochs", tree="single", values=USUAL),
    # expected: a point below 8 epochs on all classes, still above 8 epochs along a tree
    Arm("converted without a tree, 5 epochs", tree="single", values={**USUAL, "epochs": 5}),
    Arm("converted without labels, 8 epochs", values={**USUAL, "no_labels": True}),
    Arm("converted from plain, 8 epochs", teacher=SHAPES[0], values=USUAL),
    Arm("converted from plain", teacher=SHAPES[0]),  # 5,278 emoji get 16 epochs
    # written after 8 epochs on emoji, 4.6 points below training from scratch on all classes: 2 below it
    Arm("converted from plain, 11 epochs", teacher=SHAPES[0], values={"epochs": 11, "views": 2}),
    # expected on emoji: level with the tree on all classes, 2 points below it among 5 related ones
    Arm("converted from plain, without a tree", teacher=SHAPES[0], tree="single"),
    Arm("converted, 10 images a class", images=10, values={"epochs": 36, "views": 4}),
    # expected: 3 points above the tree on all classes, whose superclasses see too few images
    Arm("converted without a tree, 10 images a class", tree="single", images=10, values={"epochs": 36, "views": 4}),
    Arm("from scratch, 10 images a class", teacher=None, images=10),
    Arm("converted, 50 images a class, 8 epochs", images=50, values=USUAL),
    Arm("from scratch, 50 images a class", teacher=None, images=50),
)


def find(study: Study, arm: Arm, seed: int) -> Path:
    """The folder of an arm."""
    return study.folder / f"{''.join(letter if letter.isalnum() else '_' for letter in arm.name)}_seed{seed}"


def take_images(study: Study, images: int | None, seed: int) -> Study:
    """The study with at most so many training images of each class."""
    if images is None:
        return study
    folder = study.folder / f"icons_{images}_seed{seed}"
    if not folder.exists():
        data = open_data(str(study.data))
        labels = np.array(data["train"]["label"])
        order = np.random.default_rng(seed).permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == label][:images] for label in np.unique(labels)])
        data["train"] = data["train"].select(np.sort(chosen))
        temporary = folder.with_suffix(".part")
        save_data(data, temporary)
        (temporary / HIERARCHY_FILE).write_bytes(study.hierarchy.read_bytes())
        temporary.rename(folder)
    return replace(study, data=folder)


def run(study: Study, arm: Arm, seed: int) -> Path:
    """Does an arm, or goes on where a stopped run left it; returns its folder, which then has `result.json`."""
    own = find(study, arm, seed)
    own.mkdir(parents=True, exist_ok=True)
    study = take_images(study, arm.images, seed)
    frozen = compute_views(study, arm, seed) if arm.teacher is not None else 0.0
    clock = own / "seconds.txt"
    before = float(clock.read_text()) if clock.exists() else 0.0
    began = time.process_time()
    try:
        made = train_afresh(study, own, seed) if arm.teacher is None else convert_parts(study, arm, own, seed)
    finally:
        seconds = before + time.process_time() - began
        write_text(clock, f"{seconds:.1f}\n")
    tree = hierarchy.load(study.hierarchy)
    hierarchy.save(tree, own / "tree.json")
    model = load_model(str(made))
    save_logits(model, study.data, tree, own)
    write_text(
        own / "result.json", json.dumps({"name": arm.name, "seed": seed, "cpu_seconds": round(seconds + frozen)})
    )
    return own


def compute_views(study: Study, arm: Arm, seed: int) -> float:
    """Has the classifier's outputs for an arm's views; returns the processor seconds that such views take."""
    values = fill_in(study, arm, seed)
    settings = Conversion(str(flat_folder(study, arm, seed)), str(study.data), str(find(study, arm, seed)), **values)
    teacher, tree = open_teacher(settings, Console(stderr=True))
    splits = open_splits(settings, tree)
    model = build_network(teacher, tree, preset=None, options=parse_kwargs("--model-kwargs", [SHAPE]))
    work = Work(settings, model, teacher, tuple(range(len(tree))), splits, Console(stderr=True))
    began = time.process_time()
    kept = work.keep(splits.images, augmented=True)
    file = kept.folder.parent / f"{kept.folder.name}.json"
    if kept.computed:
        done = json.loads(file.read_text()) if file.exists() else {"outputs": 0, "seconds": 0.0}
        done["outputs"] += kept.computed
        done["seconds"] += time.process_time() - began
        write_text(file, json.dumps(done))
    done = json.loads(file.read_text())
    return settings.views * kept.images * done["seconds"] / done["outputs"]


def convert_parts(study: Study, arm: Arm, own: Path, seed: int) -> Path:
    """Converts in one part or several."""
    flat, data = str(flat_folder(study, arm, seed)), str(study.data)
    values = fill_in(study, arm, seed)
    if arm.shards == 1:
        made = convert(Conversion(flat, data, str(own / "run"), **values)) / "last"
        return train_further(study, arm, own, seed) if arm.further else made
    parts = [
        convert(Conversion(flat, data, str(own / f"part{k}"), shard=f"{k}/{arm.shards}", **values))
        for k in range(1, arm.shards + 1)
    ]
    if not (own / "merged").exists():
        merge([str(part) for part in parts], own / "merged")
    return own / "merged" / "last"


def train_further(study: Study, arm: Arm, own: Path, seed: int) -> Path:
    """Trains all weights of a converted network, at the learning rate that is usual for that."""
    values = {name: value for name, value in RECIPE.items() if name not in ("lr", "img_size", "warmup_epochs")}
    values |= {"epochs": arm.further, "seed": seed, "hierarchy": str(study.hierarchy)}
    values |= {"finetune": str(own / "run" / "last"), "teacher": str(flat_folder(study, arm, seed) / "last")}
    return train(Settings(str(study.data), out=str(own / "tuned"), **values)) / "last"


def flat_folder(study: Study, arm: Arm, seed: int) -> Path:
    """The classifier that an arm converts."""
    assert arm.teacher is not None
    return place(arm.teacher, seed, study.networks) / "run"


def fill_in(study: Study, arm: Arm, seed: int) -> dict[str, Any]:
    """All settings of a conversion but its folders."""
    tree = study.hierarchy
    if arm.tree != "people":
        tree = study.folder / f"{arm.tree}.json"
        hierarchy.save(make_tree(arm.tree, study.data, seed=seed), tree)
    shared = {"hierarchy": str(tree), "cache": str(study.folder / "features"), "cache_gb": 30.0}
    return {**SHARED, **shared, **arm.values, "seed": seed}


def train_afresh(study: Study, own: Path, seed: int) -> Path:
    """Trains from scratch, for as many epochs as give a quarter of all steps on all images."""
    images = len(open_images(str(study.data), hierarchy=hierarchy.load(study.hierarchy), split="train"))
    epochs = round(RECIPE["epochs"] * 12_000 / images / 4)
    values = {**RECIPE, "epochs": epochs, "warmup_epochs": epochs / 12, "seed": seed}
    values |= {"model": SCRATCH.model, "model_kwargs": [SHAPE], "hierarchy": str(study.hierarchy)}
    return train(Settings(str(study.data), out=str(own / "run"), **values)) / "last"


def list_rows(study: Study, seeds: range) -> Iterator[Row]:
    """The rows of the table: what there was, then what was converted."""
    tree = hierarchy.load(study.hierarchy)
    for network in (SCRATCH, *SHAPES[:1], TEACHER):
        folders = {seed: place(network, seed, study.networks) for seed in seeds}
        yield Row(network, {seed: each for seed, each in folders.items() if (each / "result.json").exists()}, tree)
    for arm in ARMS:
        folders = {seed: find(study, arm, seed) for seed in seeds}
        done = {seed: each for seed, each in folders.items() if (each / "result.json").exists()}
        yield Row(Network(arm.name, SCRATCH.model, SHAPE, "people"), done, tree)


def format_rows(study: Study, seeds: range) -> Iterator[str]:
    """Lines of a table: top-1 by kind of task, how far from the nested network that was trained from scratch."""
    rows = [row for row in list_rows(study, seeds) if row.folders]
    yield f"| test images | {' | '.join(KINDS)} | core-minutes |"
    yield "|---" * (2 + len(KINDS)) + "|"
    base = rows[0]
    for row in rows:
        cells = []
        for kind in KINDS:
            mine = row.mark(kind, "test")
            gap = None if row is base else compare((row, mine), (base, base.mark(kind, "test")))
            cells.append(format_cell(mine, gap))
        yield f"| {row.network.name} ({len(row.folders)}) | {' | '.join(cells)} | {row.minutes:.1f} |"


def measure_task(seed: int) -> Path:
    """Converts for the first task of 5 random classes alone, to compare its minutes with those of all classes."""
    tree = hierarchy.load(ICONS.hierarchy)
    task = draw_tasks("5 random", tree, seed=seed)[0]
    arm = Arm("converted for 5 classes", values={**USUAL, "classes": list(task)})
    own = find(ICONS, arm, seed)
    own.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    convert_parts(ICONS, arm, own, seed)
    print(
        f"{own.name}: {(time.process_time() - began) / 60:.1f} core-minutes beside the views, for {', '.join(task)}",
        file=sys.stderr,
    )
    return own


def take_half(seed: int) -> tuple[list[str], Path]:
    """The classes of one half, drawn at random, and the data of the other half."""
    tree = hierarchy.load(ICONS.hierarchy)
    drawn = set(random.Random(f"halves {seed}").sample(tree.classes, len(tree) // 2))
    folder = ICONS.folder / f"half_seed{seed}"
    if not folder.exists():
        other = subset(open_data(str(ICONS.data)), tree, [id for id in tree.classes if id not in drawn])
        temporary = folder.with_suffix(".part")
        save_data(other.data, temporary)
        hierarchy.save(other.hierarchy, temporary / HIERARCHY_FILE)
        temporary.rename(folder)
    return [id for id in tree.classes if id in drawn], folder


def measure_halves(seed: int, *, epochs: int) -> None:
    """Trains a flat network on half of the classes and converts it for the others, beside training from scratch."""
    first, data = take_half(seed)
    own, tree = ICONS.folder / f"halves_seed{seed}", str(data / HIERARCHY_FILE)
    recipe = {**RECIPE, "seed": seed, "epochs": epochs, "warmup_epochs": epochs / 12}
    flat = {"model": SHAPES[0].model, "hierarchy": str(ICONS.hierarchy), "classes": first}
    nested = {"model": SCRATCH.model, "hierarchy": tree, "model_kwargs": [SHAPE]}
    values = {**SHARED, **USUAL, "seed": seed, "hierarchy": tree}
    ways: dict[str, Callable[[], Path]] = {
        "flat": lambda: train(Settings(str(ICONS.data), out=str(own / "flat"), **{**recipe, **flat})),
        "converted": lambda: convert(Conversion(str(own / "flat"), str(data), str(own / "converted"), **values)),
        "scratch": lambda: train(Settings(str(data), out=str(own / "scratch"), **{**recipe, **nested})),
    }
    images = open_images(str(data), hierarchy=hierarchy.load(tree), split="test")
    for name, make in ways.items():
        file = own / f"{name}.json"
        if not file.exists():
            began = time.process_time()
            folder = make()
            found: dict[str, Any] = {"name": name, "seed": seed, "cpu_seconds": round(time.process_time() - began)}
            if name != "flat":
                right = compute_logits(load_model(str(folder / "last")), images).numpy().argmax(1) == images.labels
                found |= {"top1": 100 * float(right.mean()), "images": len(images)}
            write_text(file, json.dumps(found))
        print(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "task", "halves", "report"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=6, help="of the trainings of `halves`")
    parser.add_argument("--emoji", action="store_true", help="of `run` and `report`: emoji, not icons")
    parser.add_argument("--only", help="the arm of this name, or arms whose name contains it")
    options = parser.parse_args()
    if options.emoji and options.action in ("task", "halves"):
        parser.error(f"{options.action} is for icons; leave --emoji out")
    seeds = range(options.seeds)
    study = EMOJI if options.emoji else ICONS
    if options.action == "report":
        print("\n".join(format_rows(study, seeds)))
        return
    import torch

    torch.set_num_threads(1)
    study.folder.mkdir(parents=True, exist_ok=True)
    if options.action == "task":
        measure_task(0)
        return
    if options.action == "halves":
        for seed in seeds:
            measure_halves(seed, epochs=options.epochs)
        return
    possible = [arm for arm in ARMS if not options.emoji or (arm.teacher == SHAPES[0] and arm.images is None)]
    named = [arm for arm in possible if (options.only or "") in arm.name]
    wanted = [arm for arm in named if arm.name == options.only] or named
    for seed in seeds:
        for arm in wanted:
            own = find(study, arm, seed)
            if (own / "result.json").exists():
                continue
            with claim(study.folder / f"{own.name}.lock") as mine:
                if mine:
                    run(study, arm, seed)


if __name__ == "__main__":
    main()
