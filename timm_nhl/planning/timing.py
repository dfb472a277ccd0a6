"""Milliseconds of a network on this machine: built with random weights, exported, and run by ONNX Runtime."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import timm
import torch

from hierarchy import Hierarchy
from timm_nhl.export import export_onnx
from timm_nhl.models import NHL
from timm_nhl.planning.candidates import NESTED, Candidate

WARM_UP, LEAST, SECONDS = 3, 10, 1.0  # runs that are not counted; runs at least, for about this long


def measure(candidate: Candidate, tree: Hierarchy) -> float:
    """The median time of one image, on one thread, of a candidate for the classes of a hierarchy.

    Raises:
        ExportError: ONNX Runtime is not installed, or the network cannot be exported.
    """
    classes: dict[str, Any] = {"hierarchy": tree} if candidate.kind == NESTED else {"num_classes": len(tree)}
    model: Any = timm.create_model(candidate.model, **candidate.options, **classes).eval()
    model.pretrained_cfg["input_size"] = candidate.input_size  # timm's copy for this model
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model.fuse() if isinstance(model, NHL) else model, path)
        return time_file(path, torch.randn(1, *candidate.input_size))


def time_file(path: Path, images: torch.Tensor) -> float:
    """The median time of a run of an ONNX file, in milliseconds, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {"images": images.numpy()}
    for _ in range(WARM_UP):
        session.run(None, inputs)
    times: list[float] = []
    while len(times) < LEAST or sum(times) < SECONDS:
        start = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - start)
    return 1000 * median(times)
