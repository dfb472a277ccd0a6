"""Trains one network of a plan and measures it on the pictures of the vendor that nobody trained on."""

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
from accuracy_plan import FLAT, NESTED, List, Training, parts
from emoji import CACHE, build, lists, usable
from emoji_sheets import VENDORS, fetch, read_sheet
from rich.progress import Progress
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
from timm_nhl.data import EpochSampler, Images, eval_loader, open_images
from timm_nhl.models import NHL
from timm_nhl.train import Settings, distributed
from timm_nhl.train.check import check
from timm_nhl.train.loop import train_one_epoch
from timm_nhl.train.trainer import Trainer

SEED = 0  # of the lists
DIGITS = 4  # behind the point, of a logit in a file


def data_of(each: List, folder: Path) -> Path:
    """The dataset of a list, made unless it is there."""
    place = folder / each.name
    if not place.exists():
        sheets = [read_sheet(fetch(vendor, CACHE), vendor) for vendor in VENDORS]
        emoji = usable(sheets)
        if each.classes is not None:
            emoji = lists(emoji, each.classes, seed=SEED, count=each.part + 1)[each.part]
        command = f"benchmarks/accuracy.py, list {each.name}"
        try:
            build(place, sheets, emoji, test_vendor=each.test_vendor, command=command)
        except OutputError:
            if not place.exists():  # else another process was faster
                raise
    return place


def tree_of(training: Training, data: Path) -> Hierarchy:
    """The hierarchy of a nested network, over the classes of its list in their order.

    Raises:
        hierarchy.errors.ShapeError: the names cannot be clustered into as many nodes as Unicode has.
    """
    own = hierarchy.load(data / HIERARCHY_FILE)
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
    """What `hierarchy.generate` makes of the names alone, with as many superclasses and groups; kept by the data."""
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


def settings_of(training: Training, data: Path, *, images: int) -> Settings:
    """The settings of a training: as many steps for everyone, however many images it has."""
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


def learned(settings: Settings, images: Images) -> nn.Module:
    """Trains as `timm-nhl train` does, but writes nothing.

    An epoch of a few pictures is a step or five; `train` would write a checkpoint after each of hundreds.
    """
    check(settings)
    with distributed.join(settings.device) as process:
        sampler = EpochSampler(len(images), batch_size=settings.batch_size, seed=settings.seed)
        trainer = Trainer(settings, images, sampler=sampler, process=process)
        for epoch in range(trainer.epochs):
            train_one_epoch(trainer, epoch, Progress(disable=True))
        return trainer.best_model


@torch.inference_mode()
def logits_of(model: nn.Module, images: Images) -> Tensor:
    """(M, K) logits of a model on images, as timm evaluates."""
    config = resolve_data_config({}, model=model)
    device = next(model.parameters()).device
    batches = eval_loader(images, config, batch_size=100, device=device)
    return torch.cat([model.eval()(x).float().cpu() for x, _ in batches])


def measured(model: nn.Module, train: Images, test: Images, training: Training) -> dict[str, Any]:
    """Logits on the test pictures and costs, of a network and of every expert that is cut out of it."""
    logits = logits_of(model, test)
    fitted = logits_of(model, train).argmax(1).numpy() == train.labels
    counter = CostCounter(model, input_size=model.pretrained_cfg["input_size"])
    found: dict[str, Any] = {
        "classes": list(test.classes),
        "fitted": float(fitted.mean()),  # of the pictures it was trained on, not augmented
        **_rows(logits, test, counter.cost()),
        "experts": [],
    }
    if not isinstance(model, NHL):
        return found
    label_of = {id: label for label, id in enumerate(test.classes)}
    for each in training.experts:
        for classes in parts(test.classes, each, seed=training.seed):
            columns = [label_of[id] for id in classes]
            place = np.flatnonzero(np.isin(test.labels, columns))
            own = replace(test, rows=test.rows[place], labels=np.searchsorted(columns, test.labels[place]))
            alone = logits_of(model.expert(classes), own)
            apart = (logits[torch.from_numpy(place)][:, columns] - alone).abs().max()  # the law: the same numbers
            rows = _rows(alone, own, counter.cost(classes))
            found["experts"].append({"each": each, "classes": list(classes), "apart": float(apart), **rows})
    return found


def _rows(logits: Tensor, images: Images, cost: Cost) -> dict[str, Any]:
    rounded = [[round(value, DIGITS) for value in row] for row in logits.tolist()]
    return {"params": cost.params, "macs": cost.macs, "labels": images.labels.tolist(), "logits": rounded}


def run(training: Training, folder: Path, *, data: Path) -> Path:
    """Trains and measures a network; gives the file of the result.

    The file appears whole or not at all, so what was stopped is done again from its beginning.

    Args:
        folder: of the results, below `results`.
        data: where datasets are, or are made.
    """
    target = folder / "results" / f"{training.key}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    source = data_of(training.list, data)
    tree = tree_of(training, source)
    classes = () if training.part is None else parts(tree.classes, training.part_of, seed=training.seed)[training.part]
    train, test = (
        open_images(str(source), hierarchy=tree, split=split, classes=classes) for split in ("train", "test")
    )
    settings = settings_of(training, source, images=len(train))
    began, cpu = time.monotonic(), time.process_time()
    with TemporaryDirectory() as teacher:
        if training.taught:
            flat = replace(training, kind=FLAT, values=())
            taught_by = learned(settings_of(flat, source, images=len(train)), train)
            taught_by.to(memory_format=torch.contiguous_format)  # as safetensors wants it
            save_for_hf(taught_by, teacher, model_config={"label_names": list(train.classes)})
            settings = replace(settings, teacher=teacher)
        model = learned(settings, train)
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
        **measured(model, train, test, training),
    }
    write_text(target, json.dumps(content) + "\n")
    return target
