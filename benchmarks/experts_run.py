"""Trains a network of the study of experts and keeps its weights and its logits of all validation and test images."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_run import compute_logits, make_tree
from experts_plan import EPOCHS, IMAGES, RECIPE, Network
from experts_tasks import draw_tasks

import hierarchy
from hierarchy import Hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.files import write_text
from timm_nhl.data import open_images
from timm_nhl.export import load_model
from timm_nhl.train import Settings, train

SPLITS = ("validation", "test")


def place(network: Network, seed: int, folder: Path) -> Path:
    """The folder of a training."""
    return place_name(network.name, seed, folder)


def place_name(name: str, seed: int, folder: Path) -> Path:
    """The folder of the training of a row."""
    words = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
    return folder / f"{words}_seed{seed}"


def list_classes(network: Network, data: Path, seed: int) -> list[str]:
    """The classes that a network is trained on, in the order of their labels; none for all of them."""
    if network.task is None:
        return []
    kind, number = network.task
    tree = hierarchy.load(data / HIERARCHY_FILE)
    return sorted(draw_tasks(kind, tree, seed=seed)[number], key=tree.classes.index)


def run(network: Network, seed: int, *, data: Path, folder: Path) -> Path:
    """Trains a network, or goes on where a stopped run left it; returns its folder, which then has `result.json`."""
    own = place(network, seed, folder)
    if (own / "result.json").exists():
        return own
    own.mkdir(parents=True, exist_ok=True)
    tree_file = own / "tree.json"
    if not tree_file.exists():
        tree = make_tree(network.tree, data, seed=seed)
        hierarchy.save(tree, tree_file, provenance={"kind": network.tree or "people"})
    tree = hierarchy.load(tree_file)
    classes = list_classes(network, data, seed)
    values: dict[str, Any] = {
        **RECIPE,
        "model": network.model,
        "model_kwargs": [network.options] if network.options else None,
        "seed": seed,
        "hierarchy": str(tree_file) if network.tree else None,
        "classes": classes or None,
        "teacher": str(place_name(network.teacher, seed, folder) / "run" / "last") if network.teacher else None,
        **network.settings,
    }
    if classes:  # a third of the images that all classes are trained on, seen more often
        images = len(open_images(str(data), hierarchy=tree, split="train", classes=classes))
        values["epochs"] = round(EPOCHS * IMAGES / images / 3)
        values["warmup_epochs"] = values["epochs"] / EPOCHS
    clock = own / "seconds.txt"
    before = float(clock.read_text()) if clock.exists() else 0.0
    began = time.process_time()
    try:
        train(Settings(str(data), out=str(own / "run"), **values))
    finally:
        seconds = before + time.process_time() - began
        write_text(clock, f"{seconds:.1f}\n")
    model = load_model(str(own / "run" / "last")).to(values["device"])
    save_logits(model, data, tree, own, classes=classes)
    (own / "run" / "resume.pt").unlink(missing_ok=True)
    write_text(own / "result.json", json.dumps({"name": network.name, "seed": seed, "cpu_seconds": round(seconds)}))
    return own


def save_logits(model: Any, data: Path, tree: Hierarchy, folder: Path, *, classes: Sequence[str] = ()) -> None:
    """Writes a network's logits of all validation and test images, (M, K) each, with the labels: `logits.npz`."""
    arrays = {}
    for split in SPLITS:
        images = open_images(str(data), hierarchy=tree, split=split, classes=classes)
        arrays[split] = compute_logits(model, images).numpy()
        arrays[f"{split}_labels"] = np.asarray(images.labels)
    np.savez_compressed(folder / "logits.npz", **arrays)
