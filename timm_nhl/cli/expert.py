"""The commands `timm-nhl expert` and `timm-nhl export`: a trained model cut to some classes, or in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hierarchy.english import count
from timm_nhl.errors import OptionError

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


def export_command(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="A .onnx file, or a .pt2 file for torch.export.")],
    classes: Classes = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Writes a model, or the expert of some classes, as ONNX or a torch.export program and checks its numbers."""
    if out.suffix not in (".onnx", ".pt2"):
        raise OptionError(f"unknown format of {str(out)!r}; end the name in .onnx or .pt2")
    from timm_nhl.export import export_onnx, export_program, load

    nested = load(checkpoint, model=model, hierarchy=hierarchy)
    write = export_onnx if out.suffix == ".onnx" else export_program
    write(nested.expert(classes) if classes else nested, out)
    typer.echo(f"{out}: verified against the model", err=True)
