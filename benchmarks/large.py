"""ImageNet-21k's size: cost, memory of training and converting by superclass, checkpoint, time to cut an expert.

    python -m hierarchy.generate imagenet-21k --out build/in21k.json
    OMP_NUM_THREADS=1 python benchmarks/large.py --hierarchy build/in21k.json

Weights and images are random, since none of these figures depends on them. Without a file the hierarchy is
`Hierarchy.balanced`. Memory is the peak of a process of its own (VmHWM), Python and torch included.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from datasets import Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

import hierarchy
from hierarchy import Hierarchy
from timm_nhl import Conversion, convert
from timm_nhl.costs import cost
from timm_nhl.export import load, save, write_files

CLASSES = 21_841  # leaves of ImageNet-21k (Ridnik et al. 2021, arXiv 2104.10972)
MODELS = ("mobilenetv4_conv_small", "resnet50")
EXPERT = 50
SIDE, BATCH = 224, 32
IMAGES = 1_000  # as many as closed-form fits use
FEATURES = Features({"image": ImageFeature(), "label": Value("string")})


def peak_gib() -> float:
    """The most memory that this process has held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20


def largest(tree: Hierarchy) -> str:
    """The superclass with the most classes."""
    return max(tree.nodes(1), key=lambda path: len(tree.labels(path)))


def count_costs(backbone: str, tree: Hierarchy) -> None:
    """Rows of the cost table; nothing is built with real weights."""
    began = time.perf_counter()
    plain = cost(backbone, num_classes=len(tree))
    print(f"| {backbone} | plain | {len(tree):,} | {plain.params / 1e6:.1f} | {plain.macs / 1e9:.2f} |")
    rows = {"nested": None, "the largest superclass": [largest(tree)], f"expert of {EXPERT} spread out": spread(tree)}
    for name, classes in rows.items():
        found = cost(f"{backbone}_nhl", classes, hierarchy=tree, preset="edge")
        size = len(tree) if classes is None else len(tree.labels(*classes))
        print(f"| {backbone} | {name} | {size:,} | {found.params / 1e6:.1f} | {found.macs / 1e9:.2f} |")
    print(f"<!-- {backbone}: counted in {time.perf_counter() - began:.1f} s, peak {peak_gib():.2f} GiB -->")


def spread(tree: Hierarchy) -> list[str]:
    """Classes far apart: the worst case for an expert's cost."""
    return [tree.classes[i * len(tree) // EXPERT] for i in range(EXPERT)]


def train_part(backbone: str, tree: Hierarchy) -> None:
    """Two steps of AdamW on the branches of one superclass."""
    part = tree.subset(largest(tree))
    model = timm.create_model(f"{backbone}_nhl", hierarchy=part, preset="edge").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(
            model(torch.randn(BATCH, 3, SIDE, SIDE)), torch.randint(len(part), (BATCH,))
        )
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"| {backbone} | training {len(part):,} classes, batch {BATCH} at {SIDE} px | {peak_gib():.2f} GiB | |")


def convert_part(backbone: str, tree: Hierarchy) -> None:
    """Converts a flat network of all classes for one superclass: a fit on all images, then one epoch."""
    part = largest(tree)
    labels = tree.labels(part)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        flat, data = Path(folder) / "flat", Path(folder) / "data"
        flat.mkdir()
        model = timm.create_model(backbone, num_classes=len(tree))
        write_files(model, flat, label_names=tree.classes, hierarchy=tree)
        noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(IMAGES)]
        shown = [tree.classes[labels[number % len(labels)]] for number in range(IMAGES)]
        images = Dataset.from_dict({"image": noise, "label": shown}, features=FEATURES)
        DatasetDict({"train": images, "validation": images.select(range(64))}).save_to_disk(str(data))
        values = {"classes": [part], "preset": "edge", "epochs": 1, "views": 1, "workers": 0, "device": "cpu"}
        began = time.perf_counter()
        convert(Conversion(str(flat), str(data), f"{folder}/out", **values))
        seconds = time.perf_counter() - began
    what = f"converting {len(labels):,} classes, fit and one epoch of {IMAGES:,} images at {SIDE} px"
    print(f"| {backbone} | {what} | {peak_gib():.2f} GiB | {seconds:.0f} s |")


def cut_expert(backbone: str, tree: Hierarchy) -> None:
    """Saves the whole network, loads it, cuts an expert, saves that."""
    with tempfile.TemporaryDirectory() as folder:
        model = timm.create_model(f"{backbone}_nhl", hierarchy=tree, preset="edge").eval()
        began = time.perf_counter()
        save(model, Path(folder) / "whole")
        saved = time.perf_counter() - began
        del model
        size = (Path(folder) / "whole" / "model.safetensors").stat().st_size
        print(f"| {backbone} | the checkpoint of all classes, saved | {size / 2**20:.0f} MiB | {saved:.1f} s |")
        began = time.perf_counter()
        whole = load(Path(folder) / "whole")
        print(f"| {backbone} | loading it | {peak_gib():.2f} GiB | {time.perf_counter() - began:.1f} s |")
        began = time.perf_counter()
        expert = whole.expert(spread(tree))
        cut = time.perf_counter() - began
        save(expert, Path(folder) / "expert")
        small = (Path(folder) / "expert" / "model.safetensors").stat().st_size
        print(f"| {backbone} | cutting an expert of {EXPERT} | {small / 2**20:.1f} MiB | {cut:.2f} s |")
        x = torch.randn(1, 3, SIDE, SIDE)
        with torch.inference_mode():
            assert torch.allclose(expert(x), whole(x)[:, list(expert.labels)], atol=1e-4)
        print(f"| {backbone} | running all classes on one image | {peak_gib():.2f} GiB | |")


JOBS = {"costs": count_costs, "train": train_part, "convert": convert_part, "cut": cut_expert}


def main() -> None:
    """Runs each job in a process of its own, so that peaks do not add up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", choices=JOBS)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--hierarchy", help="a file; balanced unless given")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models = options.model or MODELS
    tree = hierarchy.load(options.hierarchy) if options.hierarchy else Hierarchy.balanced(CLASSES)
    if options.job is not None:
        JOBS[options.job](models[0], tree)
        return
    print(f"nodes: {tree.sizes}, the largest superclass: {len(tree.labels(largest(tree))):,} classes", flush=True)
    for job in JOBS:
        head = "classes | million parameters | GMACs |" if job == "costs" else "size | time |"
        print(f"\n| backbone | what | {head}\n|---|---|---|---|{'---|' * (job == 'costs')}", flush=True)
        for model in models:
            subprocess.run([sys.executable, *sys.argv, "--job", job, "--model", model], check=True)


if __name__ == "__main__":
    main()
