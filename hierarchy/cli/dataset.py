"""The commands `hierarchy dataset label | subset | stats | split | export`: they parse and compose."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.cli.console import print_json, show_progress
from hierarchy.cli.dataset_options import (
    BadRows,
    CheckImages,
    ColumnName,
    ImageName,
    Names,
    Out,
    Source,
    SplitName,
    Streaming,
    Tree,
    Workers,
    list_bad_rows,
    open_quietly,
    read_options,
)
from hierarchy.errors import DataError

if TYPE_CHECKING:
    from hierarchy.dataset import Data
    from hierarchy.tree import Hierarchy

dataset_app = typer.Typer(no_args_is_help=True, help="Hugging Face datasets along a hierarchy.")


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
    num_proc: Workers = 1,
    bad_rows: BadRows = None,
) -> None:
    """Labels the rows by a hierarchy, adds the columns superclass and group, and saves the dataset."""
    from hierarchy.dataset import label, new_folder
    from hierarchy.io import load

    tree = load(hierarchy)
    options = read_options(column, names, check_images, image, num_proc)
    with show_progress() as progress, new_folder(out) as folder, list_bad_rows(bad_rows):
        progress("reading")
        data = open_quietly(source, split)
        progress("labelling")
        made = label(data, tree, **options)
        progress("writing")
        _save(made, folder, tree, {}, num_proc)
    typer.echo(str(out))


@dataset_app.command("subset")
def subset_command(
    source: Source,
    hierarchy: Tree,
    classes: Annotated[
        list[str], typer.Option(help="A class or node of the expert: an id, a name or a path; repeatable.")
    ],
    out: Out,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Workers = 1,
    bad_rows: BadRows = None,
) -> None:
    """Saves only the rows of an expert's classes, labelled like the expert's outputs.

    The smaller hierarchy is saved with them as hierarchy.json; its provenance maps old labels to new ones.
    """
    from hierarchy.dataset import new_folder, subset
    from hierarchy.io import load

    tree = load(hierarchy)
    options = read_options(column, names, check_images, image, num_proc)
    with show_progress() as progress, new_folder(out) as folder, list_bad_rows(bad_rows):
        progress("reading")
        data = open_quietly(source, split)
        progress("selecting")
        made = subset(data, tree, classes, **options)
        progress("writing")
        mapping = [[old, new] for old, new in (made.mapping or {}).items()]
        about = {"of": tree.digest, "asked": classes, "old_to_new_label": mapping}
        _save(made.data, folder, made.hierarchy, about, num_proc)
    typer.echo(str(out))


@dataset_app.command("stats")
def stats_command(
    source: Source,
    hierarchy: Tree,
    depth: Annotated[int, typer.Option(help="Number of levels to list.", min=1, max=3)] = 2,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page with a chart.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    streaming: Streaming = False,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Workers = 1,
    bad_rows: BadRows = None,
) -> None:
    """Counts the images of each node and shows how even they are and which classes are missing."""
    from hierarchy.dataset import stats
    from hierarchy.files import write_text
    from hierarchy.io import load

    tree = load(hierarchy)
    options = read_options(column, names, check_images, image, num_proc)
    with show_progress() as progress, list_bad_rows(bad_rows):
        progress("reading")
        data = open_quietly(source, split, streaming)
        progress("counting")
        found = stats(data, tree, **options)
        if html is not None:
            progress("drawing")
            write_text(html, found.page(title=Path(source).name))
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(found.text(depth=depth))


@dataset_app.command("split")
def split_command(
    source: Source,
    part: Annotated[list[str], typer.Option(help="A part and its share, such as train=0.8; repeatable.")],
    out: Out,
    seed: Annotated[int, typer.Option(help="Seed of the random choice of rows.", min=0)] = 0,
    column: ColumnName = None,
    names: Names = None,
    split: SplitName = None,
    check_images: CheckImages = False,
    image: ImageName = None,
    num_proc: Workers = 1,
    bad_rows: BadRows = None,
) -> None:
    """Splits the rows of each class by the same shares, reproducibly by seed, and saves the parts."""
    from hierarchy import dataset

    shares = _parse_shares(part)
    options = read_options(column, names, check_images, image, num_proc)
    with show_progress() as progress, dataset.new_folder(out) as folder, list_bad_rows(bad_rows):
        progress("reading")
        data = open_quietly(source, split)
        progress("splitting")
        made = dataset.split(data, shares, **options, seed=seed)
        progress("writing")
        _save(made.data, folder, _load_hierarchy(source), {"shares": shares, "seed": seed}, num_proc)
    if made.too_small:
        few = ", ".join(f"{name} ({count})" for name, count in made.too_small.items())
        typer.echo(f"classes with fewer rows than parts, missing in some: {few}", err=True)
    typer.echo(str(out))


@dataset_app.command("export")
def export_command(
    source: Source,
    form: Annotated[str, typer.Option(help="image-folder, parquet or webdataset.")],
    out: Out,
    column: ColumnName = None,
    image: ImageName = None,
    split: SplitName = None,
    num_proc: Workers = 1,
    streaming: Streaming = False,
    bad_rows: BadRows = None,
) -> None:
    """Writes an image folder, parquet files or WebDataset shards; the bytes of images are unchanged.

    If the source contains hierarchy.json, its hierarchy is saved with the rows.
    """
    from hierarchy.dataset import export
    from hierarchy.io import dumps

    with show_progress() as progress, list_bad_rows(bad_rows):
        progress("reading")
        data = open_quietly(source, split, streaming)
        tree = _load_hierarchy(source)
        text = None if tree is None else dumps(tree, provenance=_provenance({"form": form}))
        progress("writing")
        export(data, out, form=form, column=column, image=image, num_proc=num_proc, hierarchy=text)
    typer.echo(str(out))


def _load_hierarchy(source: str) -> Hierarchy | None:
    """The hierarchy of a folder's labels, if it contains one."""
    from hierarchy.dataset import HIERARCHY_FILE
    from hierarchy.io import load

    path = Path(source) / HIERARCHY_FILE
    return load(path) if path.is_file() else None


def _parse_shares(parts: list[str]) -> dict[str, float]:
    """Parts and shares, from `train=0.8`."""
    shares: dict[str, float] = {}
    problems = []
    for part in parts:
        name, _, share = part.partition("=")
        try:
            value = float(share)
        except ValueError:
            problems.append(f"invalid part {part!r}; use NAME=SHARE, such as train=0.8")
            continue
        if name in shares:
            problems.append(f"part {name!r} is given twice; give each part once")
        shares[name] = value
    if problems:
        raise DataError(problems)
    return shares


def _save(data: Data, folder: Path, tree: Hierarchy | None, about: Mapping[str, Any], num_proc: int) -> None:
    """Saves a dataset with the hierarchy of its labels, if known, and the provenance of both."""
    from hierarchy.dataset import HIERARCHY_FILE, save_data
    from hierarchy.files import write_text
    from hierarchy.io import dumps

    provenance = _provenance(about)
    save_data(data, folder, num_proc=num_proc)
    if tree is not None:
        write_text(folder / HIERARCHY_FILE, dumps(tree, provenance=provenance))
    else:
        write_text(folder / "provenance.json", json.dumps(provenance, ensure_ascii=False, indent=1) + "\n")


def _provenance(about: Mapping[str, Any]) -> dict[str, Any]:
    """How a dataset was made: the command, what it adds, and versions."""
    from importlib.metadata import version

    return {
        "command": shlex.join(["hierarchy", *sys.argv[1:]]),
        **about,
        "versions": {name: version(name) for name in ("timm-nhl", "datasets")},
    }
