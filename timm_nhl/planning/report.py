"""A plan as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from hierarchy.english import count
from timm_nhl.planning.candidates import NESTED, PLAIN, SMALLER, Candidate, Spread
from timm_nhl.planning.plan import Plan

WIDEST = 240  # columns of a table that no terminal cuts


def show(plan: Plan) -> None:
    """Prints a plan as a table on stdout."""
    out = Console()
    if not out.is_terminal:
        out = Console(width=WIDEST)
    out.print(tabulate(plan))


def tabulate(plan: Plan) -> Table:
    """A row for each candidate, a section for each backbone; two columns for all classes and for each task."""
    sizes = {each.input_size for each in plan.candidates}
    nouns = zip(plan.hierarchy.sizes, ("superclass", "group", "class"), strict=True)
    shape = ", ".join(count(number, noun) for number, noun in nouns)
    made = Table(title=f"{shape}; {describe_sizes(sizes)}", title_justify="left")
    made.add_column("network")
    made.add_column("shape")
    limited = any(limit is not None for limit in vars(plan.budget).values())
    if limited:
        made.add_column("fits")
    if len(sizes) > 1:
        made.add_column("image", justify="right")
    for name in ("all classes", *(task.name for task in plan.tasks)):
        made.add_column(f"{shorten(name)}\nMACs", justify="right")
        made.add_column("\nparams", justify="right")
    if plan.budget.ms is not None:
        for name in [shorten(task.name) for task in plan.tasks] or ["all classes"]:
            made.add_column(f"{name}\nms", justify="right")
    plain = {each.backbone: each for each in plan.candidates if each.kind == PLAIN}
    for candidate in plan.candidates:
        if candidate.kind == PLAIN and made.row_count:
            made.add_section()
        cells = [candidate.model, describe_shape(candidate)]
        if limited:
            cells.append("yes" if candidate in plan.fitting else "no")
        if len(sizes) > 1:
            cells.append(str(candidate.input_size[-1]))
        cells += describe_needs(candidate, plain[candidate.backbone])
        if plan.budget.ms is not None:
            cells += ["" if needs.ms is None else f"{needs.ms:.3g}" for needs in plan.judged(candidate)]
        made.add_row(*cells, style="bold" if candidate.kind == NESTED else None)
    return made


def describe_needs(candidate: Candidate, plain: Candidate) -> Iterator[str]:
    """The cells of multiply-accumulates and parameters, for all classes and for each task."""
    theirs = [plain.whole, *plain.tasks]
    for needs, base in zip([candidate.whole, *candidate.tasks], theirs, strict=True):
        for value, other in ((needs.macs, base.macs), (needs.params, base.params)):
            ratio = "" if candidate is plain else f" {value.mean / other.mean:.2f}x"
            spread = f"\n{format_range(value)}" if value.low < value.high else ""
            yield f"{format_count(value.mean)}{ratio}{spread}"


def describe_shape(candidate: Candidate) -> str:
    """The shape of a nested network; what another one is."""
    return {NESTED: candidate.shape, PLAIN: "plain", SMALLER: "plain, smaller"}[candidate.kind]


def describe_sizes(sizes: set[tuple[int, int, int]]) -> str:
    """The one image size that everything is counted at, as text."""
    if len(sizes) > 1:
        return "each at its own image size"
    ((_, height, width),) = sizes
    return f"images of {height}x{width}"


def describe_failure(plan: Plan) -> str:
    """Why no candidate is within the budget, as one sentence."""
    nearest = min(plan.candidates, key=plan.excess)
    names = [f" for {task.name!r}" for task in plan.tasks] or [""]
    needs, name = max(zip(plan.judged(nearest), names, strict=True), key=lambda pair: plan.budget.excess(pair[0]))
    found = [
        f"{format_count(value)} {what}"
        for value, what, limit in (
            (needs.macs.high, "MACs", plan.budget.macs),
            (needs.params.high, "parameters", plan.budget.params),
        )
        if limit is not None and value > limit
    ]
    if needs.ms is not None and plan.budget.ms is not None and needs.ms > plan.budget.ms:
        found.append(f"{needs.ms:.3g} ms")
    return (
        f"none of {count(len(plan.candidates), 'network')} is within the budget: the nearest, {nearest.model}"
        f" ({describe_shape(nearest)}), needs {' and '.join(found)}{name}; raise the budget, or try other backbones,"
        " --preset, --shape or --img-size"
    )


def to_dict(plan: Plan) -> dict[str, Any]:
    """The same for scripts; classes by id."""
    classes = plan.hierarchy.classes
    return {
        "hierarchy": {"sizes": list(plan.hierarchy.sizes), "digest": plan.hierarchy.digest},
        "tasks": [
            {"name": task.name, "draws": [[classes[label] for label in labels] for labels in task.draws]}
            for task in plan.tasks
        ],
        "budget": asdict(plan.budget),
        "candidates": [
            {
                **{name: getattr(each, name) for name in ("model", "kind", "backbone", "shape")},
                "options": dict(each.options),
                "input_size": list(each.input_size),
                "all": asdict(each.whole),
                "tasks": [asdict(needs) for needs in each.tasks],
                "fits": each in plan.fitting,
            }
            for each in plan.candidates
        ],
    }


def format_count(value: float) -> str:
    """A number with three digits and its unit.

    >>> format_count(4_089_184_256), format_count(345_600), format_count(12)
    ('4.09G', '346k', '12')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            digits = value / unit
            return f"{digits:.{2 if digits < 10 else 1 if digits < 100 else 0}f}{name}"
    return f"{value:.0f}"


def format_range(value: Spread) -> str:
    """Least and most."""
    return f"{format_count(value.low)} to {format_count(value.high)}"


def shorten(name: str, most: int = 28) -> str:
    """The beginning of a long name."""
    return name if len(name) <= most else name[: most - 3] + "..."
