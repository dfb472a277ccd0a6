"""Trains a network of a plan and measures it on the images of the vendor held out of training."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from accuracy_plan import FLAT, NESTED, List, Training, draw_parts
from emoji import CACHE, draw_lists, select_usable, write_emoji
from emoji_sheets import VENDORS, fetch, read_sheet
from timm.data import resolve_data_config
from timm.models import save_for_hf
from torch import Tensor, nn

import hierarchy
from hierarchy import Hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.errors import OutputError
from hierarchy.files import write_text
from hierarchy.io import save
from timm_nhl.costs import Cost, CostCounter
from timm_nhl.data import Images, eval_loader, open_images
from timm_nhl.models import NHL
from timm_nhl.train import Settings, train_in_memory

SEED = 0  # of the lists of classes
DECIMALS = 4  # of a logit in a file


def make_dataset(each: List, folder: Path) -> Path:
    """Writes the dataset of a list unless it exists; returns its folder."""
    place = folder / each.name
    if not place.exists():
        sheets = [read_sheet(fetch(vendor, CACHE), vendor) for vendor in VENDORS]
        emoji = select_usable(sheets)
        if each.classes is not None:
            emoji = draw_lists(emoji, each.classes, seed=SEED, count=each.part + 1)[each.part]
        command = f"benchmarks/accuracy.py, list {each.name}"
        try:
            write_emoji(place, sheets, emoji, test_vendor=each.test_vendor, command=command)
        except OutputError:
            if not place.exists():  # otherwise another process was faster
                raise
    return place


def make_tree(kind: str, data: Path, *, seed: int = 0) -> Hierarchy:
    """A hierarchy of a dataset's classes, with its labels.

    `generated` is what `hierarchy.generate` makes of the names, with as many nodes as the dataset's own; `random` has
    the shape of that with the classes shuffled, another shuffle for each seed; `single` has one superclass and one
    group; any other kind is the dataset's own.

    Raises:
        hierarchy.errors.ShapeError: the names cannot be clustered into the number of nodes of the dataset's tree.
    """
    own = hierarchy.load(data / HIERARCHY_FILE)
    if kind == "generated":
        return generate_tree(data, own)
    if kind == "random":
        return shuffle_tree(own, seed=seed)
    if kind == "single":
        return Hierarchy.flat(own.classes, own.names)
    return own


def shuffle_tree(tree: Hierarchy, *, seed: int) -> Hierarchy:
    """A hierarchy of the same shape with its classes at random places."""
    groups = random.Random(f"tree {seed}").sample(tree.groups, len(tree))
    return Hierarchy(tree.classes, tree.names, tuple(groups))


def generate_tree(data: Path, like: Hierarchy) -> Hierarchy:
    """What `hierarchy.generate` makes of the names, with equal numbers of nodes; saved next to the dataset."""
    from hierarchy.cluster import Range, Shape
    from hierarchy.generate import Settings as GenerateSettings
    from hierarchy.generate import generate

    file = data.parent / f"{data.name}-generated.json"
    if not file.exists():
        superclasses, groups, _ = like.sizes
        shape = Shape(Range.parse(str(superclasses)), Range.parse(str(groups)), None, None, chains=True)
        made = generate(GenerateSettings(str(data / "names.csv"), shape))
        save(made.hierarchy, file, provenance=made.proposal.provenance)
    tree = hierarchy.load(file)
    assert tree.classes == like.classes
    return tree


def make_settings(training: Training, data: Path, *, images: int) -> Settings:
    """The settings of a training: the same number of steps for any number of images."""
    size = training.size
    batch_size = min(size.batch_size, images)
    steps_per_epoch = images // batch_size
    nested = training.kind == NESTED
    values = {
        "model": size.backbone + ("_nhl" if nested else ""),
        "batch_size": batch_size,
        "epochs": round(size.steps / steps_per_epoch),
        "warmup_epochs": size.warmup / steps_per_epoch,
        "seed": training.seed,
        **dict(size.recipe),
        **(dict(size.nested) if nested else {}),
        **dict(training.values),
    }
    return Settings(str(data), out="", **values)


@torch.inference_mode()
def compute_logits(model: nn.Module, images: Images) -> Tensor:
    """(M, K) logits of a model on images, with timm's evaluation transform."""
    config = resolve_data_config({}, model=model)
    device = next(model.parameters()).device
    batches = eval_loader(images, config, batch_size=100, device=device)
    return torch.cat([model.eval()(x).float().cpu() for x, _ in batches])


