"""What was measured of bundles and of "none of these", as tables and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from timm_nhl.eval.compare import Evaluation, Row
from timm_nhl.eval.device.bundles import compare_classes
from timm_nhl.eval.device.rejection import Rejection
from timm_nhl.eval.report import format_estimate, to_plain

MOST_CLASSES = 20  # in a table


def show_bundles(evaluation: Evaluation) -> None:
    """Prints, for each bundle, how often it and its model are right about each class, as tables on stdout."""
    for row in evaluation.rows:
        if row.bundle is None:
            continue
        model = evaluation.find_model(row)
        classes = compare_classes(row.hierarchy, model.outcomes, row.outcomes)
        made = Table(title=f"top-1 by class, %, largest drop of {row.name} first")
        for name in ("class", "images", model.name, row.name):
            made.add_column(name, justify="left" if name == "class" else "right")
        for each in classes[:MOST_CLASSES]:
            made.add_row(
                each.name, f"{each.images:,}", *(format_estimate(one, 100, 1) for one in (each.model, each.bundle))
            )
        if len(classes) > MOST_CLASSES:
            made.caption = f"and {len(classes) - MOST_CLASSES:,} more classes"
        Console().print(made)


def show_rejection(measured: Sequence[Rejection], experts: int) -> None:
    """Prints how well each score knows images of other classes, as a table on stdout.

    Args:
        experts: how many the values are means of.
    """
    of = "" if experts == 1 else f", mean of {experts} experts"
    made = Table(title=f"none of these: images of the classes against all others, %{of}")
    for name in ("", "score", "AUROC", "others that pass if 95 % are kept", "kept if 5 % of others pass"):
        made.add_column(name, justify="left" if name in ("", "score") else "right")
    thresholds = [each for each in measured if each.at_threshold is not None]
    if thresholds:
        for name in ("others that pass the threshold", "kept by the threshold"):
            made.add_column(name, justify="right")
    for each in measured:
        values = [each.area, each.fpr95, each.kept, *(each.at_threshold or ())]
        made.add_row(each.name, each.score, *(format_estimate(value, 100, 1) for value in values))
    Console().print(made)


def describe_classes(evaluation: Evaluation) -> dict[str, Any]:
    """Of each bundle, its model's row and its own on each class, as plain values."""
    bundles = [row for row in evaluation.rows if row.bundle is not None]
    return {"bundles": [_describe(row, evaluation.find_model(row)) for row in bundles]} if bundles else {}


def _describe(row: Row, model: Row) -> dict[str, Any]:
    classes = compare_classes(row.hierarchy, model.outcomes, row.outcomes)
    assert row.bundle is not None
    return {
        "name": row.name,
        "folder": str(row.bundle.bundle.folder),
        "runtime": row.bundle.bundle.runtime,
        "model": model.name,
        "drop": 100 * (model.measures.top1.value - row.measures.top1.value),
        "classes": [
            {
                "id": each.id,
                "images": each.images,
                "model": to_plain(each.model),
                "bundle": to_plain(each.bundle),
            }
            for each in classes
        ],
    }


def describe_rejection(measured: Sequence[Rejection]) -> list[dict[str, Any]]:
    """The same as `show_rejection` as plain values."""
    return [
        {
            "name": each.name,
            "score": each.score,
            "auroc": to_plain(each.area),
            "fpr95": to_plain(each.fpr95),
            "kept": to_plain(each.kept),
            "at_threshold": each.at_threshold
            and dict(zip(("false_accepts", "kept"), map(to_plain, each.at_threshold), strict=True)),
        }
        for each in measured
    ]
