"""The LiteRT form of a network, model.tflite: one image, resized and cropped to bytes of the network's size.

LiteRT has no antialiased resampling, so the graph normalises only; Pillow resizes and crops before it.
"""

from __future__ import annotations

import contextlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from timm_nhl.bundle.graphs.packages import import_package
from timm_nhl.bundle.preparation import Preparation, Prepare
from timm_nhl.errors import ExportError

SIGNATURE = "serving_default"


class Normalise(Prepare):
    """What is left of a preparation once an image is cropped: (1, h, w, 3) bytes -> (1, 3, h, w)."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 3, 1, 2).float() * self.factor + self.offset


def write_litert(
    network: nn.Module, path: Path, preparation: Preparation | None, *, example: Tensor, labels: Path
) -> None:
    """Writes model.tflite, of one image at a time.

    Args:
        network: for prepared images.
        preparation: what normalises images in front of it; None leaves it.
        example: a prepared image, (1, C, H, W).
        labels: a text file that goes along, at the file's end as TFLite's metadata keep them.
    """
    litert = import_package("litert")
    if preparation is not None:
        network = nn.Sequential(Normalise(preparation), network).eval()
        example = torch.zeros(1, *example.shape[2:], 3, dtype=torch.uint8)
    with contextlib.redirect_stdout(sys.stderr):  # it reports each of its steps
        litert.convert(network, (example,)).export(str(path))
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(labels, labels.name)


def open_litert(file: Path, threads: int | None) -> tuple[Callable[[np.ndarray[Any, Any]], list[list[Any]]], int]:
    """What runs a graph, an array of images -> the outputs of each, and the number of classes."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ExportError("this bundle needs 'ai-edge-litert'; install it") from None
    runner = Interpreter(model_path=str(file), num_threads=threads).get_signature_runner(SIGNATURE)
    details = runner.get_output_details()

    def run(x: np.ndarray[Any, Any]) -> list[list[Any]]:
        found = [runner(args_0=each[None]) for each in x]
        return [[y[name] for name in sorted(details)] for y in found]

    return run, int(details["output_0"]["shape"][-1])
