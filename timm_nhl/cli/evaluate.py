"""The command `timm-nhl evaluate`, also as `python -m timm_nhl.evaluate`: composition and flags only."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from rich.console import Console
from rich.progress import track

from hierarchy import Hierarchy
from hierarchy.cli.console import print_json
from hierarchy.cli.console import run as run_command
from hierarchy.errors import DataError, HierarchyError
from hierarchy.files import write_text
from hierarchy.io import load
from hierarchy.sources import read_classes
from timm_nhl.cli.asked import listed
from timm_nhl.data.images import open_images
from timm_nhl.errors import EvaluationError, NHLError, OptionError
from timm_nhl.eval import report
from timm_nhl.eval.compare import Evaluation, draw, evaluate
from timm_nhl.eval.model_io import Classifier, open_classifier
from timm_nhl.eval.predict import Inference

console = Console(stderr=True)

Checkpoint = Annotated[
    str, typer.Argument(help="A saved folder, nested or plain, or a file of weights with --model and --hierarchy.")
]
Data = Annotated[
    str, typer.Argument(help="A saved folder, .parquet, an image folder, or a Hub name (owner/name, datasets:name).")
]
Classes = Annotated[
    list[str] | None,
    typer.Option(help="Also measure the expert of these: ids, names or paths, by commas or again and again."),
]


def evaluate_command(
    checkpoint: Checkpoint,
    data: Data,
    split: Annotated[str, typer.Option(help="Of the data.")] = "test",
    classes: Classes = None,
    flat: Annotated[str | None, typer.Option(help="Saved folder of a plain model to compare with.")] = None,
    hierarchy: Annotated[
        str | None,
        typer.Option(help="Measure along this one; it may have more classes than the model. Its own by default."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Architecture, where CHECKPOINT is a file of weights only.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="A source of a plain model's classes, in order, where its folder does not name them."),
    ] = None,
    experts: Annotated[int, typer.Option(help="Also measure so many experts of random classes.", min=0)] = 0,
    size: Annotated[int, typer.Option(help="Their number of classes.")] = 20,
    seed: Annotated[int, typer.Option(help="Their seed.")] = 0,
    image: Annotated[str | None, typer.Option(help="Column of images; the only one by default.")] = None,
    column: Annotated[str | None, typer.Option(help="Label column; 'label', or the only one, by default.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="Images at once.", min=1)] = 256,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes that load images.", min=0)] = 4,
    img_size: Annotated[int | None, typer.Option(help="Side of the images; the model's by default.", min=1)] = None,
    crop_pct: Annotated[
        float | None, typer.Option(help="Center crop; the model's by default.", min=0.01, max=1)
    ] = None,
    device: Annotated[str, typer.Option(help="Like cuda, cpu or mps; without a GPU, cpu.")] = "cuda",
    amp: Annotated[bool, typer.Option("--amp", help="Mixed precision.")] = False,
    amp_dtype: Annotated[Literal["bfloat16", "float16"], typer.Option(help="Its type.")] = "bfloat16",
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Memory format.")] = False,
    predictions: Annotated[Path | None, typer.Option(help="Write what was predicted, image by image (CSV).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers for a script.")] = False,
) -> None:
    """Accuracy, accuracy per level, height of the mistakes and calibration, with 95 % intervals.

    Of the full model; with --classes, of the model restricted to these and of their expert; with --flat, of a plain
    model, too.
    """
    if predictions is not None and not predictions.parent.is_dir():
        raise OptionError(
            f"cannot write {str(predictions)!r}: there is no folder {str(predictions.parent)!r}; make it first"
        )
    names = read_classes(labels, fewest=1).ids if labels else None
    main = open_classifier(checkpoint, model=model, hierarchy=hierarchy, labels=names)
    tree = _tree(hierarchy, main)
    main = main.along(tree)
    other = None if flat is None else open_classifier(flat, labels=names).along(tree)
    fewer = main.classes if len(main.classes) < len(tree) else ()
    try:
        images = open_images(data, hierarchy=tree, split=split, classes=fewer, image=image, column=column)
    except DataError as error:
        hint = "if the data has more classes than the model, give --hierarchy, one of all of them"
        raise DataError([*error.problems, *([] if hierarchy else [hint])], error.bad) from None
    assert images.hierarchy is not None
    inference = Inference(
        device=_device(device),
        batch_size=batch_size,
        workers=workers,
        amp_dtype=getattr(torch, amp_dtype) if amp else None,
        channels_last=channels_last,
        img_size=img_size,
        crop_pct=crop_pct,
    )
    found = evaluate(
        main,
        images,
        classes=listed(images.hierarchy, classes or ()),
        flat=other,
        draws=draw(len(images.hierarchy), size, experts, seed=seed) if experts else (),
        inference=inference,
        watch=_watch,
    )
    if as_json:
        print_json(
            {
                "command": _command_line(),
                "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch")},
                "data": images.name,
                "hierarchy": images.hierarchy.digest,
                **report.as_json(found),
            }
        )
    else:
        _show(found, title=f"{checkpoint} on {images.name}")
    if predictions is not None:  # last, so that where it cannot be written the numbers are there
        write_text(predictions, report.predictions(found.rows))


def _show(found: Evaluation, title: str) -> None:
    """Prints an evaluation as tables."""
    out = Console()
    out.print(report.table(found.rows, title=title))
    if found.differences:
        out.print(report.difference_table(found))
    if found.drawn is not None:
        out.print(report.drawn_table(found.drawn))


def _command_line() -> str:
    """What was typed, as the command; the module takes the same words."""
    alone = Path(sys.argv[0]).stem == "evaluate"
    return shlex.join(["timm-nhl", *(["evaluate"] if alone else []), *sys.argv[1:]])


def _tree(hierarchy: str | None, main: Classifier) -> Hierarchy:
    """The hierarchy to measure along: the one asked for, or the model's own."""
    if hierarchy is not None:
        return load(hierarchy)
    if main.hierarchy is None:
        raise EvaluationError(f"{main.source!r} is a plain model and has no hierarchy beside it; give --hierarchy")
    return main.hierarchy


def _device(asked: str) -> torch.device:
    """A device that is there; cuda without a GPU is the CPU."""
    try:
        device = torch.device("cpu" if asked == "cuda" and not torch.cuda.is_available() else asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # what torch raises where it was built without one
        raise OptionError(f"--device {asked!r} is not here; use cpu, or one that is") from None
    return device


def _watch(loader: Any, network: str) -> Iterable[Any]:
    """Shows on stderr how far a network is, and how long it took."""
    start = time.monotonic()
    yield from track(
        loader, network, total=len(loader), console=console, transient=True, disable=not console.is_terminal
    )
    console.print(f"{time.monotonic() - start:6.1f} s  {network}", highlight=False, markup=False)


def main() -> None:
    """Runs the command alone: `python -m timm_nhl.evaluate`."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("evaluate")(evaluate_command)
    sys.exit(run_command(app, "python -m timm_nhl.evaluate", errors=(HierarchyError, NHLError)))
