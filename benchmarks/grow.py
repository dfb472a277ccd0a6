"""What growing costs in accuracy, compared with retraining from scratch and with fine-tuning all weights.

    python benchmarks/digits.py build/digits
    python benchmarks/grow.py build/digits --classes 1 --groups 1 --epochs 10 --model test_resnet_nhl --widths 32,16,8
    python benchmarks/emoji.py build/emoji-100 --classes 100
    python benchmarks/grow.py build/emoji-100 --classes 10 --groups 3 --epochs 40

Each seed chooses new classes: one each from several old groups, and all classes of several groups, whose superclasses
keep other groups. A network of the old classes is trained, then extended to all classes by several methods, each for
the same number of epochs. Prints a row per method: the mean over the seeds with a 95 % interval (Student's t), and in
parentheses the difference to `retrained`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import timm
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import t as student_t
from timm.data import create_transform
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import random_seed
from torch import Tensor, nn

import hierarchy
import timm_nhl
from hierarchy import Hierarchy
from timm_nhl.converting.distillation import CompletedLoss
from timm_nhl.data import open_images

STRIDES = (2, 1, 1)  # a third of the operations of the published strides: minutes instead of hours
BATCH = 50
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # (B, K) logits, (B,) labels, (B, C, H, W) images -> the loss
COLUMNS = ("new in old groups", "new groups", "old", "all", "old among old")


@dataclass(frozen=True)
class LabelledImages:
    """Images with the ids of their classes."""

    images: tuple[Image.Image, ...]
    ids: tuple[str, ...]

    def select(self, tree: Hierarchy) -> LabelledImages:
        """The images of the classes of a hierarchy."""
        kept = [(image, id) for image, id in zip(self.images, self.ids, strict=True) if id in tree.classes]
        return LabelledImages(*map(tuple, zip(*kept, strict=True)))

    def labels(self, tree: Hierarchy) -> Tensor:
        """(B,) labels by a hierarchy."""
        label_of = {id: label for label, id in enumerate(tree.classes)}
        return torch.tensor([label_of[id] for id in self.ids])


def read_images(folder: Path, tree: Hierarchy, split: str) -> LabelledImages:
    """Reads a split of a saved dataset."""
    images = open_images(str(folder), hierarchy=tree, split=split)
    return LabelledImages(tuple(image for image, _ in images), tuple(tree.classes[label] for label in images.labels))


def draw_new_classes(tree: Hierarchy, *, classes: int, groups: int, seed: int) -> tuple[set[str], set[str]]:
    """Ids of new classes in old groups, and of all classes in new groups; each superclass keeps an old group."""
    draw = random.Random(seed)
    members: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for id, group in zip(tree.classes, tree.groups, strict=True):
        members[group].append(id)
    fresh: set[tuple[str, str]] = set()
    smallest = min(map(len, members.values()))  # for the digits, a group of one class, so that eight classes are left
    for group in draw.sample(sorted(members), len(members)):
        sisters = [other for other in members if other[0] == group[0] and other not in fresh]
        if len(fresh) < groups and len(sisters) > 1 and len(members[group]) == smallest:
            fresh.add(group)
    large = [group for group in sorted(members) if group not in fresh and len(members[group]) > 1]
    inside = {draw.choice(members[group]) for group in draw.sample(large, classes)}
    return inside, {id for group in fresh for id in members[group]}


class Teaching(nn.Module):
    """Cross-entropy on labels and, on images of old classes, the KL divergence from what the old network answers."""

    def __init__(self, old: nn.Module, model: timm_nhl.NHL, known: Hierarchy) -> None:
        super().__init__()
        self.old = old.eval()
        self.loss = CompletedLoss(
            range(len(model.hierarchy)),
            torch.tensor([id in known.classes for id in model.hierarchy.classes]),
            temperature=2.0,
            smoothing=0.1,
        )
        place = {id: label for label, id in enumerate(known.classes)}
        self.columns = [place.get(id, 0) for id in model.hierarchy.classes]  # of new ones: any, they are not compared

    def forward(self, logits: Tensor, labels: Tensor, x: Tensor) -> Tensor:
        with torch.no_grad():
            answers = self.old(x)[:, self.columns]  # (B, old classes) -> (B, K)
        loss: Tensor = self.loss(logits, answers, labels)["loss"]
        return loss


def cross_entropy(logits: Tensor, labels: Tensor, x: Tensor) -> Tensor:
    """The loss on labels alone."""
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


def fit(
    module: nn.Module,
    train: LabelledImages,
    tree: Hierarchy,
    *,
    epochs: int,
    side: int,
    flip: float,
    lr: float,
    loss: Loss = cross_entropy,
) -> float:
    """Trains the parameters that require gradients; returns the processor seconds per step."""
    transform = create_transform(side, is_training=True, scale=(0.5, 1.0), hflip=flip, color_jitter=0.4)
    target = train.labels(tree)
    batch = min(BATCH, len(target))
    steps = len(target) // batch
    optimizer = create_optimizer_v2(module, opt="adamw", lr=lr, weight_decay=0.05)
    schedule, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=epochs, warmup_epochs=max(1, epochs // 10), warmup_lr=1e-5,
        step_on_epochs=False, updates_per_epoch=steps,
    )  # fmt: skip
    seconds = 0.0
    module.train()
    if isinstance(module, timm_nhl.NHL) and not any(value.requires_grad for value in module.trunk.parameters()):
        module.trunk.eval()
    for epoch in range(epochs):
        order = torch.randperm(len(target))
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            x = torch.stack([transform(train.images[row]) for row in rows])
            start = time.process_time()
            optimizer.zero_grad()
            loss(module(x), target[rows], x).backward()
            optimizer.step()
            seconds += time.process_time() - start
            schedule.step_update(epoch * steps + step + 1)
    module.eval()
    return seconds / (epochs * steps)


@torch.no_grad()
def compute_logits(module: nn.Module, test: LabelledImages, side: int) -> Tensor:
    """(B, K) logits of a network."""
    transform = create_transform(side, crop_pct=1.0)
    x = torch.stack([transform(image) for image in test.images])
    return torch.cat([module(part) for part in x.split(BATCH)])


def compute_accuracies(
    logits: Tensor, test: LabelledImages, tree: Hierarchy, inside: set[str], fresh: set[str]
) -> dict[str, float]:
    """Top-1 in percent among all classes, by kind of class; and among the old classes, as their expert sees it."""
    target = test.labels(tree)
    right = logits.argmax(1) == target
    kinds = ["in" if id in inside else "fresh" if id in fresh else "old" for id in test.ids]
    rows = {kind: torch.tensor([each == kind for each in kinds]) for kind in ("in", "fresh", "old")}
    among = logits.clone()
    among[:, [label for label, id in enumerate(tree.classes) if id in inside | fresh]] = -torch.inf
    values = [right[rows["in"]], right[rows["fresh"]], right[rows["old"]], right]
    values.append((among.argmax(1) == target)[rows["old"]])
    return {name: 100 * value.float().mean().item() for name, value in zip(COLUMNS, values, strict=True)}


def compare_methods(folder: Path, options: argparse.Namespace, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each method of extending a network from the old classes to all, with its accuracy and its cost."""
    tree = hierarchy.load(folder / "hierarchy.json")
    inside, fresh = draw_new_classes(tree, classes=options.classes, groups=options.groups, seed=seed)
    old = tree.at(label for label, id in enumerate(tree.classes) if id not in inside | fresh)
    train, test = (read_images(folder, tree, split) for split in ("train", "test"))
    side = train.images[0].width
    recipe = {"side": side, "flip": options.flip}

    def run(
        module: nn.Module,
        images: LabelledImages,
        *,
        lr: float = options.lr,
        epochs: int = options.epochs,
        loss: Loss = cross_entropy,
    ) -> dict[str, float]:
        random_seed(seed)
        params = sum(value.numel() for value in module.parameters() if value.requires_grad)
        seconds = fit(module, images, tree, lr=lr, epochs=epochs, loss=loss, **recipe)
        logits = compute_logits(module, test, side)
        return {
            **compute_accuracies(logits, test, tree, inside, fresh),
            "ms per step": 1e3 * seconds,
            "params": params / 1e6,
        }

    def make(classes: Hierarchy) -> timm_nhl.NHL:
        random_seed(seed)
        return timm.create_model(options.model, hierarchy=classes, widths=options.widths, strides=STRIDES)

    model = make(old)
    random_seed(seed)
    fit(model, train.select(old), old, lr=options.lr, epochs=options.epochs, **recipe)
    among = compute_logits(model, test.select(old), side).argmax(1) == test.select(old).labels(old)
    yield "the old network", {"old among old": 100 * among.float().mean().item()}
    growth = timm_nhl.grow(model, tree)

    def train_branches(*, teach: bool) -> dict[str, float]:
        random_seed(seed)
        branches = timm_nhl.grow(model, tree).grown().requires_grad_(True)
        branches.trunk.requires_grad_(False)
        return run(branches, train, loss=Teaching(model, branches, old) if teach else cross_entropy)

    def grow_and_check() -> dict[str, float]:
        numbers = run(growth, train)
        own = compute_logits(growth.grown().expert(old.classes), test.select(old), side)
        assert torch.equal(own, compute_logits(model, test.select(old), side))
        return numbers

    before = growth.grown()
    new, known = train.select(tree.subset(*inside, *fresh)), train.select(old)
    share = LabelledImages(new.images + known.images[::10], new.ids + known.ids[::10])
    methods: dict[str, Callable[[], dict[str, float]]] = {
        "grown": grow_and_check,
        "grown, learning rate x 4": lambda: run(timm_nhl.grow(model, tree), train, lr=4 * options.lr),
        "grown, epochs x 4": lambda: run(timm_nhl.grow(model, tree), train, epochs=4 * options.epochs),
        "grown, with every tenth old image": lambda: run(timm_nhl.grow(model, tree), share),
        "grown, without old images": lambda: run(timm_nhl.grow(model, tree), new),
        "all branches": lambda: train_branches(teach=False),
        "all branches, taught by the old network": lambda: train_branches(teach=True),
        "all weights fine-tuned": lambda: run(before, train, lr=options.lr / 3),
        "retrained": lambda: run(make(tree), train),
    }
    for name, method in methods.items():
        if not options.only or name in options.only:
            yield name, method()


