r"""A fused expert of mobilenetv4_conv_small in edge compilers: torchao PT2E, torch.fx, ExecuTorch, ONNX, OpenVINO.

    uv venv --python 3.11 /tmp/edge
    uv pip install --python /tmp/edge/bin/python timm torchao executorch nncf openvino onnx onnxruntime onnxscript \
        pydantic filelock hypothesis
    PYTHONPATH=. /tmp/edge/bin/python benchmarks/edge.py      # one JSON line per compiler

Each line has the largest difference to the logits of the unfused expert in PyTorch, relative to the largest logit, and
the milliseconds for one image on one thread (the fastest of 20). int8 is calibrated with 8 random images. The expert
has 5 classes of imagenet100, random weights and running statistics as after training. Each compiler runs in a process
of its own, because a compiler may crash its process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

import timm_nhl  # noqa: F401 - registers the models

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.trees import scrambled

CLASSES = (0, 1, 2, 50, 99)  # labels
Run = Callable[[Tensor], Tensor]


def torch_eager(model: nn.Module, x: Tensor) -> Run:
    return model


def fx(model: nn.Module, x: Tensor) -> Run:
    return torch.fx.symbolic_trace(model)


def traced(model: nn.Module, x: Tensor) -> Run:
    return torch.jit.trace(model, x)


def exported(model: nn.Module, x: Tensor) -> Run:
    return torch.export.export(model, (torch.cat((x, x)),), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()


def executorch_xnnpack(model: nn.Module, x: Tensor) -> Run:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return _executorch(torch.export.export(model, (x,)), XnnpackPartitioner())


def executorch_xnnpack_int8(model: nn.Module, x: Tensor) -> Run:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    quantized = _quantize_pt2e(model, x)
    return _executorch(torch.export.export(quantized, (x,)), XnnpackPartitioner())


def torchao_pt2e_int8(model: nn.Module, x: Tensor) -> Run:
    return _quantize_pt2e(model, x)


def onnx_dynamo(model: nn.Module, x: Tensor) -> Run:
    return _onnx(model, x, dynamo=True)


def onnx_legacy(model: nn.Module, x: Tensor) -> Run:
    return _onnx(model, x, dynamo=False)


def openvino(model: nn.Module, x: Tensor) -> Run:
    import openvino

    return _openvino(openvino.convert_model(model, example_input=x))


def nncf_int8_openvino(model: nn.Module, x: Tensor) -> Run:
    import nncf
    import openvino

    images = nncf.Dataset([x.numpy() for x in _calibration(x)])
    return _openvino(nncf.quantize(openvino.convert_model(model, example_input=x), images))


COMPILERS = {
    compiler.__name__: compiler
    for compiler in (
        torch_eager,
        fx,
        traced,
        exported,
        onnx_dynamo,
        onnx_legacy,
        openvino,
        nncf_int8_openvino,
        torchao_pt2e_int8,
        executorch_xnnpack,
        executorch_xnnpack_int8,
    )
}


def _calibration(x: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(x.shape, generator=generator) for _ in range(8)]


def _quantize_pt2e(model: nn.Module, x: Tensor) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(model, (x,)).module(), quantizer)
    for images in _calibration(x):
        prepared(images)
    return convert_pt2e(prepared)


def _executorch(program: Any, partitioner: Any) -> Run:
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    lowered = to_edge_transform_and_lower(program, partitioner=[partitioner]).to_executorch()
    calls = [str(node.target) for node in lowered.exported_program().graph.nodes if node.op == "call_function"]
    with tempfile.NamedTemporaryFile(suffix=".pte") as file:
        lowered.write_to_file(file)
        file.flush()
        method = Runtime.get().load_program(Path(file.name)).load_method("forward")
    run: Any = lambda x: method.execute([x])[0]  # noqa: E731
    run.facts = {"kb": len(lowered.buffer) // 1000, "delegates": sum("delegate" in call for call in calls)}
    return run


def _onnx(model: nn.Module, x: Tensor, *, dynamo: bool) -> Run:
    import onnx
    import onnxruntime

    batch: Any = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if dynamo else {}
    if not dynamo:
        batch = {"dynamic_axes": {"images": {0: "batch"}, "logits": {0: "batch"}}}
    names = {"input_names": ["images"], "output_names": ["logits"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model, (torch.cat((x, x)),), path, dynamo=dynamo, external_data=False, verbose=False, **names, **batch
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        facts = {"kb": path.stat().st_size // 1000, "nodes": len(onnx.load(path).graph.node)}
    run: Any = lambda x: torch.from_numpy(session.run(None, {"images": x.numpy()})[0])  # noqa: E731
    run(torch.cat((x, x, x)))  # the batch is free
    run.facts = facts
    return run


def _openvino(model: Any) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda x: torch.from_numpy(np.array(compiled(x.numpy())[0]))


def measure(compiler: Callable[[nn.Module, Tensor], Run], model: nn.Module, x: Tensor, expected: Tensor) -> Any:
    """Compiles and runs a model; returns its error, time and size."""
    run: Any = compiler(model, x)
    actual = run(x)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        run(x)
        seconds.append(time.perf_counter() - start)
    off = ((actual - expected).abs().max() / expected.abs().max()).item()
    return {"off": float(f"{off:.1e}"), "ms": round(1e3 * min(seconds), 2), **getattr(run, "facts", {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compilers", nargs="*", default=list(COMPILERS), help="all by default")
    parser.add_argument("--backbone", default="mobilenetv4_conv_small")
    parser.add_argument("--unfused", action="store_true", help="compile the expert without fusing it")
    options = parser.parse_args()
    for name in options.compilers if len(options.compilers) > 1 else ():
        flags = ["--backbone", options.backbone, *(["--unfused"] if options.unfused else [])]
        run = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, name, *flags], stdout=subprocess.PIPE, text=True
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith('{"compiler"')]
        print(
            lines[0] if lines else json.dumps({"compiler": name, "failed": f"exit code {run.returncode}"}), flush=True
        )
    if len(options.compilers) == 1:
        run_one(options.compilers[0], options.backbone, fuse=not options.unfused)


def run_one(name: str, backbone: str, *, fuse: bool) -> None:
    """Prints the result of one compiler."""
    torch.set_num_threads(1)
    whole = scrambled(timm.create_model(f"{backbone}_nhl", hierarchy="imagenet100"))
    expert = whole.expert([whole.hierarchy.classes[label] for label in CLASSES])
    x = torch.randn(1, 3, *expert.pretrained_cfg["input_size"][1:], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = expert(x)
        try:
            found = measure(COMPILERS[name], expert.fuse() if fuse else expert, x, expected)
        except Exception as error:
            traceback.print_exc()
            found = {"failed": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps({"compiler": name, **found}), flush=True)


if __name__ == "__main__":
    main()
