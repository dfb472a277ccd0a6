"""What is made of trained models: `timm-nhl expert` cuts one, `merge` joins some, `router` gives one a router."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hierarchy.english import count

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A saved folder, or a file of weights with --model and --hierarchy.",
        show_default=False,
    ),
]
Classes = Annotated[
    list[str] | None, typer.Option(help="A class id, class name or node path, or '' for all; repeat it for several.")
]
ModelOption = Annotated[str | None, typer.Option(help="The architecture, if CHECKPOINT is a file of weights.")]
HierarchyOption = Annotated[
    str | None, typer.Option(help="Its hierarchy, if CHECKPOINT is a file of weights: shipped, .json or .csv.")
]


def expert_command(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="A new folder, which timm loads as local-dir:OUT.")],
    classes: Classes = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Cuts the expert of some classes out of a trained model; no training is needed."""
    from timm_nhl.export import load, save

    expert = load(checkpoint, model=model, hierarchy=hierarchy).expert(classes or ())
    save(expert, out)
    params = sum(parameter.numel() for parameter in expert.parameters())
    typer.echo(f"{out}: {count(len(expert.hierarchy), 'class')}, {params / 1e6:.2f}M parameters", err=True)


def merge_command(
    parts: Annotated[
        list[str],
        typer.Argument(metavar="PARTS", help="Folders that timm-nhl convert wrote, of different superclasses."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder; the model is in OUT/last.")],
) -> None:
    """Joins networks that were converted from one flat classifier, by --shard or --classes; no training is needed."""
    from timm_nhl.converting import merge

    merged = merge(parts, out)
    params = sum(parameter.numel() for parameter in merged.parameters())
    typer.echo(f"{out}: {count(len(merged.hierarchy), 'class')}, {params / 1e6:.2f}M parameters", err=True)


def router_command(
    checkpoint: Checkpoint,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="A saved folder, .parquet, an image folder, or a name on the Hub.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder, which timm loads as local-dir:OUT.")],
    split: Annotated[str, typer.Option(help="Split of the data to fit it to.")] = "train",
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes that load images.", min=0)] = 4,
    device: Annotated[str | None, typer.Option(help="Like cuda or cpu; by default cuda if there is a GPU.")] = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Fits a router to a trained model, whose other weights stay as they are; the trunk runs once over the images."""
    from timm.data import resolve_data_config

    from timm_nhl.data import choose_device, eval_loader, open_images
    from timm_nhl.export import load, save
    from timm_nhl.routers import fit_router

    nested = load(checkpoint, model=model, hierarchy=hierarchy).to(choose_device(device))
    images = open_images(data, hierarchy=nested.hierarchy, split=split)
    config = resolve_data_config({}, model=nested)
    fit_router(nested, eval_loader(images, config, batch_size=256, workers=workers, device=choose_device(device)))
    save(nested.cpu(), out)
    typer.echo(f"{out}: a router of {count(nested.hierarchy.sizes[1], 'group')}", err=True)
