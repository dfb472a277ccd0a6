"""The command `timm-nhl expert`: a trained model cut to some classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hierarchy.english import count

Checkpoint = Annotated[
    str, typer.Argument(help="A saved folder, or a file of weights with --model and --hierarchy.", show_default=False)
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
