"""The command `timm-nhl evaluate`: composition and flags only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hierarchy.english import count
from hierarchy.errors import DataError, SourceError
from hierarchy.files import write_text
from timm_nhl.cli.evaluate_report import report
from timm_nhl.errors import EvaluationError, OptionError

if TYPE_CHECKING:
    from hierarchy import Hierarchy
    from timm_nhl.eval import Classifier, Evaluation, Inference, Opened, Rejection

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT", help="A saved folder, nested or plain, or a file of weights with --model and --hierarchy."
    ),
]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A saved folder, .parquet, an image folder, or a Hub name (owner/name, datasets:name)."
    ),
]
Split = Annotated[str, typer.Option(help="Split of the data.")]
Classes = Annotated[
    list[str] | None,
    typer.Option(help="Also measure the expert of these: an id, name or node path; repeat it for several."),
]
Flat = Annotated[str | None, typer.Option(help="Saved folder of a plain model to compare with.")]
AlongHierarchy = Annotated[
    str | None,
    typer.Option(
        help="Measure along this hierarchy, which may have more classes than the model; by default its own, with the"
        " further classes of hierarchy.json in DATA."
    ),
]
Model = Annotated[str | None, typer.Option(help="The architecture, if CHECKPOINT is a file of weights.")]
Labels = Annotated[
    str | None, typer.Option(help="A source of a plain model's classes, in order, if its config does not name them.")
]
Experts = Annotated[int, typer.Option(help="Also measure this many experts of random classes.", min=0)]
Size = Annotated[int, typer.Option(help="Number of classes of each random expert.")]
Seed = Annotated[int, typer.Option(help="Seed of the random experts.")]
Routed = Annotated[
    bool, typer.Option("--routed", help="Also measure the router: accuracy and cost by what runs, and none of these.")
]
Bundles = Annotated[
    list[str] | None,
    typer.Option("--bundle", help="Also measure this bundle of the model, or of an expert; repeat it for several."),
]
MaxDrop = Annotated[
    float | None, typer.Option(help="Points of top-1 that a bundle may lose to the model; more is an error.", min=0)
]
Reject = Annotated[
    bool, typer.Option("--reject", help="Also measure none of these: how well images of other classes are told apart.")
]
ImageColumn = Annotated[str | None, typer.Option(help="Image column; by default the only one.")]
LabelColumn = Annotated[str | None, typer.Option(help="Label column; by default 'label', or the only one.")]
BatchSize = Annotated[int, typer.Option("--batch-size", "-b", help="Images per forward pass.", min=1)]
Workers = Annotated[int, typer.Option("--workers", "-j", help="Processes that load images.", min=0)]
ImageSize = Annotated[int | None, typer.Option(help="Image size; by default the model's.", min=1)]
CropPct = Annotated[float | None, typer.Option(help="Center crop; by default the model's.", min=0.01, max=1)]
Device = Annotated[str | None, typer.Option(help="Like cuda, cpu or mps; by default cuda if there is a GPU.")]
Amp = Annotated[bool, typer.Option("--amp", help="Mixed precision.")]
AmpDtype = Annotated[Literal["bfloat16", "float16"], typer.Option(help="Type of mixed precision.")]
ChannelsLast = Annotated[bool, typer.Option("--channels-last", help="Channels-last memory format.")]
Predictions = Annotated[Path | None, typer.Option(help="Write a prediction per image to this CSV file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def evaluate_command(
    checkpoint: Checkpoint,
    data: Data,
    split: Split = "test",
    classes: Classes = None,
    flat: Flat = None,
    hierarchy: AlongHierarchy = None,
    model: Model = None,
    labels: Labels = None,
    experts: Experts = 0,
    size: Size = 20,
    seed: Seed = 0,
    routed: Routed = False,
    bundle: Bundles = None,
    max_drop: MaxDrop = None,
    reject: Reject = False,
    image: ImageColumn = None,
    column: LabelColumn = None,
    batch_size: BatchSize = 256,
    workers: Workers = 4,
    img_size: ImageSize = None,
    crop_pct: CropPct = None,
    device: Device = None,
    amp: Amp = False,
    amp_dtype: AmpDtype = "bfloat16",
    channels_last: ChannelsLast = False,
    predictions: Predictions = None,
    as_json: AsJson = False,
) -> None:
    """Measures accuracy, accuracy per level, height of mistakes and calibration, with 95 % intervals.

    With --classes, also of the model restricted to them and of their expert; with --flat, also of a plain model.
    """
    _check(predictions, max_drop, bundle)
    from timm_nhl.data import keep_rows, read_held_out
    from timm_nhl.eval import draw_classes, evaluate, list_predictions, measure_routing, open_bundles

    precision = amp_dtype if amp else None
    inference = _choose_inference(device, batch_size, workers, precision, channels_last, img_size, crop_pct)
    tree, main, other = _open_models(checkpoint, data, flat, hierarchy=hierarchy, model=model, labels=labels)
    kept = read_held_out(checkpoint, data, split=split)
    columns: dict[str, Any] = {"split": kept[0] if kept else split, "image": image, "column": column}
    held_out = partial(read_held_out, checkpoint, data, split="validation")
    images: Any = _open_images(data, tree, main, has_more=bool(hierarchy), find_held_out=held_out, **columns)
    _say_left_out(images, quiet=reject or kept is not None)
    images = keep_rows(images, kept[1]) if kept else images
    draws = draw_classes(len(images.classes), size, experts, seed=seed) if experts else ()
    asked, opened = [images.hierarchy.labels(*classes)] if classes else [], open_bundles(bundle or (), images.hierarchy)
    options: dict[str, Any] = {"inference": inference, "track": _track}
    found = evaluate(main, images, classes=classes or (), flat=other, draws=draws, bundles=opened, **options)
    routing = measure_routing(main, images, [*asked, *draws], **options) if routed else None
    rejection: Any = ()
    if reject:
        parts = [*asked, *draws] or list(dict.fromkeys(each.labels for each in opened))
        rejection = _measure_rejection(main, other, opened, images, tree, parts, (data, columns, kept), options)
    report(found, routing, rejection, images, title=f"{checkpoint} on {images.name}", as_json=as_json)
    if predictions is not None:  # last: if it cannot be written, the numbers are not lost
        write_text(predictions, list_predictions(found.rows))
    if max_drop is not None:
        _check_drops(found, max_drop)


def _check(predictions: Path | None, max_drop: float | None, bundle: list[str] | None) -> None:
    """Raises OptionError for what cannot be done, before anything is run."""
    if predictions is not None and not predictions.parent.is_dir():
        raise OptionError(f"cannot write {str(predictions)!r}: no folder {str(predictions.parent)!r}; create it first")
    if max_drop is not None and not bundle:
        raise OptionError("--max-drop limits what a bundle loses, and there is none; pass --bundle")


def _choose_inference(
    device: str | None, batch_size: int, workers: int, precision: str | None, *rest: Any
) -> Inference:
    """How networks are run."""
    import torch

    from timm_nhl.data import choose_device
    from timm_nhl.eval import Inference

    dtype = None if precision is None else getattr(torch, precision)
    return Inference(choose_device(device), batch_size, workers, dtype, *rest)


def _measure_rejection(
    main: Classifier,
    other: Classifier | None,
    opened: Sequence[Opened],
    images: Any,
    tree: Hierarchy,
    parts: Sequence[Sequence[int]],
    source: tuple[str, dict[str, Any], tuple[str, list[int]] | None],
    options: dict[str, Any],
) -> tuple[Sequence[Rejection], int]:
    """How well all networks and bundles know images of other classes, and of how many experts that is the mean."""
    import numpy as np

    from timm_nhl.data import open_images
    from timm_nhl.eval import look, measure_bundle, measure_rejection, open_bundles

    every = images
    if len(images.classes) < len(tree):  # the images of classes that the model does not know, too
        data, columns, kept = source
        every = open_images(data, hierarchy=tree, **columns)
        ids = {id: label for label, id in enumerate(tree.classes)}
        new = [ids[id] for id in images.classes]
        if kept:  # the model has learned from all other images of its own classes
            every = every.select(np.isin(every.rows, kept[1]) | ~np.isin(every.labels, new), name=every.name)
        parts = [[new[label] for label in part] for part in parts] or [sorted(new)]
        opened = open_bundles([each.bundle.folder for each in opened], tree)
    networks = {"expert" if hasattr(main.model, "expert") else "flat": main, **({"flat": other} if other else {})}
    seen = [look(network, every, name, **options) for name, network in networks.items()]
    found = list(measure_rejection(seen, parts))
    for each in opened:
        found += measure_bundle(each, every, options["track"])
    return found, len(parts)


def _check_drops(found: Evaluation, most: float) -> None:
    """Makes sure that no bundle loses more than some points of top-1."""
    from timm_nhl.eval import check_drop

    for row in found.rows:
        if row.bundle is not None:
            model = found.find_model(row)
            check_drop(row.bundle, model.name, 100 * (model.measures.top1.value - row.measures.top1.value), most)


def _open_models(
    checkpoint: str, data: str, flat: str | None, *, hierarchy: str | None, model: str | None, labels: str | None
) -> tuple[Hierarchy, Classifier, Classifier | None]:
    """The hierarchy to measure along, and the models whose classes are ids of it."""
    from hierarchy import load
    from hierarchy.dataset import HIERARCHY_FILE
    from hierarchy.sources import read_classes
    from timm_nhl.eval import open_classifier

    names = read_classes(labels, fewest=1).ids if labels else None
    main = open_classifier(checkpoint, model=model, hierarchy=hierarchy, labels=names)
    file = Path(data) / HIERARCHY_FILE
    tree = main.hierarchy if hierarchy is None else load(hierarchy)
    if hierarchy is None and file.is_file():  # it may have classes that the model does not know
        tree = load(file) if tree is None else tree.extend(load(file))
    if tree is None:
        raise EvaluationError(
            f"{main.source!r} is a plain model without a hierarchy.json in its folder or in {data!r}; pass --hierarchy"
        )
    other = None if flat is None else open_classifier(flat, labels=names).along(tree)
    return tree, main.along(tree), other


def _open_images(
    data: str, tree: Hierarchy, main: Classifier, *, has_more: bool, find_held_out: Callable[[], object], **options: Any
) -> Any:
    """The images of the classes that the model knows."""
    from timm_nhl.data import open_images

    fewer = main.classes if len(main.classes) < len(tree) else ()
    try:
        return open_images(data, hierarchy=tree, classes=fewer, **options)
    except DataError as error:
        hint = "if the data has more classes than the model, pass --hierarchy with all of them"
        raise DataError([*error.problems, *([] if has_more else [hint])], error.bad) from None
    except SourceError as error:
        if not find_held_out():  # asked only now: it opens the data again
            raise
        raise SourceError(f"{error}; --split validation is what the training held out") from None


def _say_left_out(images: Any, *, quiet: bool) -> None:
    """Says on stderr how many images of a split are of classes that the model does not have."""
    others = len(images.data) - len(images)
    if others and not quiet:
        typer.echo(f"left out: {count(others, 'image')} of classes that the model does not have", err=True)


def _track(loader: Any, network: str) -> Iterable[Any]:
    """Shows on stderr how far a network is, then how long it took."""
    from rich.console import Console
    from rich.progress import track

    console, start = Console(stderr=True), time.monotonic()
    yield from track(
        loader, network, total=len(loader), console=console, transient=True, disable=not console.is_terminal
    )
    console.print(f"{time.monotonic() - start:6.1f} s  {network}", highlight=False, markup=False)
