"""Tables of the study of experts: accuracy beside cost, for every task, against the plain network restricted to it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from pathlib import Path

import numpy as np
from accuracy_statistics import Estimate, estimate, estimate_difference, mark_correct
from experts_plan import PLAIN, RECIPE, SHAPES, Network
from experts_run import place
from experts_tasks import KINDS, Task, draw_tasks

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
        for seed in sorted(self.folders):
            marks = [self.mark_task(task, seed, split) for task in draw_tasks(kind, self.tree, seed=seed)]
            columns.append(reduce(lambda found, own: np.where(np.isnan(own), found, own), marks))
        return np.stack(columns, 1)

    def mark_task(self, task: Task, seed: int, split: str) -> np.ndarray:
        """(M,), 1 where the task's largest logit is that of an image's class, NaN for images of other classes."""
        logits, labels = read_logits(self.folders[seed] / "logits.npz", split)
        return mark_correct(logits, labels, sorted(self.tree.classes.index(id) for id in task))

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


@lru_cache(maxsize=4)  # all tasks of a kind need the same
def read_logits(file: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """(M, K) logits and (M,) labels of a split."""
    with np.load(file) as arrays:
        return arrays[split], arrays[f"{split}_labels"]


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
        cells = []
        for kind in KINDS:
            mine = marks[number][kind]
            gap = None if plain in (None, number) else compare((row, mine), (rows[plain], marks[plain][kind]))
            cells.append(format_cell(mine, gap))
        yield f"| {row.network.name} ({len(row.folders)}) | {' | '.join(cells)} |"


def compare(first: tuple[Row, np.ndarray], second: tuple[Row, np.ndarray]) -> Estimate | None:
    """How much more often the first row is correct, by the marks of both, on shared seeds; None without such a seed."""
    shared = [seed for seed in sorted(first[0].folders) if seed in second[0].folders]
    own, other = (
        marks[:, [sorted(row.folders).index(seed) for seed in shared]] for row, marks in (first, second)
    )  # (M, shared seeds)
    return estimate_difference({"": own}, {"": other}) if shared else None


def format_cell(marks: np.ndarray, gap: Estimate | None) -> str:
    """Top-1 in percent with how far it is from another row's, or else with its own interval."""
    return str(estimate({"": marks})) if gap is None else f"{100 * np.nanmean(marks):.2f} ({gap.format_signed()})"


def format_parts(networks: Iterable[tuple[Network, int]], rows: Sequence[Row], folder: Path) -> Iterator[str]:
    """Lines of a table: networks trained on the classes of a task alone, beside what the others know of the task.

    All columns are of the same images; differences are to the plain network of the same seed, restricted.
    """
    others = [row for row in rows if row.network.name in (network.name for network in SHAPES)]
    own: defaultdict[str, dict[str, np.ndarray]] = defaultdict(dict)  # kind -> task and seed -> marks
    theirs: defaultdict[str, defaultdict[str, dict[str, np.ndarray]]] = defaultdict(lambda: defaultdict(dict))
    for network, seed in networks:
        file = place(network, seed, folder) / "logits.npz"
        if network.task is None or not file.exists():
            continue
        kind, number = network.task
        task = f"{number}, seed {seed}"
        with np.load(file) as arrays:
            own[kind][task] = mark_correct(arrays["test"], arrays["test_labels"])[:, None]
        for row in others:
            if seed in row.folders:
                marks = row.mark_task(draw_tasks(kind, row.tree, seed=seed)[number], seed, "test")
                theirs[kind][row.network.name][task] = marks[~np.isnan(marks)][:, None]
    yield f"| test images | trained on the task alone | {' | '.join(row.network.name for row in others)} |"
    yield "|---" * (2 + len(others)) + "|"
    for kind, mine in own.items():
        columns = [mine, *(theirs[kind][row.network.name] for row in others)]
        cells = []
        for tables in columns:
            cell = f"{100 * np.nanmean(np.concatenate(list(tables.values()))):.1f}"
            plain = theirs[kind][PLAIN]
            cells.append(cell if tables is plain else f"{cell} ({estimate_difference(tables, plain).format_signed()})")
        yield f"| {kind} ({len(mine)} tasks) | {' | '.join(cells)} |"


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
