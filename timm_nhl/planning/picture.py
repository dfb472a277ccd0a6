"""A plan as one HTML page: for each task, parameters against multiply-accumulates; it loads nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from timm_nhl.planning.candidates import NESTED, PLAIN, Candidate, Needs, Spread
from timm_nhl.planning.plan import Plan
from timm_nhl.planning.report import describe_needs, describe_shape, format_count, format_range

WIDTH, HEIGHT = 560, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 44  # margins of a panel
# Okabe and Ito (2008), which people with any colour vision tell apart
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#777777")
MARKS = {  # drawn around (0, 0)
    "circle": '<circle r="{r}"/>',
    "square": '<rect x="-{r}" y="-{r}" width="{d}" height="{d}"/>',
    "diamond": '<path d="M0,-{d}L{d},0L0,{d}L-{d},0Z" transform="scale(.75)"/>',
    "triangle": '<path d="M0,-{d}L{d},{r}L-{d},{r}Z" transform="scale(.75)"/>',
    "cross": '<path d="M-{r},-{r}L{r},{r}M-{r},{r}L{r},-{r}" stroke-width="3"/>',
}
STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; }
h1 { font-size: 20px; } h2 { font-size: 15px; margin: 0 0 4px; }
.panels { display: flex; flex-wrap: wrap; gap: 24px; }
svg { font: 11px system-ui, sans-serif; max-width: 100%; }
svg text { fill: currentColor; }
.grid { stroke: currentColor; opacity: .13; } .axis { stroke: currentColor; opacity: .6; }
.frontier { fill: none; stroke: currentColor; stroke-dasharray: 4 4; opacity: .55; }
.outside { fill: currentColor; opacity: .07; }
.legend span { display: inline-flex; align-items: center; gap: 4px; margin-right: 16px; }
table { border-collapse: collapse; margin-top: 24px; font-variant-numeric: tabular-nums; }
td, th { padding: 3px 10px; text-align: right; white-space: pre-line; border-bottom: 1px solid #8884; }
td:first-child, td:nth-child(2), th:first-child { text-align: left; }
tr.first td { border-top: 2px solid #8888; } tr.nested { font-weight: 600; }
"""


@dataclass(frozen=True)
class Point:
    """A candidate in a panel."""

    candidate: Candidate
    needs: Needs


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis, from `low` to `high` in its unit, to `start` and `end` in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values along the axis: 1, 2 and 5 times powers of ten; powers alone if there are many.

        >>> Axis(8, 120, 0, 1).ticks()
        [10, 20, 50, 100]
        """
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1,)):
            found = [step * 10.0**power for power in powers for step in steps]
            found = [round(value) if value >= 1 else value for value in found if self.low <= value <= self.high]
            if len(found) <= 8:
                break
        return found


def draw(plan: Plan, *, title: str) -> str:
    """The page."""
    color = {name: COLORS[i % len(COLORS)] for i, name in enumerate(dict.fromkeys(c.backbone for c in plan.candidates))}
    shapes = dict.fromkeys(each.shape for each in plan.candidates if each.kind == NESTED)
    marks = dict(zip(shapes, (list(MARKS)[1:] * len(shapes))[: len(shapes)], strict=True))
    panels = [("all classes", [Point(each, each.whole) for each in plan.candidates], not plan.tasks)]
    for index, task in enumerate(plan.tasks):
        panels.append((task.name, [Point(each, each.tasks[index]) for each in plan.candidates], True))
    body = "".join(
        f"<section><h2>{escape(name)}</h2>{draw_panel(points, plan, color, marks, limited=limited)}</section>\n"
        for name, points, limited in panels
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
        "<p>Parameters against multiply-accumulates (MACs) of one image. The dashed line joins the networks that no"
        " other undercuts in both; bars span the experts that were drawn; grey is beyond the budget.</p>\n"
        f'<p class="legend">{"".join(draw_legend(color, marks))}</p>\n'
        f'<div class="panels">\n{body}</div>\n{tabulate(plan)}</body></html>\n'
    )


def draw_panel(
    points: Sequence[Point], plan: Plan, color: dict[str, str], marks: dict[str, str], *, limited: bool
) -> str:
    """One plot as SVG."""
    x = make_axis([each.needs.macs for each in points], LEFT, WIDTH - RIGHT)
    y = make_axis([each.needs.params for each in points], HEIGHT - BOTTOM, TOP)
    parts = [*draw_grid(x, y)]
    if limited:
        parts += draw_limits(plan, x, y)
    frontier = find_frontier(points)
    line = " ".join(f"{x(each.needs.macs.mean):.1f},{y(each.needs.params.mean):.1f}" for each in frontier)
    parts.append(f'<polyline class="frontier" points="{line}"/>')
    for each in points:
        candidate = each.candidate
        mark = marks[candidate.shape] if candidate.kind == NESTED else "circle"
        parts.append(draw_point(each, x, y, mark=mark, color=color[candidate.backbone]))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">{"".join(parts)}'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">MACs</text>'
        f'<text transform="translate(14,{(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">parameters'
        "</text></svg>"
    )


def draw_grid(x: Axis, y: Axis) -> Iterator[str]:
    """Lines and labels of both axes."""
    for value in x.ticks():
        yield f'<path class="grid" d="M{x(value):.1f},{TOP}V{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x(value):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{format_tick(value)}</text>'
    for value in y.ticks():
        yield f'<path class="grid" d="M{LEFT},{y(value):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{format_tick(value)}</text>'
    yield f'<path class="axis" fill="none" d="M{LEFT},{TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'


def draw_limits(plan: Plan, x: Axis, y: Axis) -> Iterator[str]:
    """What lies beyond the budget, in grey."""
    if plan.budget.macs is not None:
        start = x(plan.budget.macs)
        size = f'width="{WIDTH - RIGHT - start:.1f}" height="{HEIGHT - BOTTOM - TOP}"'
        yield f'<rect class="outside" x="{start:.1f}" y="{TOP}" {size}/>'
    if plan.budget.params is not None:
        end = y(plan.budget.params)
        size = f'width="{WIDTH - RIGHT - LEFT}" height="{end - TOP:.1f}"'
        yield f'<rect class="outside" x="{LEFT}" y="{TOP}" {size}/>'


def draw_point(point: Point, x: Axis, y: Axis, *, mark: str, color: str) -> str:
    """A mark with its bars; a plain network's is hollow. Browsers show the title when the pointer rests on it."""
    macs, params, candidate = point.needs.macs, point.needs.params, point.candidate
    lines = [f"{candidate.model} ({describe_shape(candidate)})"]
    for name, value in (("MACs", macs), ("parameters", params)):
        drawn = f" ({format_range(value)})" if value.low < value.high else ""
        lines.append(f"{format_count(value.mean)} {name}{drawn}")
    if point.needs.ms is not None:
        lines.append(f"{point.needs.ms:.3g} ms")
    bars = (
        f"M{x(macs.low):.1f},{y(params.mean):.1f}H{x(macs.high):.1f}"
        f"M{x(macs.mean):.1f},{y(params.low):.1f}V{y(params.high):.1f}"
    )
    size = 6 if candidate.kind in (NESTED, PLAIN) else 4
    at = f"translate({x(macs.mean):.1f},{y(params.mean):.1f})"
    return (
        f'<g stroke="{color}" fill="{color}"><title>{escape(chr(10).join(lines))}</title>'
        f'<path d="{bars}" opacity=".6"/>'
        f'<g transform="{at}"{"" if candidate.kind == NESTED else HOLLOW}>{format_mark(mark, size)}</g></g>'
    )


