"""Which shape of branches pays, and whether the presets' rules hold on other backbones: short trainings on 91 icons.

    python benchmarks/icons.py build/icons
    python benchmarks/shapes.py run --processes 2
    python benchmarks/shapes.py report

The 91 classes of four superclasses of the icons, 8 epochs, one seed: small enough for variations on one backbone
and three shapes on three more. The validation images compare them; the test images are those of `experts.py`. A run
skips trainings that are done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from accuracy import claim
from accuracy_statistics import estimate, estimate_difference
from experts_plan import BACKBONE, EDGE, PLAIN, TINY, Network
from experts_report import Row
from experts_run import place, run
from labelled import write_dataset

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE, open_data

DATA, FOLDER = Path("build") / "icons", Path("build") / "shapes"
SUPERCLASSES = ("nature", "devices", "household", "food")
KINDS = ("all", "5 random", "5 related")
SETTINGS = {"epochs": 8}


def vary(name: str, options: str, *, expected: str, model: str = BACKBONE, tree: str = "people") -> Network:
    """A network with options of its own, nested unless it is called plain."""
    if name == PLAIN:
        tree = ""
    return Network(f"{model}, {name}", f"{model}_nhl" if tree else model, options, tree, SETTINGS, expected=expected)


def shape(*, split: int = -3, strides: str = "2,2,1", widths: str = EDGE, rest: str = "") -> str:
    """Options of a network, `edge` where nothing else is said."""
    return f"split={split} strides={strides} widths={widths} {rest}".strip()


# points are of top-1 on all classes, against the plain backbone or against `edge`
VARIATIONS = (
    vary(PLAIN, "", expected="80 %"),
    vary("edge", shape(), expected="3 points above plain"),
    vary("tiny", shape(widths=TINY), expected="1.5 below edge"),
    vary("split before stride 8", shape(split=-4), expected="3 below edge"),
    vary("split at stride 16", shape(split=-2, strides="2,1,1"), expected="level with edge"),
    vary("strides 1, 2, 2", shape(strides="1,2,2"), expected="1 above edge"),
    vary("strides 2, 1, 2", shape(strides="2,1,2"), expected="half a point above edge"),
    vary("depths 2, 1, 1", shape(rest="depths=2,1,1"), expected="1 above edge"),
    vary("depths 1, 1, 2", shape(rest="depths=1,1,2"), expected="level with edge"),
    vary("expansion 2", shape(rest="expansion=2"), expected="1 below edge"),
    vary("expansion 6", shape(rest="expansion=6"), expected="half a point above edge"),
    # widths of which ONNX Runtime makes blocks of 16 channels
    vary("widths 48, 16, 16", shape(widths="48,16,16"), expected="one point below edge"),
    vary("widths 48, 32, 16", shape(widths="48,32,16"), expected="1.5 above edge"),
    vary("generated tree", shape(), tree="generated", expected="level with edge"),
    vary("random tree", shape(), tree="random", expected="half a point below edge"),
    # as dear as `edge` for all classes and for random ones
    vary(
        "one superclass and group, widths 96, 48, 12",
        shape(widths="96,48,12"),
        tree="single",
        expected="level with edge",
    ),
)
OTHERS = tuple(
    vary(name, options, model=model, expected=expected)
    for model, options_of_all in (
        ("efficientnet_b0", ""),
        ("resnet18", ""),
        ("vit_tiny_patch16_224", "img_size=48 patch_size=12"),
    )
    for name, options, expected in (
        (PLAIN, options_of_all, "below mobilenetv4 if it is a ViT: too few images"),
        ("edge", f"preset=edge {options_of_all}".strip(), "level with plain; 2 above it for the ViT"),
        ("tiny", f"preset=tiny {options_of_all}".strip(), "1 below edge"),
    )
) + tuple(
    # written after the rows above: resnet18's `edge` (56, 28, 16 behind 128 channels) is 3.5 points below plain
    vary(name, options, model="resnet18", expected=expected)
    for name, options, expected in (
        ("widths 48, 24, 12", "preset=edge widths=48,24,12", "half a point below edge"),
        ("widths 80, 40, 20", "preset=edge widths=80,40,20", "0.7 above edge"),
        ("split at stride 16", "preset=edge split=-2 strides=2,1,1", "2 above edge"),
    )
)


def make_data(folder: Path) -> Path:
    """The icons of four superclasses."""
    data, tree = open_data(str(DATA)), hierarchy.load(DATA / HIERARCHY_FILE)
    part = tree.subset(*SUPERCLASSES)
    old = {id: label for label, id in enumerate(tree.classes)}
    new = {old[id]: label for label, id in enumerate(part.classes)}
    splits = {}
    for name, rows in data.items():
        kept = [number for number, label in enumerate(rows["label"]) if label in new]
        images = rows.cast_column("image", _encoded()).select(kept)
        splits[name] = {
            "image": [image["bytes"] for image in images["image"]],
            "label": [new[label] for label in images["label"]],
        }
    write_dataset(folder, splits, tree=part, provenance={"source": str(DATA), "superclasses": list(SUPERCLASSES)})
    return folder


def _encoded() -> object:
    from datasets import Image

    return Image(decode=False)


def format_rows(rows: list[Row]) -> Iterator[str]:
    """Lines of a table: top-1 of the validation images, against the plain backbone, and costs as shares of its own."""
    yield f"| validation images | {' | '.join(KINDS)} | {' | '.join(f'MACs, {kind}' for kind in KINDS)} | minutes |"
    yield "|---" * (2 + 2 * len(KINDS)) + "|"
    base = rows[0]
    for row in rows:
        if not row.network.tree:
            base = row
        accuracies, costs = [], []
        for kind in KINDS:
            mine = row.mark(kind, "validation")
            gap = "" if row is base else f" ({_gap(mine, base.mark(kind, 'validation'))})"
            accuracies.append(f"{100 * np.nanmean(mine):.1f}{gap}" if gap else str(estimate({"": mine})))
            macs = [np.mean([cost.macs for cost in each.count(kind)]) for each in (row, base)]
            costs.append(f"{macs[0] / 1e6:.1f}M" if row is base else f"{macs[0] / macs[1]:.2f}")
        yield f"| {row.network.name} | {' | '.join(accuracies)} | {' | '.join(costs)} | {row.minutes:.1f} |"


def _gap(first: np.ndarray, second: np.ndarray) -> str:
    return estimate_difference({"": first}, {"": second}).format_signed()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("--processes", type=int, default=1, help="number of processes of one thread")
    options = parser.parse_args()
    data = FOLDER / "icons"
    if options.action == "report":
        tree = hierarchy.load(data / HIERARCHY_FILE)
        found = [(network, place(network, 0, FOLDER)) for network in (*VARIATIONS, *OTHERS)]
        done = [(network, own) for network, own in found if (own / "result.json").exists()]
        print("\n".join(format_rows([Row(network, {0: own}, tree) for network, own in done])))
        return
    if not data.exists():
        make_data(data)
    if options.processes > 1:
        command = [sys.executable, *sys.argv, "--processes", "1"]
        workers = [subprocess.Popen(command) for _ in range(options.processes)]
        sys.exit(max(worker.wait() for worker in workers))
    import torch

    torch.set_num_threads(1)
    for network in (*VARIATIONS, *OTHERS):
        own = place(network, 0, FOLDER)
        if (own / "result.json").exists():
            continue
        with claim(FOLDER / f"{own.name}.lock") as mine:
            if mine:
                print(f"{network.name}: expected {network.expected}", file=sys.stderr, flush=True)
                run(network, 0, data=data, folder=FOLDER)


if __name__ == "__main__":
    main()
