"""What branches may start from: weights of the removed stage, chosen by what counts for their classes, or fits.

    python benchmarks/icons.py build/icons
    python benchmarks/shapes.py run         # makes the 91 icons
    python benchmarks/selection.py run --seeds 2
    python benchmarks/selection.py report --seeds 2

Weights can be chosen only where a branch's block is the backbone's own: a ResNet of one bottleneck in each stage, cut
before the last one. A superclass gets a part of that bottleneck (weight selection, arXiv 2311.18823): the channels
that contribute most to the logits of its classes, and behind each layer the channels that contribute most to those. A
group and a class pick channels out of their parent's; a leaf's FC is the classifier's row. `fit` is what
`timm-nhl convert` does. Both are distilled then; the validation images compare them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from experts_plan import RECIPE
from shapes import FOLDER as SHAPES
from torch import Tensor

from hierarchy.dataset import HIERARCHY_FILE
from timm_nhl.converting import Conversion, convert, fit
from timm_nhl.export import load_model
from timm_nhl.models import NHL
from timm_nhl.train import Settings, train

DATA, FOLDER = SHAPES / "icons", Path("build") / "selection"
MODEL, LAYERS = "resnet50", "layers=1,1,1,1"
SHAPE = "split=-2 strides=2,1,1 widths=64,32,16"
EPOCHS = 8
# expected (top-1 before distillation, after 1 and after 8 epochs): 1, 45, 78; 40, 60, 79; 15, 60, 79; 55, 65, 79
STARTS = ("random", "fitted", "chosen", "chosen, leaves fitted")
Start = Callable[[NHL, dict[str, Tensor], Sequence[int]], None]


def choose(
    model: NHL, outputs: dict[str, Tensor], learned: Sequence[int], *, flat: Any, leaves_fitted: bool = False
) -> None:
    """Gives branches parts of the removed bottleneck, and leaves the classifier's rows; see `converting.fit`."""
    block, rows = flat.layer4[0], flat.fc.weight[list(learned)]  # (S, D)
    contribution = rows.abs() * outputs["maps"].float().mean((2, 3)).std(0)  # (S, D), of each channel to each logit
    trees = [torch.tensor(model.hierarchy.ancestors(level)) for level in (1, 2, 3)]
    held: list[Tensor] = []  # for each node of the level above, the channels of the flat map that it has
    for level, own in zip(model.each_level(), trees, strict=True):
        first: Any = level.blocks[0]
        above, held = held, []
        for node, (parent, child) in enumerate(fit.list_places(first.shortcut.counts)):
            counts = contribution[own == node].sum(0)  # (D,)
            if above:
                places = counts[above[parent]].topk(first.features).indices.sort().values
                held.append(above[parent][places])
                pick(first, parent, child, places)
            else:
                held.append(counts.topk(first.features).indices)
                copy(first, node, child, block, held[-1])
    fc: Any = model.head.fc
    for place, leaf in enumerate(trees[2].tolist()):
        fc.weight[place], fc.bias[place] = rows[place, held[leaf]], flat.fc.bias[learned[place]]
    if leaves_fitted:
        model.eval()
        maps = reduce(lambda x, level: level(x), model.each_level(), outputs["trunk"].float())
        pooled = model.head.global_pool(maps).unflatten(1, (len(learned), -1))  # -> (M, N, D)
        for place, leaf in enumerate(trees[2].tolist()):
            weight, bias = fit.regress(pooled[:, leaf], outputs["logits"].float()[:, [learned[place]]])
            fc.weight[place], fc.bias[place] = weight[0], bias[0]


