"""An evaluation as tables, as JSON, and image by image."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hierarchy.english import count
from timm_nhl.eval.compare import Evaluation, RandomExperts, Row
from timm_nhl.eval.intervals import Estimate, estimate_mean
from timm_nhl.eval.metrics import Measures, find_heights
from timm_nhl.eval.routing import Routing

# measure -> its name in a table, the factor it is shown with, decimals, the least and most it can be
SHOWN = {
    "top1": ("top-1, %", 100, 1, 0, 1),
    "top5": ("top-5, %", 100, 1, 0, 1),
    "group": ("group, %", 100, 1, 0, 1),
    "superclass": ("superclass, %", 100, 1, 0, 1),
    "mistake_severity": ("height, mistakes", 1, 2, 1, 3),
    "hierarchical_distance": ("height, all", 1, 2, 0, 3),
    "ece": ("ECE, %", 100, 1, 0, 1),
    "nll": ("NLL, nats", 1, 2, 0, math.inf),
}


def show(evaluation: Evaluation, *, title: str) -> None:
    """Prints an evaluation as tables on stdout."""
    out = Console()
    saving = describe_saving(evaluation)
    if saving is not None:
        out.print(saving)
    out.print(_tabulate(evaluation.rows, title=title))
    if evaluation.differences:
        out.print(_tabulate_differences(evaluation))
    if evaluation.random is not None:
        out.print(_tabulate_random(evaluation.random))


def describe_saving(evaluation: Evaluation) -> str | None:
    """One sentence: what the expert costs, and how right it is, next to the plain network; None without both.

    The plain network chooses among the expert's classes only, and its classifier has no other rows.
    """
    for each in evaluation.differences:
        expert, flat = each.first, each.second
        if expert.name == "expert" and flat.name.startswith("flat"):
            macs, params = (getattr(expert.cost, what) / getattr(flat.cost, what) for what in ("macs", "params"))
            return (
                f"The expert of {count(len(expert.hierarchy), 'class')} takes {macs:.0%} of the plain network's"
                f" multiply-accumulates and {params:.0%} of its parameters; its top-1 differs by"
                f" {_format_points(each.top1)} points."
            )
    return None


def show_routing(routing: Routing) -> None:
    """Prints what a router does, as a table on stdout."""
    made = Table(title="routed: only the branches of the likely groups run")
    for name in ("what runs", "top-1, %", "difference, points", "MACs, M", "most MACs, M"):
        made.add_column(name, justify="left" if name == "what runs" else "right")
    for row in routing.rows:
        macs = _format_millions(row.macs), _format_millions(row.most_macs)
        made.add_row(row.name, format_estimate(row.top1, 100, 1), _format_points(row.difference), *macs)
    if routing.mean_none is not None:
        areas = [area for area in routing.none_of_these if area is not None]
        made.caption = f"none of these: area under the ROC curve {routing.mean_none}, {count(len(areas), 'expert')}"
    Console().print(made)


def describe_routing(routing: Routing) -> dict[str, Any]:
    """The same as plain values."""
    rows = [
        {
            "name": row.name,
            "top1": to_plain(row.top1),
            "difference": to_plain(row.difference),
            "macs": row.macs,
            "most_macs": row.most_macs,
        }
        for row in routing.rows
    ]
    return {"rows": rows, "none_of_these": list(routing.none_of_these), "mean_none": to_plain(routing.mean_none)}


def _tabulate(rows: Sequence[Row], *, title: str) -> Table:
    """A column for each row of an evaluation; below each value its 95 % interval."""
    made = Table(title=f"{title}, 95 % intervals")
    made.add_column("")
    for row in rows:
        made.add_column(row.name, justify="right")
    for label, cells in (
        ("classes", [f"{len(row.hierarchy):,}" for row in rows]),
        ("images", [f"{row.measures.images:,}" for row in rows]),
        ("params, M", [_format_millions(row.cost.params) for row in rows]),
        ("MACs, M", [_format_millions(row.cost.macs) for row in rows]),
    ):
        made.add_row(label, *cells)
    made.add_section()
    for measure, (label, factor, decimals, *_) in SHOWN.items():
        made.add_row(label, *(format_estimate(row.measures.estimates[measure], factor, decimals) for row in rows))
    return made


def _tabulate_differences(evaluation: Evaluation) -> Table:
    """Differences in top-1 between rows about the same images."""
    made = Table(title="differences in top-1, points, on the same images")
    for name in ("classes", "", "minus", "difference"):
        made.add_column(name, justify="right" if name in ("classes", "difference") else "left")
    for each in evaluation.differences:
        made.add_row(f"{len(each.first.hierarchy):,}", each.first.name, each.second.name, _format_points(each.top1))
    return made


def _tabulate_random(drawn: RandomExperts) -> Table:
    """Means over experts of random classes."""
    size = len(drawn.labels[0])
    made = Table(title=f"mean of {count(len(drawn.labels), 'expert')} of {count(size, 'random class')}")
    made.add_column("")
    columns = {"expert": _average(drawn.experts)}
    if drawn.flat:
        columns["flat, restricted"] = _average(drawn.flat)
    for name in columns:
        made.add_column(name, justify="right")
    blank = [""] * (len(columns) - 1)
    made.add_row("params, M", _format_millions(drawn.params), *blank)
    made.add_row("MACs, M", _format_millions(drawn.macs), *blank)
    made.add_section()
    for measure, (label, factor, decimals, *_) in SHOWN.items():
        made.add_row(label, *(format_estimate(column[measure], factor, decimals) for column in columns.values()))
    if drawn.gain is not None:
        made.caption = f"experts minus flat, restricted, in top-1: {_format_points(drawn.gain)} points"
    return made


def _average(measures: Sequence[Measures]) -> dict[str, Estimate | None]:
    """Mean of each measure over experts, with Student's interval if they are several; None where no expert has it."""
    each = [one.estimates for one in measures]
    values = {name: [found.value for one in each if (found := one[name]) is not None] for name in SHOWN}
    bounds = {name: (least, most) for name, (*_, least, most) in SHOWN.items()}
    return {name: estimate_mean(some, *bounds[name]) if some else None for name, some in values.items()}


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Everything measured as plain values: shares between 0 and 1, intervals as (low, high), or None."""
    content: dict[str, Any] = {
        "rows": [_describe_row(row) for row in evaluation.rows],
        "differences": [
            {
                "first": each.first.name,
                "second": each.second.name,
                "classes": len(each.first.hierarchy),
                "top1": to_plain(each.top1),
            }
            for each in evaluation.differences
        ],
    }
    drawn = evaluation.random
    if drawn is not None:
        content["random"] = {
            "size": len(drawn.labels[0]),
            "params": drawn.params,
            "macs": drawn.macs,
            "mean": {name: to_plain(estimate) for name, estimate in _average(drawn.experts).items()},
            "flat_mean": {name: to_plain(estimate) for name, estimate in _average(drawn.flat).items()} or None,
            "gain": to_plain(drawn.gain),
            "experts": [
                {"labels": list(labels), "images": one.images, **_describe(one)}
                for labels, one in zip(drawn.labels, drawn.experts, strict=True)
            ],
        }
    return content


def list_predictions(rows: Sequence[Row]) -> str:
    """CSV: a line for each image of each row, by number of the image in its split, classes by id."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "classes", "image", "class", "predicted", "top5", "confidence", "nll", "height"])
    for row in rows:
        ids, found = row.hierarchy.classes, row.outcomes
        columns = (
            found.images.tolist(),
            found.targets.tolist(),
            found.top.tolist(),
            found.confidence.tolist(),
            found.nll.tolist(),
            find_heights(row.hierarchy, found.predicted, found.targets).tolist(),
        )
        for image, target, top, confidence, nll, height in zip(*columns, strict=True):
            numbers = f"{confidence:.6g}", f"{nll:.6g}"
            writer.writerow([row.name, len(ids), image, ids[target], ids[top[0]], int(target in top), *numbers, height])
    return text.getvalue()


