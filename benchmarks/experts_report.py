"""Tables of the study of experts: accuracy beside cost, for every task, against the plain network restricted to it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from accuracy_statistics import estimate, estimate_difference, mark_correct
from experts_plan import PLAIN, RECIPE, Network
from experts_run import place
from experts_tasks import KINDS, draw_tasks

import hierarchy
from hierarchy import Hierarchy
from timm_nhl.costs import Cost, CostCounter, cost
from timm_nhl.train.build import parse_kwargs

INPUT_SIZE = (3, RECIPE["img_size"], RECIPE["img_size"])


@dataclass(frozen=True)
class Row:
    """A network that was trained with several seeds.

    Args:
        folders: seed -> folder of the training.
        tree: the hierarchy that people made; it says which classes are related, for every row alike.
    """

    network: Network
    folders: Mapping[int, Path]
    tree: Hierarchy

    def mark(self, kind: str, split: str) -> np.ndarray:
        """(M, seeds), 1 where the logits of an image's task have the largest value at its class, NaN without a task."""
        columns = []
        label_of = {id: label for label, id in enumerate(self.tree.classes)}
        for seed, folder in sorted(self.folders.items()):
            with np.load(folder / "logits.npz") as arrays:
                logits, labels = arrays[split], arrays[f"{split}_labels"]
            found = np.full(len(labels), np.nan)
            for task in draw_tasks(kind, self.tree, seed=seed):
                own = mark_correct(logits, labels, sorted(label_of[id] for id in task))
                found = np.where(np.isnan(own), found, own)
            columns.append(found)
        return np.stack(columns, 1)

    @cached_property
    def minutes(self) -> float:
        """Processor minutes of a training, their mean."""
        results = [json.loads((folder / "result.json").read_text()) for folder in self.folders.values()]
        return float(np.mean([result["cpu_seconds"] for result in results])) / 60

    def count(self, kind: str) -> list[Cost]:
        """The costs of the experts of all tasks; of a plain network, those of the same network with fewer logits."""
        tasks = draw_tasks(kind, self.tree, seed=min(self.folders))
        if not self.network.tree:
            sizes = {len(task) for task in tasks}
            options = parse_kwargs("--options", [self.network.options])
            costs = {k: cost(self.network.model, num_classes=k, input_size=INPUT_SIZE, **options) for k in sizes}
            return [costs[len(task)] for task in tasks]
        return [self._counter.cost(task) for task in tasks]

    @cached_property
    def _counter(self) -> CostCounter:
        own = hierarchy.load(self.folders[min(self.folders)] / "tree.json")
        options = parse_kwargs("--options", [self.network.options])
        return CostCounter(self.network.model, hierarchy=own, input_size=INPUT_SIZE, **options)


def read_rows(networks: Iterable[tuple[Network, int]], folder: Path, data: Path) -> list[Row]:
    """The finished trainings, a row for each network that was trained on all classes."""
    tree = hierarchy.load(data / "hierarchy.json")
    found: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    named: dict[str, Network] = {}
    for network, seed in networks:
        if (place(network, seed, folder) / "result.json").exists() and network.task is None:
            found[network.name][seed] = place(network, seed, folder)
            named[network.name] = network
    return [Row(named[name], folders, tree) for name, folders in found.items()]


def format_accuracy(rows: Sequence[Row], split: str) -> Iterator[str]:
    """Lines of a table: top-1 in percent by kind of task, and how far it is from the plain network's."""
    yield f"| {split} images | {' | '.join(KINDS)} |"
    yield "|---" * (1 + len(KINDS)) + "|"
    marks = [{kind: row.mark(kind, split) for kind in KINDS} for row in rows]
    plain = next((number for number, row in enumerate(rows) if row.network.name == PLAIN), None)
    for number, row in enumerate(rows):
        shared = [] if plain is None else [seed for seed in sorted(row.folders) if seed in rows[plain].folders]
        cells = []
        for kind in KINDS:
            mine = marks[number][kind]
            if plain is None or number == plain or not shared:
                cells.append(str(estimate({"": mine})))
                continue
            first, second = (
                marks[each][kind][:, [sorted(rows[each].folders).index(seed) for seed in shared]]
                for each in (number, plain)
            )
            difference = estimate_difference({"": first}, {"": second}).format_signed()
            cells.append(f"{100 * np.nanmean(mine):.2f} ({difference})")
        yield f"| {row.network.name} ({len(row.folders)}) | {' | '.join(cells)} |"


def format_costs(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of a table: multiply-accumulates and parameters by kind of task, and minutes of training."""
    yield f"| M MACs / M parameters | {' | '.join(KINDS)} | core-minutes |"
    yield "|---" * (2 + len(KINDS)) + "|"
    for row in rows:
        cells = []
        for kind in KINDS:
            costs = row.count(kind)
            macs, params = (np.mean([getattr(each, what) for each in costs]) / 1e6 for what in ("macs", "params"))
            cells.append(f"{macs:.1f} / {params:.2f}")
        yield f"| {row.network.name} | {' | '.join(cells)} | {row.minutes:.0f} |"
