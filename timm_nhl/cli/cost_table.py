"""Costs as tables, as JSON, and as a plot over many random experts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from hierarchy.english import count
from timm_nhl.costs import Cost, CostCounter, cost

SMALL_MODELS = ("mobilenetv4_conv_small", "efficientnet_b0", "resnet18")  # what one would use instead of an expert
MEASURES = (
    ("params, M", 1e6, attrgetter("params")),
    ("MACs, G", 1e9, attrgetter("macs")),
    ("activations, MiB", 2**20, attrgetter("activation_bytes")),
)


@dataclass(frozen=True)
class Comparison:
    """The plain backbone with as many classes, the nested model, and an expert (the nested model if none is wanted)."""

    plain: Cost
    nhl: Cost
    expert: Cost


def draw_experts(counter: CostCounter, size: int, *, seeds: int) -> list[Cost]:
    """The costs of `seeds` experts of `size` classes each, drawn without replacement with seeds 0, 1, ..."""
    classes = len(counter.hierarchy)
    return [counter.at(sorted(random.Random(seed).sample(range(classes), size))) for seed in range(seeds)]


def show(costs: Comparison, drawn: Sequence[Cost], *, title: str, size: int | None, with_expert: bool) -> None:
    """Prints a comparison, and the spread of random experts if there are any."""
    out = Console()
    out.print(_compare(costs, title=title, with_expert=with_expert))
    if drawn and size:
        title = f"{count(len(drawn), 'random expert')} of {count(size, 'class')}"
        out.print(_summarise(drawn, costs, title=title))


def to_dict(costs: Comparison, drawn: Sequence[Cost], *, input_size: Sequence[int]) -> dict[str, Any]:
    """The same for scripts."""
    return {
        "input_size": list(input_size),
        **{name: _to_dict(total) for name, total in vars(costs).items()},
        "random": [{"params": each.params, "macs": each.macs} for each in drawn],
    }


def plot(counter: CostCounter, plain: Cost, *, title: str, seeds: int = 20) -> str:
    """An HTML page: MACs of random experts against their number of classes, with small models at the same size."""
    import plotly.graph_objects as go

    classes = len(counter.hierarchy)
    sizes = sorted({max(1, round(classes ** (step / 12))) for step in range(13)})
    drawn = [[each.macs / 1e9 for each in draw_experts(counter, size, seeds=seeds)] for size in sizes]
    figure = go.Figure()
    figure.add_scatter(x=sizes, y=list(map(max, drawn)), name="largest", line={"dash": "dot"})
    figure.add_scatter(x=sizes, y=list(map(mean, drawn)), name=f"mean of {seeds} random experts")
    figure.add_scatter(x=sizes, y=list(map(min, drawn)), name="smallest", line={"dash": "dot"})
    figure.add_hline(y=plain.macs / 1e9, annotation_text="plain backbone")
    for name in SMALL_MODELS:  # convolutions only, so they take images of any size
        small = cost(name, input_size=(3, *counter.input_size[1:]))
        figure.add_hline(y=small.macs / 1e9, line_dash="dash", annotation_text=name)
    figure.update_xaxes(title="classes of the expert", type="log")
    figure.update_yaxes(title=f"GMACs, {describe_size(counter)}", rangemode="tozero")
    figure.update_layout(title=title)
    return str(figure.to_html(include_plotlyjs=True))


def describe_size(counter: CostCounter) -> str:
    """The image size that everything is counted at, as text."""
    _, height, width = counter.input_size
    return f"{height}x{width}"


def _compare(costs: Comparison, *, title: str, with_expert: bool) -> Table:
    table = Table(title=title)
    table.add_column("")
    columns = [("plain", costs.plain), ("NHL, all", costs.nhl)] + ([("expert", costs.expert)] if with_expert else [])
    for name, _ in columns:
        table.add_column(name, justify="right")
    for measure, unit, value in MEASURES:
        table.add_section()
        table.add_row(measure, *(f"{value(total) / unit:.2f}" for _, total in columns), style="bold")
        for index, part in enumerate(costs.nhl.parts):
            cells = ["", *(f"{value(total.parts[index]) / unit:.2f}" for _, total in columns[1:])]
            table.add_row(f"  {part.name}", *cells)
        for other, base in (("plain", costs.plain), ("NHL", costs.nhl)):
            table.add_row(f"  against {other}", *(f"{value(total) / value(base) - 1:+.0%}" for _, total in columns))
    return table


def _summarise(drawn: Sequence[Cost], costs: Comparison, *, title: str) -> Table:
    table = Table(title=title)
    for name in ("", "min", "mean", "max", "mean against plain", "mean against NHL"):
        table.add_column(name, justify="right" if name else "left")
    for name, unit, value in MEASURES[:2]:
        values = [value(each) for each in drawn]
        savings = [f"{mean(values) / value(base) - 1:+.0%}" for base in (costs.plain, costs.nhl)]
        numbers = (min(values), mean(values), max(values))
        table.add_row(name, *(f"{number / unit:.2f}" for number in numbers), *savings)
    return table


def _to_dict(total: Cost) -> dict[str, Any]:
    parts = {part.name: {name: value for name, value in asdict(part).items() if name != "name"} for part in total.parts}
    totals = {name: getattr(total, name) for name in ("params", "macs", "activation_bytes")}
    return {**totals, "parts": parts}
