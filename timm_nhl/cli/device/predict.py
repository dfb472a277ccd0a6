"""The command `timm-nhl predict`: what a bundle, or a saved model, says of image files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hierarchy.english import count
from timm_nhl.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image

STDIN = "-"
NONE = "none of these"
ENDINGS = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2"}

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A bundle, or a saved folder, nested or plain.", show_default=False)
]
ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGES", help="Image files, folders of them, or - for one image on stdin.", show_default=False
    ),
]
Top = Annotated[int, typer.Option(help="Classes to list for each image.", min=1)]
Form = Annotated[Literal["table", "csv", "json"], typer.Option(help="A table, CSV, or a line of JSON for each image.")]
Runtime = Annotated[
    str | None, typer.Option(help="onnx, openvino, executorch, litert or torch; by default what the bundle has.")
]
Threads = Annotated[int | None, typer.Option(help="Threads of the runtime.", min=1)]


@dataclass(frozen=True)
class Prediction:
    """What is said of an image.

    Args:
        image: its file.
        classes: the most likely ones, (id, name, path, probability) each.
        none_of_these: the probability that it is of none of the classes, where the model has a router.
        accepted: whether it is of one of the classes, where a bundle has a threshold.
    """

    image: str
    classes: tuple[tuple[str, str, str, float], ...]
    none_of_these: float | None
    accepted: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        keys = ("id", "name", "path", "probability")
        classes = [dict(zip(keys, each, strict=True)) for each in self.classes]
        none = {"none_of_these": self.none_of_these, "accepted": self.accepted}
        return {"image": self.image, "classes": classes, **none}


def predict_command(
    source: Source,
    images: ImagesArgument,
    top: Top = 5,
    form: Form = "table",
    runtime: Runtime = None,
    threads: Threads = None,
) -> None:
    """Says which classes images are of, or that they are of none, where a bundle has a threshold for that.

    Images that cannot be read are listed on stderr and left out; the exit code is then 1.
    """
    files = list(_find_files(images))
    say, labels, accept = _open(source, runtime, threads)
    unreadable: list[str] = []
    predictions = _predict(_track(files), say, labels, accept, min(top, len(labels)), unreadable)
    groups = {path.rpartition("/")[0] for *_, path in labels}
    _print(predictions, form, paths=len(groups) > 1)
    for fault in unreadable:
        typer.echo(fault, err=True)
    if unreadable:
        typer.echo(f"{count(len(unreadable), 'image')} of {len(files):,} cannot be read", err=True)
        raise typer.Exit(1)


def _find_files(images: Iterable[str]) -> Iterator[str]:
    """The files that are meant: those named, and all images below folders, in order of their names.

    Raises:
        OptionError: there is no such file, or no image in a folder.
    """
    for asked in images:
        path = Path(asked)
        if asked == STDIN or path.is_file():
            yield asked
        elif path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
            if not found:
                raise OptionError(f"no images in the folder {asked!r}; name a folder with files like .jpg or .png")
            yield from found
        else:
            raise OptionError(f"no such image: {asked!r}; name a file, a folder, or - for stdin")


def _open(
    source: str, runtime: str | None, threads: int | None
) -> tuple[Callable[[Any], dict[str, Any]], Any, Callable[[Any], Any] | None]:
    """How to get the outputs of an image, the labels of the outputs, and what says which images are accepted."""
    from timm_nhl.bundle import Scored, find_preparation, is_bundle, list_labels, open_bundle

    if is_bundle(source):
        bundle = open_bundle(source, runtime=runtime, threads=threads)
        return bundle.predict, bundle.labels, None if bundle.threshold is None else bundle.threshold.accept
    if runtime is not None:
        raise OptionError(
            f"--runtime chooses among the graphs of a bundle, and {source!r} is a saved model; leave it out"
        )
    import torch

    from timm_nhl.export import load_model

    if threads is not None:
        torch.set_num_threads(threads)
    model = load_model(source)
    scored, preparation = Scored(model), find_preparation(model)

    def say(image: Image.Image) -> dict[str, Any]:
        with torch.inference_mode():
            outputs = scored(preparation.transform(image)[None])
        return {name: y.numpy() for name, y in zip(scored.outputs, outputs, strict=True)}

    return say, list_labels(model), None


def _predict(
    files: Iterable[str],
    say: Callable[[Any], dict[str, Any]],
    labels: Any,
    accept: Callable[[Any], Any] | None,
    top: int,
    unreadable: list[str],
) -> Iterator[Prediction]:
    """Predictions of the files that can be read; the others are added to `unreadable`."""
    from hierarchy.dataset import Unreadable
    from timm_nhl.data import decode_image

    for file in files:
        try:
            content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
            outputs = say(decode_image(content))
        except (Unreadable, OSError) as fault:
            unreadable.append(f"{file}: {fault}")
            continue
        probabilities = outputs["probabilities"][0]
        best = probabilities.argsort()[::-1][:top]
        none = outputs.get("none_of_these")
        yield Prediction(
            file,
            tuple((*labels[i], float(probabilities[i])) for i in best),
            None if none is None else float(none[0]),
            None if accept is None else bool(accept(outputs)[0]),
        )


def _print(predictions: Iterator[Prediction], form: str, *, paths: bool) -> None:
    """Prints each prediction on stdout as soon as it is made; a table at the end, which may leave out paths."""
    if form == "json":
        for each in predictions:
            typer.echo(json.dumps(each.to_dict(), ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["image", "rank", "id", "name", "path", "probability", "none_of_these", "accepted"])
        for each in predictions:
            none = "" if each.none_of_these is None else f"{each.none_of_these:.6g}"
            accepted = "" if each.accepted is None else str(each.accepted).lower()
            for rank, (*label, probability) in enumerate(each.classes, 1):
                writer.writerow([each.image, rank, *label, f"{probability:.6g}", none, accepted])
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table()
        for column in ("image", "class", *(["path"] if paths else []), "%", "none of these, %"):
            table.add_column(column, justify="right" if "%" in column else "left")
        for each in predictions:
            if each.accepted is False:
                table.add_row(each.image, NONE)
                continue
            for rank, (_, name, path, probability) in enumerate(each.classes):
                none = "" if rank or each.none_of_these is None else f"{100 * each.none_of_these:.1f}"
                words = [name, path] if paths else [name]
                table.add_row("" if rank else each.image, *words, f"{100 * probability:.1f}", none)
        Console().print(table)


def _track(files: list[str]) -> Iterable[str]:
    """Shows on stderr how far it is."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(files, "predict", console=console, transient=True, disable=not console.is_terminal)
