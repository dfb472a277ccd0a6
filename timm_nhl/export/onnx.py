"""A model as an ONNX file with a free batch size, and in it what a device needs to know: labels and preprocessing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from timm.data import resolve_data_config
from torch import nn

from timm_nhl.errors import ExportError
from timm_nhl.export.verify import check_same, choose_outputs, draw_images, export_checked
from timm_nhl.models import NHL


def export_onnx(model: nn.Module, path: str | os.PathLike[str], *, opset: int | None = None) -> None:
    """Writes an ONNX file: `images` (B, C, H, W) -> `logits` (B, K); needs the extra `timm-nhl[export]`.

    An expert with a router has a second output, `none_of_these` (B,): the probability that an image is of none of its
    groups.

    Its metadata (`describe`) hold the classes and how images are prepared.

    Args:
        opset: of ONNX; by default torch's.

    Raises:
        ExportError: the model cannot be written as ONNX, or ONNX Runtime computes something else from the file.
    """
    onnx, onnxruntime = import_onnx()

    def write(temporary: Path) -> None:
        run, names = choose_outputs(model)
        graph = trace_onnx(run.eval(), draw_images(model, 2), temporary, outputs=names, opset=opset)
        onnx.helper.set_model_props(graph, describe(model))
        onnx.save(graph, temporary)

    def check(written: Path) -> None:
        session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])

        def infer(x: torch.Tensor) -> list[torch.Tensor]:
            return [torch.from_numpy(y) for y in session.run(None, {"images": x.cpu().numpy()})]

        check_same(infer, model, batches=(1, 3), run=choose_outputs(model)[0])

    export_checked(model, Path(path), write, check)


def trace_onnx(
    model: nn.Module, example: torch.Tensor, path: Path, *, outputs: Sequence[str], opset: int | None
) -> Any:
    """Writes the graph of a model with a free batch size: `images` (B, C, H, W) -> `outputs`; returns it as ONNX's.

    Raises:
        ExportError: ONNX is not installed.
    """
    onnx, _ = import_onnx()
    torch.onnx.export(
        model,
        (example,),
        path,
        input_names=["images"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        dynamo=True,
        external_data=False,
        opset_version=opset,
        verbose=False,
    )
    return onnx.load(path)


def import_onnx() -> tuple[Any, Any]:
    """The packages `onnx` and `onnxruntime`.

    Raises:
        ExportError: one that an export needs is not installed.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript as onnxscript
    except ImportError as error:
        raise ExportError(f"exporting to ONNX needs {error.name!r}; install 'timm-nhl[export]'") from None
    return onnx, onnxruntime


def describe(model: nn.Module) -> dict[str, str]:
    """What a file says about a model: each value is text, lists are JSON.

    Keys: `architecture`, `input_size`, `mean`, `std`, `interpolation`, `crop_pct`, `crop_mode` and `versions`; for a
    nested model also `labels` (ids in output order), `names`, `groups` (superclass and group of each) and
    `hierarchy_digest`.
    """
    config: Any = model.pretrained_cfg
    inputs = resolve_data_config({}, model=model)
    keys = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
    found: dict[str, Any] = {"architecture": config.get("architecture"), **{name: inputs[name] for name in keys}}
    found["versions"] = {name: version(name) for name in ("timm-nhl", "timm", "torch")}
    if isinstance(model, NHL):
        tree = model.hierarchy
        found |= {"labels": tree.classes, "names": tree.names, "groups": tree.groups, "hierarchy_digest": tree.digest}
    elif config.get("label_names"):
        found["labels"] = config["label_names"]
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
        if value is not None
    }
