"""A model as a torch.export program."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from timm_nhl.export.verify import check_same, choose_outputs, draw_images, export_checked


def export_program(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Writes a torch.export program (.pt2) with a free batch size, and outputs as in an ONNX file.

    Raises:
        ExportError: torch cannot export the model, or the program computes something else.
    """

    def write(temporary: Path) -> None:
        batch = torch.export.Dim("batch", min=1)
        run, _ = choose_outputs(model)
        program = torch.export.export(run.eval(), (draw_images(model, 2),), dynamic_shapes=({0: batch},))
        torch.export.save(program, temporary)

    def check(written: Path) -> None:
        check_same(torch.export.load(written).module(), model, batches=(1, 3), run=choose_outputs(model)[0])

    export_checked(model, Path(path), write, check)
