"""One picture of the study of experts: accuracy against multiply-accumulates, a panel for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy_statistics import Estimate
from experts_plan import FLATTER, LONGER, PLAIN, SHAPES, TREES
from experts_report import Row, compare
from experts_tasks import KINDS

TICKS = (3, 5, 10, 20, 30)  # million MACs
GREY, BLUE, ORANGE = "#555555", "#0072b2", "#d55e00"


@dataclass(frozen=True)
class Series:
    """Networks that differ in width only."""

    label: str
    names: tuple[str, ...]
    color: str
    longer: bool = False


SERIES = (
    Series("plain, 12 epochs", (SHAPES[0].name, SHAPES[3].name), GREY),
    Series("plain, 24 epochs", (LONGER[0].name, LONGER[3].name), GREY, longer=True),
    Series("nested along a tree (tiny, edge), 12 epochs", (SHAPES[1].name, SHAPES[2].name), BLUE),
    Series("the same, 24 epochs", (LONGER[1].name, LONGER[2].name), BLUE, longer=True),
    Series("nested without a tree, 12 epochs", (TREES[2].name, TREES[3].name), ORANGE),
    Series("the same (narrow), 24 epochs", (FLATTER.name,), ORANGE, longer=True),
)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes a file in the format of its suffix.

    Rows may have other seeds than the plain network, so each stands at the plain network's mean plus its difference on
    the seeds that both have, with the difference's interval.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    plt.rcParams["svg.hashsalt"] = "experts"  # the same file for the same figures
    named = {row.network.name: row for row in rows}
    figure, panels = plt.subplots(1, len(KINDS), figsize=(15, 4), layout="constrained")
    for kind, panel in zip(KINDS, panels, strict=True):
        for series in SERIES:
            shown = [named[name] for name in series.names if name in named]
            points = [(count_macs(row, kind), locate(row, named[PLAIN], kind)) for row in shown]
            points.sort(key=lambda point: point[0])
            x, y = [point[0] for point in points], [point[1].mean for point in points]
            errors = np.array([(each.mean - each.low, each.high - each.mean) for _, each in points]).T
            panel.errorbar(
                x, y, errors, color=series.color, label=series.label, capsize=2, elinewidth=0.8,
                marker="s" if series.color == GREY else "o", markersize=5,
                markerfacecolor="white" if series.longer else series.color, linestyle="--" if series.longer else "-",
            )  # fmt: skip
        panel.set(title=f"{kind} classes" if kind[-1] != "s" and kind != "superclass" else kind, xscale="log")
        panel.set_xticks(TICKS, labels=map(str, TICKS))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("million MACs")
        panel.grid(alpha=0.25, which="both")
        panel.margins(x=0.15, y=0.1)
    panels[0].set_ylabel("top-1 (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def count_macs(row: Row, kind: str) -> float:
    """Million multiply-accumulates of a task's expert, the mean over tasks."""
    return float(np.mean([cost.macs for cost in row.count(kind)])) / 1e6


def locate(row: Row, plain: Row, kind: str) -> Estimate:
    """Where a row stands: the plain network's mean plus the difference on the seeds that both have."""
    marks = plain.mark(kind, "test")
    gap = compare((row, row.mark(kind, "test")), (plain, marks))
    assert gap is not None
    level = 100 * float(np.nanmean(marks))
    return Estimate(level + gap.mean, level + gap.low, level + gap.high)