HOLLOW = ' fill="none" stroke-width="2"'


def draw_legend(color: dict[str, str], marks: dict[str, str]) -> Iterator[str]:
    """What colours and marks mean."""
    for name, value in color.items():
        yield draw_key(name, f'<g fill="{value}">{format_mark("circle", 6)}</g>')
    yield draw_key("plain", f'<g stroke="currentColor"{HOLLOW}>{format_mark("circle", 6)}</g>')
    yield draw_key("plain, smaller of its family", f'<g stroke="currentColor"{HOLLOW}>{format_mark("circle", 4)}</g>')
    for name, mark in marks.items():
        yield draw_key(f"nested, {name}", f'<g stroke="currentColor" fill="currentColor">{format_mark(mark, 6)}</g>')


def draw_key(name: str, mark: str) -> str:
    """One entry of the legend."""
    return f'<span><svg viewBox="-9 -9 18 18" width="18" height="18">{mark}</svg>{escape(name)}</span>'


def format_mark(name: str, radius: int) -> str:
    """A mark of a size, as SVG."""
    return (
        MARKS[name].format(r=radius, d=2 * radius) if name == "square" else MARKS[name].format(r=radius, d=radius + 2)
    )


def find_frontier(points: Iterable[Point]) -> list[Point]:
    """The points that no other undercuts in both parameters and multiply-accumulates, from few of these to many."""
    frontier: list[Point] = []
    for each in sorted(points, key=lambda point: (point.needs.macs.mean, point.needs.params.mean)):
        if not frontier or each.needs.params.mean < frontier[-1].needs.params.mean:
            frontier.append(each)
    return frontier


def make_axis(values: Sequence[Spread], start: float, end: float) -> Axis:
    """An axis with some room around all values."""
    return Axis(min(each.low for each in values) / 1.25, max(each.high for each in values) * 1.25, start, end)


def format_tick(value: float) -> str:
    """A round number, short.

    >>> format_tick(2e8), format_tick(1e9)
    ('200M', '1G')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def tabulate(plan: Plan) -> str:
    """The numbers below the plots."""
    names = ["all classes", *(task.name for task in plan.tasks)]
    heads = "".join(f'<th colspan="2">{escape(name)}</th>' for name in names)
    units = "<th>MACs</th><th>parameters</th>" * len(names)
    plain = {each.backbone: each for each in plan.candidates if each.kind == PLAIN}
    rows = []
    for each in plan.candidates:
        cells = [each.model, describe_shape(each), *describe_needs(each, plain[each.backbone])]
        kind = {NESTED: "nested", PLAIN: "first"}.get(each.kind, "")
        rows.append(f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return (
        f'<table><thead><tr><th rowspan="2">network</th><th rowspan="2">shape</th>{heads}</tr><tr>{units}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>\n"
    )
