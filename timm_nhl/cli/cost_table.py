"""Costs as a table, as numbers over many random experts, and as a picture."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import mean
from typing import Any

from rich.table import Table

from timm_nhl.costs import Cost, CostCounter, cost

SMALL_MODELS = ("mobilenetv4_conv_small", "efficientnet_b0", "resnet18")  # what one would take instead of an expert


@dataclass(frozen=True)
class Comparison:
    """The plain backbone with as many classes, the full NHL, and an expert of it (the full one if none was asked)."""

    plain: Cost
    full: Cost
    expert: Cost


@dataclass(frozen=True)
class Spread:
    """Smallest, mean and largest of something over random experts."""

    least: float
    mean: float
    most: float


def random_experts(counter: CostCounter, size: int, *, seeds: int) -> list[Cost]:
    """The costs of `seeds` experts of `size` classes each, drawn without replacement with seeds 0, 1, ..."""
    classes = len(counter.hierarchy)
    return [counter.at(sorted(random.Random(seed).sample(range(classes), size))) for seed in range(seeds)]


def spread(values: Sequence[float]) -> Spread:
    """Summarises values.

    >>> spread([1, 2, 6])
    Spread(least=1, mean=3, most=6)
    """
    return Spread(min(values), mean(values), max(values))


def cost_table(costs: Comparison, *, title: str, asked: bool) -> Table:
    """Parameters, GMACs and activation memory by part; savings against the plain backbone and the full NHL."""
    table = Table(title=title)
    table.add_column("")
    columns = [("plain", costs.plain), ("NHL, all", costs.full)] + ([("expert", costs.expert)] if asked else [])
    for name, _ in columns:
        table.add_column(name, justify="right")
    for measure, unit, value in (
        ("params", 1e6, attrgetter("params")),
        ("MACs", 1e9, attrgetter("macs")),
        ("activations", 2**20, attrgetter("activation_bytes")),
    ):
        suffix = {"params": "M", "MACs": "G", "activations": "MiB"}[measure]
        table.add_section()
        table.add_row(f"{measure}, {suffix}", *(f"{value(total) / unit:.2f}" for _, total in columns), style="bold")
        for index, part in enumerate(costs.full.parts):
            cells = ["", *(f"{value(total.parts[index]) / unit:.2f}" for _, total in columns[1:])]
            table.add_row(f"  {part.name}", *cells)
        for against, base in (("plain", costs.plain), ("NHL", costs.full)):
            cells = [f"{value(total) / value(base) - 1:+.0%}" for _, total in columns]
            table.add_row(f"  against {against}", *cells)
    return table


def spread_table(costs: Sequence[Cost], plain: Cost, full: Cost, *, size: int) -> Table:
    """Smallest, mean and largest cost over random experts."""
    table = Table(title=f"{len(costs)} random experts of {size} classes")
    for name in ("", "min", "mean", "max", "mean against plain", "mean against NHL"):
        table.add_column(name, justify="right" if name else "left")
    for name, unit, value in (("params, M", 1e6, attrgetter("params")), ("MACs, G", 1e9, attrgetter("macs"))):
        of = spread([value(each) for each in costs])
        savings = [f"{of.mean / value(base) - 1:+.0%}" for base in (plain, full)]
        table.add_row(name, *(f"{number / unit:.2f}" for number in (of.least, of.mean, of.most)), *savings)
    return table


def picture(counter: CostCounter, plain: Cost, *, title: str, seeds: int = 20) -> str:
    """An HTML page: MACs of random experts against their number of classes, beside small models at the same size."""
    import plotly.graph_objects as go

    classes = len(counter.hierarchy)
    sizes = sorted({max(1, round(classes ** (step / 12))) for step in range(13)})
    spreads = [spread([each.macs / 1e9 for each in random_experts(counter, size, seeds=seeds)]) for size in sizes]
    figure = go.Figure()
    figure.add_scatter(x=sizes, y=[each.most for each in spreads], name="largest", line={"dash": "dot"})
    figure.add_scatter(x=sizes, y=[each.mean for each in spreads], name=f"mean of {seeds} random experts")
    figure.add_scatter(x=sizes, y=[each.least for each in spreads], name="smallest", line={"dash": "dot"})
    figure.add_hline(y=plain.macs / 1e9, annotation_text="plain backbone")
    for name in SMALL_MODELS:  # convolutions only, so they take images of any size
        small = cost(name, input_size=(3, *counter.input_size[1:]))
        figure.add_hline(y=small.macs / 1e9, line_dash="dash", annotation_text=name)
    figure.update_xaxes(title="classes of the expert", type="log")
    figure.update_yaxes(title=f"GMACs, {size_of(counter)}", rangemode="tozero")
    figure.update_layout(title=title)
    return str(figure.to_html(include_plotlyjs=True))


def size_of(counter: CostCounter) -> str:
    """The size of the image that everything is counted for, as text."""
    _, height, width = counter.input_size
    return f"{height}x{width}"


def as_json(total: Cost) -> dict[str, Any]:
    """A cost as plain numbers."""
    return {
        "params": total.params,
        "macs": total.macs,
        "activation_bytes": total.activation_bytes,
        "parts": {
            part.name: {"params": part.params, "macs": part.macs, "activation_bytes": part.activation_bytes}
            for part in total.parts
        },
    }