def copy(first: Any, node: int, child: int, block: Any, kept: Tensor) -> None:
    """A superclass gets the bottleneck's weights between the trunk and some channels of its output."""
    width, features = first.width, first.features
    scale = block.bn3.weight.abs()[kept, None] / (block.bn3.running_var[kept, None] + block.bn3.eps).sqrt()
    second = (block.conv3.weight[kept, :, 0, 0].abs() * scale).sum(0).topk(width).indices
    into = block.conv2.weight[second].abs().sum((0, 2, 3)) * block.bn1.weight.abs()
    inner = into.topk(width).indices
    narrow, wide = slice(node * width, (node + 1) * width), slice(node * features, (node + 1) * features)
    first.reduce.parents[0].weight[child * width : (child + 1) * width] = block.conv1.weight[inner, :, 0, 0]
    first.conv.weight[narrow] = block.conv2.weight[second][:, inner]
    first.expand.weight[wide] = block.conv3.weight[kept][:, second]
    first.shortcut.parents[0].weight[child * features : (child + 1) * features] = block.downsample[0].weight[
        kept, :, 0, 0
    ]
    for norm, theirs, own, places in (
        (first.norm1, block.bn1, narrow, inner),
        (first.norm2, block.bn2, narrow, second),
        (first.norm3, block.bn3, wide, kept),
        (first.norm4, block.downsample[1], wide, kept),
    ):
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(norm, name)[own] = getattr(theirs, name)[places]


def pick(first: Any, parent: int, child: int, places: Tensor) -> None:
    """A group or class starts as some of its parent's channels: the shortcut picks them, the rest adds nothing yet."""
    rows = slice(child * first.features, (child + 1) * first.features)
    weight = first.shortcut.parents[parent].weight
    weight[rows] = 0.0
    weight[range(rows.start, rows.stop), places] = 1.0


def train_flat(seed: int) -> Path:
    """The flat classifier, trained like the networks of `shapes.py`."""
    values = {**RECIPE, "epochs": EPOCHS, "seed": seed, "model": MODEL, "model_kwargs": [LAYERS]}
    values["hierarchy"] = str(DATA / HIERARCHY_FILE)
    return train(Settings(str(DATA), out=str(FOLDER / f"flat_seed{seed}"), **values))


def run(seed: int) -> None:
    """Trains the classifier and converts it from each start."""
    flat = train_flat(seed)
    own: Any = load_model(str(flat / "last"))
    starts: dict[str, Start] = {
        "random": lambda *_: None,
        "fitted": fit.fit,
        "chosen": partial(choose, flat=own),
        "chosen, leaves fitted": partial(choose, flat=own, leaves_fitted=True),
    }
    values = {name: RECIPE[name] for name in ("batch_size", "scale", "hflip", "color_jitter", "workers", "device")}
    values |= {"hierarchy": str(DATA / HIERARCHY_FILE), "model_kwargs": [SHAPE], "epochs": EPOCHS, "seed": seed}
    values |= {"cache": str(FOLDER / "features")}
    for name, start in starts.items():
        with patch("timm_nhl.converting.steps.fit", torch.no_grad()(start)):
            convert(Conversion(str(flat), str(DATA), str(find(name, seed)), **values))


def find(name: str, seed: int) -> Path:
    """The folder of a conversion."""
    return FOLDER / f"{name.replace(', ', '_').replace(' ', '_')}_seed{seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.action == "run":
        for seed in range(options.seeds):
            run(seed)
        return
    epochs = (0, 1, 2, 4, 8)
    print(f"| validation images, top-1 after epochs | {' | '.join(map(str, epochs))} | agreement |")
    print("|---" * (2 + len(epochs)) + "|")
    for name in STARTS:
        runs = [list(csv.DictReader((find(name, seed) / "metrics.csv").open())) for seed in range(options.seeds)]
        cells = [join(rows[epoch]["eval_top1"] for rows in runs) for epoch in epochs]
        print(f"| {name} | {' | '.join(cells)} | {join(rows[-1]['agreement'] for rows in runs)} |")


def join(values: Iterable[str]) -> str:
    """The percentages of all seeds.

    >>> join(["81.234", "80.0"])
    '81.2 80.0'
    """
    return " ".join(f"{float(value):.1f}" for value in values)


if __name__ == "__main__":
    main()
