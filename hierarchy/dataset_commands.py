"""The commands `hierarchy dataset ...`: composition and flags only."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.console import print_json, progress
from hierarchy.errors import DataError

if TYPE_CHECKING:
    from hierarchy.dataset_labels import Check, Data
    from hierarchy.tree import Hierarchy

dataset_app = typer.Typer(no_args_is_help=True, help="Hugging Face data sets along a hierarchy.")

Source = Annotated[
    str, typer.Argument(help="A saved folder, .parquet, an image folder, or a Hub name (owner/name, datasets:name).")
]
Tree = Annotated[str, typer.Argument(metavar="HIERARCHY", help="A .json or .csv file, or a shipped one's name.")]
Out = Annotated[Path, typer.Option(help="The folder to make.")]
ColumnName = Annotated[str | None, typer.Option(help="The label column; 'label', or the only one, by default.")]
Names = Annotated[
    str | None, typer.Option(help="What the column's numbers mean: a source of classes, as for generate.")
]
SplitName = Annotated[str | None, typer.Option("--split", help="Take this split only.")]
CheckImages = Annotated[bool, typer.Option("--check-images", help="Decode every image once, to find bad ones.")]
ImageName = Annotated[str | None, typer.Option(help="The column of images; the only one by default.")]
Processes = Annotated[int, typer.Option(help="Processes that decode and write.", min=1)]
Streaming = Annotated[bool, typer.Option("--streaming", help="Read row by row, without a copy in a cache.")]


@dataset_app.command("label")
def label_command(
    source: Source,
    hierarchy: Tree,
    out: Out,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Processes = 1,
) -> None:
    """Gives each row its label in a hierarchy, its superclass and its group, and saves the data set."""
    from hierarchy.dataset import label
    from hierarchy.dataset_folder import new_folder
    from hierarchy.files import load

    tree = load(hierarchy)
    with progress() as tell, new_folder(out) as folder:
        tell("reading")
        data = _open(source, split)
        tell("labelling")
        made = label(data, tree, column=column, names=_names(names), check=_check(check_images, image, num_proc))
        tell("writing")
        _save(made, folder, tree, {}, num_proc)
    typer.echo(str(out))


@dataset_app.command("subset")
def subset_command(
    source: Source,
    hierarchy: Tree,
    classes: Annotated[
        list[str], typer.Option(help="What the expert knows: an id, a name or a path; again for each more.")
    ],
    out: Out,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Processes = 1,
) -> None:
    """Saves only the rows of an expert's classes, labelled as the expert's outputs are.

    The smaller hierarchy lies beside them in hierarchy.json, and its provenance says which old label each new one was.
    """
    from hierarchy.dataset import subset
    from hierarchy.dataset_folder import new_folder
    from hierarchy.files import load

    tree = load(hierarchy)
    with progress() as tell, new_folder(out) as folder:
        tell("reading")
        data = _open(source, split)
        tell("choosing")
        made = subset(
            data, tree, classes, column=column, names=_names(names), check=_check(check_images, image, num_proc)
        )
        tell("writing")
        mapping = [[old, new] for old, new in (made.mapping or {}).items()]
        about = {"of": tree.digest, "asked": classes, "old_to_new_label": mapping}
        _save(made.data, folder, made.hierarchy, about, num_proc)
    typer.echo(str(out))


@dataset_app.command("stats")
def stats_command(
    source: Source,
    hierarchy: Tree,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    depth: Annotated[int, typer.Option(help="Levels to list.", min=1, max=3)] = 2,
    html: Annotated[Path | None, typer.Option(help="Write a page with a picture, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Processes = 1,
    streaming: Streaming = False,
) -> None:
    """Counts the images of each node, and says how even they are and which classes are missing."""
    from hierarchy.dataset import stats
    from hierarchy.files import load, write_text

    tree = load(hierarchy)
    with progress() as tell:
        tell("reading")
        data = _open(source, split, streaming)
        tell("counting")
        found = stats(data, tree, column=column, names=_names(names), check=_check(check_images, image, num_proc))
        if html is not None:
            tell("drawing")
            write_text(html, found.page(title=Path(source).name))
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(found.text(depth=depth))


@dataset_app.command("split")
def split_command(
    source: Source,
    part: Annotated[list[str], typer.Option(help="A part and its share, as train=0.8; again for each more.")],
    out: Out,
    seed: Annotated[int, typer.Option(help="Of the choice of rows.", min=0)] = 0,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    num_proc: Processes = 1,
) -> None:
    """Splits the rows of each class in equal shares, at random but alike each time, and saves the parts."""
    from hierarchy.dataset import split as split_data
    from hierarchy.dataset_folder import new_folder

    shares = _shares(part)
    with progress() as tell, new_folder(out) as folder:
        tell("reading")
        data = _open(source, split)
        tell("splitting")
        made = split_data(data, shares, column=column, names=_names(names), seed=seed)
        tell("writing")
        _save(made.data, folder, _beside(source), {"shares": shares, "seed": seed}, num_proc)
    if made.too_small:
        few = ", ".join(f"{name} ({rows})" for name, rows in made.too_small.items())
        typer.echo(f"fewer rows than parts, so not in each part: {few}", err=True)
    typer.echo(str(out))


@dataset_app.command("export")
def export_command(
    source: Source,
    form: Annotated[str, typer.Option(help="image-folder, parquet or webdataset.")],
    out: Out,
    column: ColumnName = None,
    image: ImageName = None,
    split: SplitName = None,
    num_proc: Processes = 1,
    streaming: Streaming = False,
) -> None:
    """Writes an image folder, parquet files or WebDataset shards; images keep their bytes."""
    from hierarchy.dataset import export

    with progress() as tell:
        tell("reading")
        data = _open(source, split, streaming)
        tell("writing")
        export(data, out, form=form, column=column, image=image, num_proc=num_proc)
    typer.echo(str(out))


# What the commands share


def _open(source: str, split: str | None, streaming: bool = False) -> Data:
    from datasets import disable_progress_bars, logging

    from hierarchy.dataset_folder import open_data

    disable_progress_bars()  # `progress` tells how far things are
    logging.set_verbosity(logging.CRITICAL)  # what goes wrong is raised, too
    return open_data(source, split=split, streaming=streaming)


def _names(source: str | None) -> tuple[str, ...] | None:
    from hierarchy.classes import read_classes

    return None if source is None else read_classes(source).ids


def _check(wanted: bool, image: str | None, num_proc: int) -> Check | None:
    from hierarchy.dataset import readable

    if image is not None and not wanted:
        raise DataError(["--image names what --check-images looks at; give both or none"])
    return readable(image, num_proc=num_proc) if wanted else None


def _beside(source: str) -> Hierarchy | None:
    """The hierarchy of a folder's labels, if it says one."""
    from hierarchy.dataset_folder import BESIDE
    from hierarchy.files import load

    path = Path(source) / BESIDE
    return load(path) if path.is_file() else None


