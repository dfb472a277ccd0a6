"""The published cost table (Kelm et al., 2024, Table 1), compared with our counts.

    pip install ptflops; python benchmarks/table1.py

We count GMACs as the multiply-accumulates of one 224x224 image in convolutions and matrix products
(`torch.utils.flop_counter`), and all parameters. The published number of the plain ConvNeXtV2 is counted the same way.
The published number of the plain ResNet50 is that of ptflops, which adds norms, activations, sums and pooling. If
ptflops is installed, it counts the plain backbones too.
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
    """Published parameters (millions) and GMACs of a plain backbone, its NHL and an expert."""

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
# the default, and a variant that halves the maps one level earlier
STRIDES = ((1, 1, 2), (1, 2, 1))
TOLERANCE = 1.05  # times the published cost; cheaper is fine


def count_with_ptflops(model: torch.nn.Module) -> float | None:
    """GMACs of one image as ptflops counts them, or None if it is not installed."""
    try:
        from ptflops import get_model_complexity_info
    except ImportError:
        return None
    macs, _ = get_model_complexity_info(
        model.eval(), (3, 224, 224), as_strings=False, print_per_layer_stat=False, backend="pytorch"
    )
    return macs / 1e9


def choose_related_classes(tree: hierarchy.Hierarchy, classes: int) -> list[str]:
    """Ids of classes that are next to each other in the hierarchy, starting with the largest superclass."""
    ancestors = [tree.ancestors(level) for level in (1, 2, 3)]
    size = [ancestors[0].count(node) for node in range(tree.sizes[0])]
    order = sorted(range(len(tree)), key=lambda label: (-size[ancestors[0][label]], *(a[label] for a in ancestors)))
    return [tree.classes[label] for label in order[:classes]]


def format_cells(total: Cost, published: tuple[float, float], *, gmacs: float | None = None) -> str:
    """Our cost, the published one and the relative difference."""
    params, macs = total.params / 1e6, total.macs / 1e9 if gmacs is None else gmacs
    return (
        f"{params:.2f}M / {macs:.2f} | {published[0]}M / {published[1]} |"
        f" {params / published[0] - 1:+.1%} / {macs / published[1] - 1:+.1%} |"
    )


def count_costs(row: Row, strides: tuple[int, int, int]) -> tuple[Cost, Cost]:
    """Costs of the NHL and of its expert."""
    tree = hierarchy.load(row.hierarchy)
    name, wanted = f"{row.backbone}_nhl", choose_related_classes(tree, row.expert_classes)
    counter = CostCounter(name, hierarchy=tree, strides=strides)
    return counter.cost(), counter.cost(wanted)


def count_matching_cells(strides: tuple[int, int, int]) -> int:
    """How many of the eight NHL and expert cells are within 5 % of the published ones or cheaper."""
    count = 0
    for row in ROWS:
        for total, (params, gmacs) in zip(count_costs(row, strides), (row.nhl, row.expert), strict=True):
            count += (total.params <= TOLERANCE * params * 1e6) + (total.macs <= TOLERANCE * gmacs * 1e9)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print("| | what | ours, params / GMACs | published | difference |\n|---|---|---|---|---|")
    for row in ROWS:
        tree = hierarchy.load(row.hierarchy)
        plain = cost(row.backbone, num_classes=len(tree))
        other = count_with_ptflops(timm.create_model(row.backbone, num_classes=len(tree)))
        wanted = choose_related_classes(tree, row.expert_classes)
        part = tree.subset(*wanted)
        print(f"| {row.title}, nodes {tree.sizes} | plain | {format_cells(plain, row.plain)}")
        if other is not None:
            print(f"| | plain, by ptflops | {format_cells(plain, row.plain, gmacs=other)}")
        for strides in STRIDES:
            full, expert = count_costs(row, strides)
            print(f"| | NHL, strides {strides} | {format_cells(full, row.nhl)}")
            what = f"expert of {len(wanted)} classes, nodes {part.sizes}, strides {strides}"
            print(f"| | {what} | {format_cells(expert, row.expert)}")
    print()
    for strides in itertools.product((1, 2), repeat=3):
        gmacs = " and ".join(f"{count_costs(row, strides)[0].macs / 1e9:.2f}" for row in ROWS)
        print(f"strides {strides}: {count_matching_cells(strides)} of 8 cells match; the two NHLs have {gmacs} GMACs")


if __name__ == "__main__":
    main()
