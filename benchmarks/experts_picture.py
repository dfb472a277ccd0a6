"""One picture of the study of experts: accuracy against multiply-accumulates, a panel for each kind of task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accuracy_statistics import estimate
from experts_plan import SHAPES
from experts_report import Row
from experts_tasks import KINDS

LABELS = dict(zip((network.name for network in SHAPES), ("plain", "edge", "tiny", "plain 050"), strict=True))

TICKS = (3, 5, 10, 20, 30)  # million MACs


def draw(rows: Sequence[Row], path: Path) -> None:
    """Writes a file in the format of its suffix; networks of the study of shapes only, all trained for equal epochs."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    plt.rcParams["svg.hashsalt"] = "experts"  # the same file for the same figures
    shown = [row for row in rows if row.network.name in LABELS]
    figure, panels = plt.subplots(1, len(KINDS), figsize=(15, 3.4), layout="constrained")
    for kind, panel in zip(KINDS, panels, strict=True):
        for nested, color in ((False, "#555555"), (True, "#0072b2")):
            points = []
            for row in shown:
                if bool(row.network.tree) == nested:
                    top1 = estimate({"": row.mark(kind, "test")})
                    macs = float(np.mean([cost.macs for cost in row.count(kind)])) / 1e6
                    points.append((macs, top1, LABELS[row.network.name]))
            points.sort(key=lambda point: point[0])
            x, y = [point[0] for point in points], [point[1].mean for point in points]
            errors = np.array([(each.mean - each.low, each.high - each.mean) for _, each, _ in points]).T
            panel.errorbar(x, y, errors, color=color, marker="o" if nested else "s", capsize=3)
            for macs, top1, label in points:
                panel.annotate(label, (macs, top1.mean), xytext=(4, -11), textcoords="offset points", color=color)
        panel.set(title=f"{kind} classes" if kind[-1] != "s" and kind != "superclass" else kind, xscale="log")
        panel.set_xticks(TICKS, labels=map(str, TICKS))
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("million MACs")
        panel.grid(alpha=0.25, which="both")
        panel.margins(x=0.25, y=0.2)
    panels[0].set_ylabel("top-1 (%)")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
