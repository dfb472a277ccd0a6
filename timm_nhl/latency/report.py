"""Latency as a table, and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from hierarchy.english import count
from timm_nhl.latency.measure import Row


def show(rows: Sequence[Row], *, threads: int) -> None:
    """Prints a table on stdout."""
    made = Table(title=f"milliseconds of a run on {count(threads, 'thread')}: median [quartiles] least, in turns")
    made.add_column("")
    for name in ("runtime", "numbers"):
        made.add_column(name)
    for name in ("MB", "peak memory, MB", *(f"batch {each.batch}" for each in rows[0].timings), "over the first"):
        made.add_column(name, justify="right")
    for row in rows:
        times = [f"{each.median:.2f} [{each.low:.2f}, {each.high:.2f}] {each.least:.2f}" for each in row.timings]
        memory = "" if row.memory is None else f"{row.memory / 1e6:,.0f}"
        ratios = ", ".join(f"{each.ratio:.2f}" for each in row.timings)
        made.add_row(row.entry.name, row.entry.runtime, row.precision, f"{row.size / 1e6:,.2f}", memory, *times, ratios)
    Console().print(made)


def to_dict(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same as plain values: bytes and milliseconds."""
    return [
        {
            "name": row.entry.name,
            "runtime": row.entry.runtime,
            "precision": row.precision,
            "bytes": row.size,
            "peak_memory_bytes": row.memory,
            "timings": [asdict(each) for each in row.timings],
        }
        for row in rows
    ]