def format_estimate(estimate: Estimate | None, factor: float, decimals: int) -> str:
    """A value, and its interval, if it has one, on the next line.

    >>> format_estimate(Estimate(0.857, 0.841, 0.872), 100, 1)
    '85.7\\n84.1–87.2'
    """
    if estimate is None:
        return "no mistakes"
    value, *ends = (f"{factor * each:.{decimals}f}" for each in (estimate.value, *(estimate.interval or ())))
    return "\n".join([value, *(["–".join(ends)] if ends else [])])


def _format_millions(value: float) -> str:
    """Millions with three digits or more.

    >>> _format_millions(4_190_000_000), _format_millions(953_000)
    ('4,190', '0.953')
    """
    millions = value / 1e6
    return f"{millions:,.0f}" if millions >= 1000 else f"{millions:.3g}"


def _format_points(difference: Estimate) -> str:
    """A difference of shares in points.

    >>> _format_points(Estimate(0.028, -0.001, 0.05)), _format_points(Estimate(0.028))
    ('+2.8 (-0.1 to +5.0)', '+2.8')
    """
    value, *ends = (f"{100 * each:+.1f}" for each in (difference.value, *(difference.interval or ())))
    return f"{value} ({' to '.join(ends)})" if ends else value


def _describe_row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "classes": len(row.hierarchy),
        "hierarchy": row.hierarchy.digest,
        "images": row.measures.images,
        "params": row.cost.params,
        "macs": row.cost.macs,
        **_describe(row.measures),
    }


def _describe(measures: Measures) -> dict[str, Any]:
    return {name: to_plain(estimate) for name, estimate in measures.estimates.items()}


def to_plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else {"value": estimate.value, "interval": estimate.interval}
