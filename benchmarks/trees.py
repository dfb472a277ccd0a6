"""What a hierarchy's meaning saves: the cost of experts cut along trees by people, generated, random and single.

    python benchmarks/icons.py build/icons
    python benchmarks/trees.py build/icons

Nothing is trained. The tasks are the same for all trees; related classes are neighbours in the tree that people made.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from accuracy_run import make_tree
from experts_plan import BACKBONE
from experts_report import INPUT_SIZE
from experts_tasks import KINDS, draw_tasks

import hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from timm_nhl.costs import CostCounter, cost

SHUFFLES = {"random": 3}  # trees of a kind; one of the others


def count(data: Path, tree: str, preset: str) -> dict[str, np.ndarray]:
    """Costs of the experts of all tasks by kind of task: (tasks, 2), multiply-accumulates and parameters."""
    people = hierarchy.load(data / HIERARCHY_FILE)
    found: dict[str, list[list[tuple[int, int]]]] = {kind: [] for kind in KINDS}
    for seed in range(SHUFFLES.get(tree, 1)):
        counter = CostCounter(
            f"{BACKBONE}_nhl", hierarchy=make_tree(tree, data, seed=seed), preset=preset, input_size=INPUT_SIZE
        )
        for kind in KINDS:
            costs = [counter.cost(task) for task in draw_tasks(kind, people, seed=0)]
            found[kind].append([(each.macs, each.params) for each in costs])
    return {kind: np.array(costs).mean(0) for kind, costs in found.items()}  # over trees


def compare(costs: np.ndarray, others: np.ndarray) -> str:
    """The ratio of two mean costs, (tasks,) each, with its 95 % interval over tasks, which are the same in both."""
    drawn = np.random.default_rng(0).integers(0, len(costs), (4000, len(costs)))
    low, high = np.percentile(costs[drawn].mean(1) / others[drawn].mean(1), (2.5, 97.5))
    return f"{costs.mean() / others.mean():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="dataset with a hierarchy")
    data = parser.parse_args().data
    plain = cost(BACKBONE, num_classes=5, input_size=INPUT_SIZE)
    print(f"| MACs / parameters over plain | {' | '.join(KINDS)} |")
    print("|---" * (1 + len(KINDS)) + "|")
    counted = {}
    for preset, tree in product(("edge", "tiny"), ("people", "generated", "random", "single")):
        counted[preset, tree] = count(data, tree, preset)
        means = [costs.mean(0) for costs in counted[preset, tree].values()]
        cells = [f"{macs / plain.macs:.2f} / {params / plain.params:.2f}" for macs, params in means]
        print(f"| `{preset}`, {tree} | {' | '.join(cells)} |", flush=True)
    print("\n| MACs; parameters over those of random trees | 5 random | 5 related | superclass |\n|---|---|---|---|")
    for preset, tree in product(("edge", "tiny"), ("people", "generated")):
        pairs = [(counted[preset, tree][kind], counted[preset, "random"][kind]) for kind in KINDS[2:]]
        cells = [f"{compare(own[:, 0], other[:, 0])}; {compare(own[:, 1], other[:, 1])}" for own, other in pairs]
        print(f"| `{preset}`, {tree} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