def format_mean(values: list[float]) -> str:
    """The mean and half the width of its 95 % interval."""
    if len(values) < 2:
        return f"{mean(values):.1f}"
    return f"{mean(values):.1f} ± {student_t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="dataset that digits.py or emoji.py wrote")
    parser.add_argument("--model", default="resnet10t_nhl")
    parser.add_argument("--widths", type=lambda text: tuple(map(int, text.split(","))), default=(64, 32, 16))
    parser.add_argument("--classes", type=int, default=10, help="new classes in old groups")
    parser.add_argument("--groups", type=int, default=3, help="new groups in old superclasses")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--flip", type=float, default=0.0, help="probability of a horizontal flip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", help="a method; may be repeated; the others are left out")
    options = parser.parse_args()
    results: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in range(options.seeds):
        for method, numbers in compare_methods(options.folder, options, seed):
            results[method].append(numbers)
            print(
                f"seed {seed}, {method}: { ({name: round(value, 2) for name, value in numbers.items()}) }", flush=True
            )
    columns = (*COLUMNS, "ms per step", "params")
    print(f"| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for method, rows in results.items():
        cells = []
        for name in columns:
            values = [row[name] for row in rows if name in row]
            gaps = [
                row[name] - other[name] for row, other in zip(rows, results["retrained"], strict=False) if name in row
            ]
            cell = format_mean(values) if name in COLUMNS and values else f"{mean(values):.3g}" if values else ""
            cells.append(
                f"{cell} ({format_mean(gaps)})" if values and name in COLUMNS and method != "retrained" else cell
            )
        print(f"| {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
