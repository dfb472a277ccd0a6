"""Milliseconds of bundles in turns, A B A B, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from timm_nhl.bundle import Bundle, open_bundle
from timm_nhl.errors import BundleError

WARM_UP = 5  # runs of each that are not counted
ROUNDS = 30
LEAST_SECONDS = 0.005  # a turn has several runs, if one takes less
IN_A_PROCESS = ("onnx", "openvino")  # runtimes whose memory is measured


@dataclass(frozen=True)
class Entry:
    """One graph of a bundle.

    Args:
        name: for the report.
        folder: of the bundle.
        runtime: of the graph.
    """

    name: str
    folder: Path
    runtime: str


@dataclass(frozen=True)
class Timing:
    """How long a graph takes for a batch.

    Args:
        batch: images at once.
        median, low, high: milliseconds of a run: the median and the quartiles over the turns.
        least: of the fastest run, which a busy machine changes least.
        ratio: the median over the rounds of its time over that of the first entry in the same round.
    """

    batch: int
    median: float
    low: float
    high: float
    least: float
    ratio: float


@dataclass(frozen=True)
class Row:
    """What was measured of a graph.

    Args:
        entry: which.
        precision: of the bundle.
        size: of the graph's files, in bytes.
        memory: peak of a process that only runs it, at the first batch size, in bytes; None where it is not measured.
        timings: for each batch size.
    """

    entry: Entry
    precision: str
    size: int
    memory: int | None
    timings: tuple[Timing, ...]


def list_entries(folders: Sequence[Path], *, runtime: str | None = None) -> tuple[Entry, ...]:
    """All graphs of some bundles that can be opened without running what they say; or those for one runtime.

    Raises:
        BundleError: a folder is not a bundle, or has no such graph.
    """
    found = []
    for folder in folders:
        first = open_bundle(folder, runtime=runtime)
        held = [first.runtime] if runtime else [name for name in first.facts["graphs"] if name != "torch"]
        found += [Entry(str(folder), folder, name) for name in held]
    return tuple(found)


def measure(
    entries: Sequence[Entry], *, batches: Sequence[int] = (1, 16), threads: int = 1, rounds: int = ROUNDS
) -> tuple[Row, ...]:
    """Times graphs in turns, on the golden image of each bundle.

    Args:
        batches: images at once.
        threads: of each runtime.
        rounds: turns of each graph.
    """
    opened = [open_bundle(each.folder, runtime=each.runtime, threads=threads) for each in entries]
    timings: list[list[Timing]] = [[] for _ in entries]
    for batch in batches:
        runs = [partial(bundle.run, make_input(bundle, batch)) for bundle in opened]
        for kept, timing in zip(timings, time_in_turns(runs, batch, rounds), strict=True):
            kept.append(timing)
    return tuple(
        Row(entry, bundle.precision, weigh(bundle), _measure_memory(entry, bundle, batches[0], threads), tuple(kept))
        for entry, bundle, kept in zip(entries, opened, timings, strict=True)
    )


def make_input(bundle: Bundle, batch: int) -> np.ndarray[Any, Any]:
    """A batch of a bundle's golden image.

    Raises:
        BundleError: the bundle is raw and does not know how images are prepared.
    """
    with Image.open(bundle.folder / "golden.png") as image:
        golden = image.convert("RGB")
    if bundle.raw and bundle.preparation is None:
        raise BundleError(
            f"{str(bundle.folder)!r} is raw and does not say how to prepare images, so it cannot be timed; leave it out"
        )
    return np.repeat(bundle.take(golden), batch, 0)


def time_in_turns(runs: Sequence[Callable[[], Any]], batch: int, rounds: int) -> list[Timing]:
    """Times some runs, one turn of each after the other, first to last and then last to first."""
    repeats = []
    for run in runs:
        fastest = min(_time(run) for _ in range(WARM_UP))
        repeats.append(max(1, int(LEAST_SECONDS / max(fastest, 1e-6))))
    seconds = np.zeros((rounds, len(runs)))  # of a run, the median of a turn
    least = np.full(len(runs), np.inf)
    for number in range(rounds):
        turns = range(len(runs)) if number % 2 == 0 else reversed(range(len(runs)))
        for place in turns:
            turn = [_time(runs[place]) for _ in range(repeats[place])]
            seconds[number, place] = np.median(turn)
            least[place] = min(least[place], *turn)
    quartiles = 1000 * np.quantile(seconds, (0.5, 0.25, 0.75), axis=0)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    columns = zip(*quartiles.tolist(), (1000 * least).tolist(), ratios.tolist(), strict=True)
    return [Timing(batch, *column) for column in columns]


def weigh(bundle: Bundle) -> int:
    """The size of a graph's files in bytes; OpenVINO keeps weights in a .bin."""
    beside = bundle.graph.with_suffix(".bin")
    return bundle.graph.stat().st_size + (beside.stat().st_size if bundle.runtime == "openvino" else 0)


def _time(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _measure_memory(entry: Entry, bundle: Bundle, batch: int, threads: int) -> int | None:
    """The peak memory of a process that runs the graph and imports nothing but numpy and the runtime."""
    if entry.runtime not in IN_A_PROCESS or sys.platform == "win32":
        return None
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, make_input(bundle, batch))
        words = [sys.executable, Path(__file__).with_name("alone.py"), entry.runtime, bundle.graph, file.name, threads]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    return int(done.stdout)
