"""The published cost table (Kelm et al., 2024, Table 1) beside ours.

    pip install ptflops; python benchmarks/table1.py

Ours are all counted one way: GMACs are multiply-accumulates of one 224x224 image in convolutions and matrix products
(`torch.utils.flop_counter`), parameters are all of them. The published plain ConvNeXtV2 is counted so, too; the
published plain ResNet50 is what ptflops gives, which adds norms, activations, sums and poolings: where it is installed
the plain backbones are counted by it as well.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import timm
import torch

import hierarchy
from timm_nhl.costs import Cost, CostCounter, cost


@dataclass(frozen=True)
class Row:
    """Published: parameters in millions and GMACs of the plain backbone, of the NHL, and of an expert."""

    title: str
    backbone: str
    hierarchy: str
    expert_classes: int
    plain: tuple[float, float]
    nhl: tuple[float, float]
    expert: tuple[float, float]


ROWS = (
    Row("ResNet50, ImageNet-100", "resnet50", "imagenet100", 20, (23.7, 4.13), (25.0, 5.86), (13.8, 4.22)),
    Row("ConvNeXtV2-tiny, ImageNet-1k", "convnextv2_tiny", "imagenet1k", 5, (28.6, 4.46), (119.9, 14.55), (13.5, 3.87)),
)
# the default, and one that halves the maps a level earlier
STRIDES = ((1, 1, 2), (1, 2, 1))
TOLERANCE = 1.05  # of the published; any saving is welcome


def by_ptflops(model: torch.nn.Module) -> float | None:
    """GMACs of one image as ptflops counts them; None where it is not installed."""
    try:
        from ptflops import get_model_complexity_info
    except ImportError:
        return None
    macs, _ = get_model_complexity_info(
        model.eval(), (3, 224, 224), as_strings=False, print_per_layer_stat=False, backend="pytorch"
    )
    return macs / 1e9


def nearest_classes(tree: hierarchy.Hierarchy, classes: int) -> list[str]:
    """The stated choice: classes that lie together, whole groups of one superclass first.

    Walks the leaves from the superclass with the most classes on, so that the expert is of one subject.
    """
    ancestors = [tree.ancestors(level) for level in (1, 2, 3)]
    size = [ancestors[0].count(node) for node in range(tree.sizes[0])]
    order = sorted(range(len(tree)), key=lambda label: (-size[ancestors[0][label]], *(a[label] for a in ancestors)))
    return [tree.classes[label] for label in order[:classes]]


def cells(total: Cost, published: tuple[float, float], *, gmacs: float | None = None) -> str:
    """Ours, published, and by how much ours is larger."""
    params, macs = total.params / 1e6, total.macs / 1e9 if gmacs is None else gmacs
    return (
        f"{params:.2f}M / {macs:.2f} | {published[0]}M / {published[1]} |"
        f" {params / published[0] - 1:+.1%} / {macs / published[1] - 1:+.1%} |"
    )


def ours(row: Row, strides: tuple[int, int, int]) -> tuple[Cost, Cost]:
    """The NHL, and the expert of the stated classes."""
    tree = hierarchy.load(row.hierarchy)
    name, wanted = f"{row.backbone}_nhl", nearest_classes(tree, row.expert_classes)
    counter = CostCounter(name, hierarchy=tree, strides=strides)
    return counter.cost(), counter.cost(wanted)


def held(strides: tuple[int, int, int]) -> int:
    """How many of the eight NHL and expert cells are within 5 % of the published ones, or cheaper."""
    count = 0
    for row in ROWS:
        for total, (params, gmacs) in zip(ours(row, strides), (row.nhl, row.expert), strict=True):
            count += (total.params <= TOLERANCE * params * 1e6) + (total.macs <= TOLERANCE * gmacs * 1e9)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print("| | what | ours, params / GMACs | published | difference |\n|---|---|---|---|---|")
    for row in ROWS:
        tree = hierarchy.load(row.hierarchy)
        plain = cost(row.backbone, num_classes=len(tree))
        other = by_ptflops(timm.create_model(row.backbone, num_classes=len(tree)))
        wanted = nearest_classes(tree, row.expert_classes)
        part = tree.subset(*wanted)
        print(f"| {row.title}, nodes {tree.sizes} | plain | {cells(plain, row.plain)}")
        if other is not None:
            print(f"| | plain, by ptflops | {cells(plain, row.plain, gmacs=other)}")
        for strides in STRIDES:
            full, expert = ours(row, strides)
            print(f"| | NHL, strides {strides} | {cells(full, row.nhl)}")
            what = f"expert of {len(wanted)} classes, nodes {part.sizes}, strides {strides}"
            print(f"| | {what} | {cells(expert, row.expert)}")
    print()
    for strides in itertools.product((1, 2), repeat=3):
        gmacs = " and ".join(f"{ours(row, strides)[0].macs / 1e9:.2f}" for row in ROWS)
        print(f"strides {strides}: {held(strides)} of 8 cells hold; the two NHL have {gmacs} GMACs")


if __name__ == "__main__":
    main()
