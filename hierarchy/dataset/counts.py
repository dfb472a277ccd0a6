"""Statistics of a dataset along a hierarchy: images per node, imbalance, missing classes; as a table and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import Any

from hierarchy.dataset.labels import read_labels
from hierarchy.dataset.rows import Check, Data
from hierarchy.names import split_path
from hierarchy.tree import Hierarchy, Level

LEVELS: Mapping[str, Level] = {"superclasses": 1, "groups": 2, "classes": 3}
MOST = 100  # missing classes that a table lists per split


@dataclass(frozen=True)
class Balance:
    """How evenly the images are distributed over the nodes of a level.

    Args:
        nodes: number of nodes of the level.
        missing: number of nodes without images.
        least: smallest number of images of a node that has any.
        most: largest number of images of a node.
        entropy: entropy of the node of a random image, in bits.
        evenness: the entropy divided by that of a uniform distribution; 1 is even.
    """

    nodes: int
    missing: int
    least: int
    most: int
    entropy: float
    evenness: float

    @property
    def imbalance(self) -> float | None:
        """The largest number of images of a node divided by the smallest; None if there are no images."""
        return self.most / self.least if self.least else None


@dataclass(frozen=True)
class Stats:
    """Images per class, split by split.

    Args:
        hierarchy: the hierarchy of the classes.
        counts: split ("" for a dataset without splits) -> images of each class, in label order.
    """

    hierarchy: Hierarchy
    counts: Mapping[str, tuple[int, ...]]

    def images(self, level: Level, split: str | None = None) -> dict[str, int]:
        """Path of each node of a level -> number of its images in one split or in all, in node order."""
        chosen = self.counts.values() if split is None else [self.counts[split]]
        totals = dict.fromkeys(self.hierarchy.nodes(level), 0)
        paths = tuple(totals)
        for counts in chosen:
            for place, count in zip(self.hierarchy.ancestors(level), counts, strict=True):
                totals[paths[place]] += count
        return totals

    def balance(self, level: Level) -> Balance:
        """How evenly the images of all splits are distributed over a level."""
        counts = list(self.images(level).values())
        present = [count for count in counts if count]
        total = sum(present)
        entropy = -sum(count / total * log2(count / total) for count in present) + 0.0
        return Balance(
            nodes=len(counts),
            missing=len(counts) - len(present),
            least=min(present, default=0),
            most=max(present, default=0),
            entropy=entropy,
            evenness=entropy / log2(len(counts)) if len(counts) > 1 else 1.0,
        )

    @property
    def missing(self) -> dict[str, tuple[str, ...]]:
        """Split -> ids of the classes without images, for each split that lacks some."""
        lacking = {
            split: tuple(id for id, count in zip(self.hierarchy.classes, counts, strict=True) if not count)
            for split, counts in self.counts.items()
        }
        return {split: ids for split, ids in lacking.items() if ids}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "digest": self.hierarchy.digest,
            "splits": {split: sum(counts) for split, counts in self.counts.items()},
            "levels": {
                name: {
                    **vars(self.balance(level)),
                    "imbalance": self.balance(level).imbalance,
                    "images": {split: self.images(level, split) for split in self.counts},
                }
                for name, level in LEVELS.items()
            },
            "missing": {split: list(ids) for split, ids in self.missing.items()},
        }

    def text(self, *, depth: int = 2) -> str:
        """A table: the balance of each level, the images of each node down to a depth, the missing classes."""
        lines = [f"{'':14}{'nodes':>8}{'missing':>9}{'least':>9}{'most':>9}{'ratio':>9}{'evenness':>10}"]
        for name, level in LEVELS.items():
            at = self.balance(level)
            ratio = "-" if at.imbalance is None else f"{at.imbalance:,.1f}"
            lines.append(f"{name:14}{at.nodes:8,}{at.missing:9,}{at.least:9,}{at.most:9,}{ratio:>9}{at.evenness:10.3f}")
        splits = list(self.counts) if len(self.counts) > 1 else []
        lines += ["", "".join(f"{name:>12}" for name in ["images", *splits]) + "  node"]
        totals: dict[str, list[int]] = {
            "": [sum(map(sum, self.counts.values())), *(sum(self.counts[s]) for s in splits)]
        }
        for level in LEVELS.values():
            if level <= depth:
                by_split = [self.images(level, split) for split in splits]
                totals |= {path: [n, *(images[path] for images in by_split)] for path, n in self.images(level).items()}
        for path, counts in _in_tree_order(totals):
            indent = "  " * path.count("/") + ("  " if path else "")
            lines.append("".join(f"{n:12,}" for n in counts) + f"  {indent}{split_path(path)[-1] or 'all'}")
        for split, ids in self.missing.items():
            which = f"{split}: " if split else ""
            rest = f" and {len(ids) - MOST:,} more; --json lists all" if len(ids) > MOST else ""
            shown = ", ".join(map(self._called, ids[:MOST])) + rest
            lines += ["", f"{which}no images of {len(ids):,} class{'es' * (len(ids) > 1)}: {shown}"]
        return "\n".join(lines)

    def page(self, *, title: str) -> str:
        """An HTML page with a chart that sizes nodes by their number of images."""
        from hierarchy.checks import render_report
        from hierarchy.proposal import Finding

        total = {
            id: sum(counts[label] for counts in self.counts.values()) for label, id in enumerate(self.hierarchy.classes)
        }
        where = {split: f"in {split}" if split else "in the dataset" for split in self.missing}
        findings = [
            Finding("missing", id, f"no images of {self._called(id)} {where[split]}", "warning")
            for split, ids in self.missing.items()
            for id in ids
        ]
        figures = {
            f"{name}: images": f"{at.least:,} to {at.most:,}, evenness {at.evenness:.3f}, {at.missing:,} without"
            for name, at in ((name, self.balance(level)) for name, level in LEVELS.items())
        }
        return render_report(self.hierarchy, findings, title=title, provenance=figures, images=total)

    def _called(self, id: str) -> str:
        """A class for a person: its name, and its id if different."""
        name = self._names[id]
        return id if name == id else f"{name} ({id})"

    @cached_property
    def _names(self) -> Mapping[str, str]:
        return dict(zip(self.hierarchy.classes, self.hierarchy.names, strict=True))


def stats(
    data: Data,
    hierarchy: Hierarchy,
    *,
    column: str | None = None,
    names: Sequence[str] | None = None,
    check: Check | None = None,
) -> Stats:
    """Counts the images of each class of a hierarchy, split by split. Accepts streams.

    Args:
        data: a dataset.
        hierarchy: contains all classes of the dataset, by id or by name.
        column: the label column, as in `label`.
        names: the class names by number, as in `label`.
        check: an additional check of each split, as in `label`.

    Raises:
        DataError: as in `label`.

    >>> from datasets import Dataset
    >>> pets = Hierarchy(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> found = stats(Dataset.from_dict({"label": ["carp", "carp"]}), pets)
    >>> found.images(1), found.missing
    ({'fish': 2, 'mammals': 0}, {'': ('n1',)})
    """
    import numpy as np

    parts, _ = read_labels(data, hierarchy, column, names, check)
    counts = {part.name: np.bincount(part.numbers, minlength=len(hierarchy)).tolist() for part in parts}
    return Stats(hierarchy, {split: tuple(images) for split, images in counts.items()})


def _in_tree_order(totals: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Parents before their children, siblings in the order of `sorted`."""
    return sorted(totals.items(), key=lambda item: item[0].split("/") if item[0] else [])
