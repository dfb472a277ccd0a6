"""The commands `hierarchy dataset ...`: composition and flags only."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.cli.console import print_json, progress
from hierarchy.cli.dataset_options import (
    BadRows,
    ColumnName,
    ImageName,
    Out,
    Processes,
    Rows,
    Source,
    SplitName,
    Streaming,
    Tree,
    bad_rows_in,
    open_quietly,
    with_options,
)
from hierarchy.errors import DataError

if TYPE_CHECKING:
    from hierarchy.dataset.labels import Data
    from hierarchy.tree import Hierarchy

dataset_app = typer.Typer(no_args_is_help=True, help="Hugging Face data sets along a hierarchy.")


@dataset_app.command("label")
@with_options
def label_command(
    source: Source,
    hierarchy: Tree,
    out: Out,
    rows: Rows,
) -> None:
    """Gives each row its label in a hierarchy, its superclass and its group, and saves the data set."""
    from hierarchy.dataset.loading import new_folder
    from hierarchy.dataset.operations import label
    from hierarchy.io import load

    tree = load(hierarchy)
    with progress() as tell, new_folder(out) as folder, bad_rows_in(rows.bad_rows):
        tell("reading")
        data = rows.open(source)
        tell("labelling")
        made = label(data, tree, **rows.reading)
        tell("writing")
        _save(made, folder, tree, {}, rows.num_proc)
    typer.echo(str(out))


@dataset_app.command("subset")
@with_options
def subset_command(
    source: Source,
    hierarchy: Tree,
    classes: Annotated[
        list[str], typer.Option(help="What the expert knows: an id, a name or a path; again for each more.")
    ],
    out: Out,
    rows: Rows,
) -> None:
    """Saves only the rows of an expert's classes, labelled as the expert's outputs are.

    The smaller hierarchy lies beside them in hierarchy.json, and its provenance says which old label each new one was.
    """
    from hierarchy.dataset.loading import new_folder
    from hierarchy.dataset.operations import subset
    from hierarchy.io import load

    tree = load(hierarchy)
    with progress() as tell, new_folder(out) as folder, bad_rows_in(rows.bad_rows):
        tell("reading")
        data = rows.open(source)
        tell("choosing")
        made = subset(data, tree, classes, **rows.reading)
        tell("writing")
        mapping = [[old, new] for old, new in (made.mapping or {}).items()]
        about = {"of": tree.digest, "asked": classes, "old_to_new_label": mapping}
        _save(made.data, folder, made.hierarchy, about, rows.num_proc)
    typer.echo(str(out))


@dataset_app.command("stats")
@with_options
def stats_command(
    source: Source,
    hierarchy: Tree,
    rows: Rows,
    depth: Annotated[int, typer.Option(help="Levels to list.", min=1, max=3)] = 2,
    html: Annotated[Path | None, typer.Option(help="Write a page with a picture, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    streaming: Streaming = False,
) -> None:
    """Counts the images of each node, and says how even they are and which classes are missing."""
    from hierarchy.dataset.operations import stats
    from hierarchy.files import write_text
    from hierarchy.io import load

    tree = load(hierarchy)
    with progress() as tell, bad_rows_in(rows.bad_rows):
        tell("reading")
        data = rows.open(source, streaming=streaming)
        tell("counting")
        found = stats(data, tree, **rows.reading)
        if html is not None:
            tell("drawing")
            write_text(html, found.page(title=Path(source).name))
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(found.text(depth=depth))


@dataset_app.command("split")
@with_options
def split_command(
    source: Source,
    part: Annotated[list[str], typer.Option(help="A part and its share, as train=0.8; again for each more.")],
    out: Out,
    rows: Rows,
    seed: Annotated[int, typer.Option(help="Of the choice of rows.", min=0)] = 0,
) -> None:
    """Splits the rows of each class in equal shares, at random but alike each time, and saves the parts."""
    from hierarchy.dataset.loading import new_folder
    from hierarchy.dataset.operations import split as split_data

    shares = _shares(part)
    with progress() as tell, new_folder(out) as folder, bad_rows_in(rows.bad_rows):
        tell("reading")
        data = rows.open(source)
        tell("splitting")
        made = split_data(data, shares, **rows.reading, seed=seed)
        tell("writing")
        _save(made.data, folder, _beside(source), {"shares": shares, "seed": seed}, rows.num_proc)
    if made.too_small:
        few = ", ".join(f"{name} ({count})" for name, count in made.too_small.items())
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
    bad_rows: BadRows = None,
) -> None:
    """Writes an image folder, parquet files or WebDataset shards; images keep their bytes.

    Where it was stopped, the same command goes on with the shards that are missing (a stream is written anew). If
    hierarchy.json lies in the source, its hierarchy is written, too.
    """
    from hierarchy.dataset.operations import export
    from hierarchy.io import dumps

    with progress() as tell, bad_rows_in(bad_rows):
        tell("reading")
        data = open_quietly(source, split, streaming)
        tree = _beside(source)
        beside = None if tree is None else dumps(tree, provenance=_provenance({"form": form}))
        tell("writing")
        try:
            export(data, out, form=form, column=column, image=image, num_proc=num_proc, beside=beside)
        except KeyboardInterrupt:
            if not streaming:
                typer.echo("what is done is kept, and the same command goes on from there", err=True)
            raise
    typer.echo(str(out))


# What the commands share


def _beside(source: str) -> Hierarchy | None:
    """The hierarchy of a folder's labels, if it says one."""
    from hierarchy.dataset.loading import BESIDE
    from hierarchy.io import load

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
    from hierarchy.dataset.loading import BESIDE, save_data
    from hierarchy.files import write_text
    from hierarchy.io import dumps

    provenance = _provenance(about)
    save_data(data, folder, num_proc=num_proc)
    if tree is not None:
        write_text(folder / BESIDE, dumps(tree, provenance=provenance))
    else:
        write_text(folder / "provenance.json", json.dumps(provenance, ensure_ascii=False, indent=1) + "\n")


def _provenance(about: Mapping[str, Any]) -> dict[str, Any]:
    """How a data set came to be: the command, what it knows of it, and versions."""
    from importlib.metadata import version

    return {
        "command": shlex.join(["hierarchy", *sys.argv[1:]]),
        **about,
        "versions": {name: version(name) for name in ("timm-nhl", "datasets")},
    }