def measure(model: nn.Module, train: Images, test: Images, training: Training) -> dict[str, Any]:
    """Test logits and costs of a network and of all its experts."""
    logits = compute_logits(model, test)
    correct = compute_logits(model, train).argmax(1).numpy() == train.labels
    counter = CostCounter(model, input_size=model.pretrained_cfg["input_size"])
    found: dict[str, Any] = {
        "classes": list(test.classes),
        "train_accuracy": float(correct.mean()),  # without augmentation
        **_to_dict(logits, test, counter.cost()),
        "experts": [],
    }
    if not isinstance(model, NHL):
        return found
    label_of = {id: label for label, id in enumerate(test.classes)}
    for each in training.experts:
        for classes in draw_parts(test.classes, each, seed=training.seed):
            columns = [label_of[id] for id in classes]
            place = np.flatnonzero(np.isin(test.labels, columns))
            own = replace(test, rows=test.rows[place], labels=np.searchsorted(columns, test.labels[place]))
            alone = compute_logits(model.expert(classes), own)
            gap = (logits[torch.from_numpy(place)][:, columns] - alone).abs().max()  # 0 up to rounding
            rows = _to_dict(alone, own, counter.cost(classes))
            found["experts"].append({"size": each, "classes": list(classes), "max_difference": float(gap), **rows})
    return found


def _to_dict(logits: Tensor, images: Images, cost: Cost) -> dict[str, Any]:
    rounded = [[round(value, DECIMALS) for value in row] for row in logits.tolist()]
    return {"params": cost.params, "macs": cost.macs, "labels": images.labels.tolist(), "logits": rounded}


def run(training: Training, folder: Path, *, data: Path) -> Path:
    """Trains and measures a network; returns the file of its result.

    The file is written atomically, so a stopped training starts over.

    Args:
        folder: its subfolder `results` gets the file.
        data: folder of the datasets; missing ones are created.
    """
    target = folder / "results" / f"{training.key}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    source = make_dataset(training.list, data)
    tree = make_tree(training.tree, source, seed=training.seed)
    classes = (
        () if training.part is None else draw_parts(tree.classes, training.part_of, seed=training.seed)[training.part]
    )
    train, test = (
        open_images(str(source), hierarchy=tree, split=split, classes=classes) for split in ("train", "test")
    )
    settings = make_settings(training, source, images=len(train))
    began, cpu = time.monotonic(), time.process_time()
    with TemporaryDirectory() as teacher:
        if training.distilled:
            flat = replace(training, kind=FLAT, values=())
            flat_model = train_in_memory(make_settings(flat, source, images=len(train)), train)
            flat_model.to(memory_format=torch.contiguous_format)  # which safetensors requires
            save_for_hf(flat_model, teacher, model_config={"label_names": list(train.classes)})
            settings = replace(settings, teacher=teacher)
        model = train_in_memory(settings, train)
    seconds = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
    content = {
        "key": training.key,
        "list": training.list.name,
        "kind": training.kind,
        "tree": training.tree,
        "tree_digest": tree.digest,
        "sizes": tree.sizes,
        "seed": training.seed,
        "part": training.part,
        "part_of": training.part_of,
        "variation": training.variation,
        **{name: round(value, 1) for name, value in seconds.items()},
        "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch")},
        "settings": asdict(settings),
        **measure(model, train, test, training),
    }
    write_text(target, json.dumps(content) + "\n")
    return target
