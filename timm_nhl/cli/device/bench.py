"""The command `timm-nhl bench`: how long bundles take on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.cli import print_json

if TYPE_CHECKING:
    from timm_nhl.latency import Entry

Bundles = Annotated[
    list[Path], typer.Argument(metavar="BUNDLES", help="Bundles; all their graphs are timed.", show_default=False)
]
Batches = Annotated[list[int] | None, typer.Option("--batch", help="Images at once; by default 1 and 16.", min=1)]
Threads = Annotated[int, typer.Option(help="Threads of each runtime.", min=1)]
Rounds = Annotated[int, typer.Option(help="Turns of each graph.", min=2)]
Runtime = Annotated[str | None, typer.Option(help="Only the graphs for onnx, openvino, executorch, litert or torch.")]
Plain = Annotated[
    bool, typer.Option(help="Also time the plain backbone, with random weights, written in the same form.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def bench_command(
    bundles: Bundles,
    batch: Batches = None,
    threads: Threads = 1,
    rounds: Rounds = 30,
    runtime: Runtime = None,
    plain: Plain = True,
    as_json: AsJson = False,
) -> None:
    """Times bundles in turns on their golden images, next to the plain backbone: latency, peak memory, size.

    The last column is the time over that of the first row, batch size by batch size, round by round.
    """
    from timm_nhl.latency import list_entries, measure, show, to_dict

    entries = list(list_entries(bundles, runtime=runtime))
    with tempfile.TemporaryDirectory() as folder:
        if plain:
            entries += _write_plain(entries, Path(folder))
        rows = measure(entries, batches=batch or (1, 16), threads=threads, rounds=rounds)
    if as_json:
        print_json({"threads": threads, "rounds": rounds, "rows": to_dict(rows)})
    else:
        show(rows, threads=threads)


def _write_plain(entries: list[Entry], folder: Path) -> list[Entry]:
    """The plain backbones of some bundles, one for each form."""
    from timm_nhl.bundle import open_bundle
    from timm_nhl.latency import Entry, write_plain

    found: dict[tuple[object, ...], Entry] = {}
    for number, entry in enumerate(entries):
        bundle = open_bundle(entry.folder, runtime=entry.runtime)
        architecture = bundle.facts["provenance"]["architecture"]
        key = (architecture, len(bundle.labels), bundle.preparation, bundle.precision, bundle.raw, entry.runtime)
        if key not in found and write_plain(entry.folder, folder / str(number), runtime=entry.runtime):
            name = f"plain {str(architecture).removesuffix('_nhl')}, {len(bundle.labels)} classes"
            found[key] = Entry(name, folder / str(number), entry.runtime)
    return list(found.values())