def _shares(parts: list[str]) -> dict[str, float]:
    """Parts and shares, from `train=0.8`."""
    shares: dict[str, float] = {}
    problems = []
    for part in parts:
        name, _, share = part.partition("=")
        try:
            value = float(share)
        except ValueError:
            problems.append(f"part {part!r} is no name and share; give one as train=0.8")
            continue
        if name in shares:
            problems.append(f"part {name!r} is given twice; give each once")
        shares[name] = value
    if problems:
        raise DataError(problems)
    return shares


def _save(data: Data, folder: Path, tree: Hierarchy | None, about: Mapping[str, Any], num_proc: int) -> None:
    """Saves a data set, with the hierarchy of its labels and how both came to be beside it."""
    from importlib.metadata import version

    from hierarchy.dataset_folder import BESIDE, save_data
    from hierarchy.files import dumps, write_text

    provenance = {
        "command": shlex.join(["hierarchy", *sys.argv[1:]]),
        **about,
        "versions": {name: version(name) for name in ("timm-nhl", "datasets")},
    }
    save_data(data, folder, num_proc=num_proc)
    if tree is not None:
        write_text(folder / BESIDE, dumps(tree, provenance=provenance))
    else:
        write_text(folder / "provenance.json", json.dumps(provenance, ensure_ascii=False, indent=1) + "\n")
