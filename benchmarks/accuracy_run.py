"""Trains one network of a plan and measures it on the pictures of the vendor that nobody trained on."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from accuracy_plan import NESTED, List, Training, parts
from emoji import CACHE, build, lists, usable
from emoji_sheets import VENDORS, fetch, read_sheet
from timm.data import resolve_data_config
from torch import Tensor, nn

import hierarchy
import timm_nhl
from hierarchy import Hierarchy
from hierarchy.dataset_folder import BESIDE
from hierarchy.files import save, write_text
from timm_nhl.cost import CostCounter
from timm_nhl.data import Images, eval_batches, open_images
from timm_nhl.settings import Settings
from timm_nhl.train import train

SEED = 0  # of the lists
DIGITS = 4  # behind the point, of a logit in a file


def data_of(each: List, folder: Path) -> Path:
    """The data set of a list, made unless it is there."""
    place = folder / each.name
    if not place.exists():
        sheets = [read_sheet(fetch(vendor, CACHE), vendor) for vendor in VENDORS]
        emoji = usable(sheets)
        if each.classes is not None:
            emoji = lists(emoji, each.classes, seed=SEED, count=each.part + 1)[each.part]
        build(place, sheets, emoji, test_vendor=each.test_vendor, command=f"benchmarks/accuracy.py, list {each.name}")
    return place


def tree_of(training: Training, data: Path) -> Hierarchy:
    """The hierarchy of a nested network, over the classes of its list in their order.

    Raises:
        hierarchy.errors.ShapeError: the names cannot be clustered into as many nodes as Unicode has.
    """
    own = hierarchy.load(data / BESIDE)
    if training.tree == "generated":
        return generated(data, own)
    if training.tree == "random":
        return shuffled(own, seed=training.seed)
    if training.tree == "single":
        return Hierarchy(own.classes, own.names, (("everything", "everything"),) * len(own))
    return own


def shuffled(tree: Hierarchy, *, seed: int) -> Hierarchy:
    """A hierarchy of the same shape, its classes put anywhere in it."""
    groups = random.Random(f"tree {seed}").sample(tree.groups, len(tree))
    return Hierarchy(tree.classes, tree.names, tuple(groups))


def generated(data: Path, like: Hierarchy) -> Hierarchy:
    """What `hierarchy.generate` makes of the names alone, with as many superclasses and groups; kept beside the data."""
    from hierarchy.build import generate
    from hierarchy.cluster import Range, Shape
    from hierarchy.settings import Settings as GenerateSettings

    file = data.parent / f"{data.name}-generated.json"
    if not file.exists():
        superclasses, groups, _ = like.sizes
        shape = Shape(Range.parse(str(superclasses)), Range.parse(str(groups)), None, None, chains=True)
        made = generate(GenerateSettings(str(data / "names.csv"), shape))
        save(made.hierarchy, file, provenance=made.proposal.provenance)
    tree = hierarchy.load(file)
    assert tree.classes == like.classes
    return tree


def settings_of(training: Training, data: Path, tree: Path, classes: tuple[str, ...], images: int) -> Settings:
    """The settings of a training: as many steps for everyone, however many images it has."""
    size = training.size
    batch_size = min(size.batch_size, images)
    steps_per_epoch = images // batch_size
    nested = training.kind == NESTED
    values = {**dict(size.recipe), **(dict(size.nested) if nested else {}), **dict(training.values)}
    values = {
        "model": size.backbone + ("_nhl" if nested else ""),
        "hierarchy": str(tree),
        "classes": classes,
        "val_split": "test",
        "batch_size": batch_size,
        "epochs": round(size.steps / steps_per_epoch),
        "warmup_epochs": size.warmup / steps_per_epoch,
        "seed": training.seed,
        **values,
    }
    return Settings.of(str(data), **values)


@torch.inference_mode()
def logits_of(model: nn.Module, images: Images) -> Tensor:
    """(M, K) logits of a model on images, as timm evaluates."""
    config = resolve_data_config({}, model=model)
    device = next(model.parameters()).device
    batches = eval_batches(images, config, batch_size=100, device=device)
    return torch.cat([model.eval()(x).float().cpu() for x, _ in batches])


def measured(model: nn.Module, data: Path, tree: Hierarchy, training: Training) -> dict[str, Any]:
    """Logits on the test pictures and costs, of a network and of every expert that is cut out of it."""

    def images_of(classes: tuple[str, ...], split: str) -> Images:
        return open_images(str(data), hierarchy=tree, split=split, classes=classes)

    trained = tree.classes if training.part is None else part_of(training, tree)
    test = images_of(trained, "test")
    logits = logits_of(model, test)
    train_images = images_of(trained, "train")
    fitted = logits_of(model, train_images).argmax(1).numpy() == train_images.labels
    input_size = model.pretrained_cfg["input_size"]
    counter = CostCounter(model, input_size=input_size)
    found: dict[str, Any] = {
        "classes": list(trained),
        "fitted": float(fitted.mean()),  # of the pictures it was trained on, not augmented
        **_rows(logits, test, counter.cost()),
        "experts": [],
    }
    if isinstance(model, timm_nhl.NHL):
        label_of = {id: label for label, id in enumerate(trained)}
        for classes in parts(trained, training.experts, seed=training.seed):
            expert = model.expert(classes)
            own = images_of(classes, "test")
            alone = logits_of(expert, own)
            columns = [label_of[id] for id in classes]
            place = torch.from_numpy(np.flatnonzero(np.isin(test.labels, columns)))
            apart = (logits[place][:, columns] - alone).abs().max()  # the law: they are the same numbers
            rows = _rows(alone, own, counter.cost(classes))
            found["experts"].append({"classes": list(classes), "apart": float(apart), **rows})
    return found


def _rows(logits: Tensor, images: Images, cost: timm_nhl.Cost) -> dict[str, Any]:
    rounded = [[round(value, DIGITS) for value in row] for row in logits.tolist()]
    return {"params": cost.params, "macs": cost.macs, "labels": images.labels.tolist(), "logits": rounded}


def part_of(training: Training, tree: Hierarchy) -> tuple[str, ...]:
    """The classes a network of some classes only is trained on."""
    assert training.part is not None
    return parts(tree.classes, training.experts, seed=training.seed)[training.part]


def run(training: Training, folder: Path, *, data: Path) -> Path:
    """Trains and measures a network; gives the file of the result.

    The file appears whole or not at all, so what was stopped is done again from its beginning.

    Args:
        folder: of the results, below `results`.
        data: where data sets are, or are made.
    """
    target = folder / "results" / f"{training.key}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    data = data_of(training.list, data)
    tree = tree_of(training, data)
    classes = () if training.part is None else part_of(training, tree)
    out = Path(tempfile.mkdtemp(dir=folder, prefix=f"{training.key}."))
    try:
        save(tree, out / "tree.json")
        images = len(open_images(str(data), hierarchy=tree, split="train", classes=classes))
        settings = settings_of(training, data, out / "tree.json", classes, images)
        began, cpu = time.monotonic(), time.process_time()
        made = train(settings, out=out / "trained")
        seconds = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - cpu}
        model = timm.create_model(f"local-dir:{made / 'last'}", pretrained=True)
        content = {
            "key": training.key,
            "list": training.list.name,
            "kind": training.kind,
            "tree": training.tree,
            "tree_digest": tree.digest,
            "sizes": tree.sizes,
            "seed": training.seed,
            "part": training.part,
            "variation": training.variation,
            **{name: round(value, 1) for name, value in seconds.items()},
            "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch")},
            "settings": settings.to_dict(),
            **measured(model, data, tree, training),
        }
        write_text(target, json.dumps(content) + "\n")
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return target
