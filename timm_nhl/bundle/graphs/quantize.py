"""Small numbers: weights stored in float16, or weights and activations in int8 by ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 8  # images at once while calibrating
LAYERS_IMAGES = 16  # images that layers are compared on


def halve(network: Any) -> Any:
    """A copy of an ONNX model whose float32 weights are stored in float16; a runtime widens them when it loads."""
    import onnx
    from onnx import numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(network)
    graph, casts = half.graph, []
    for place, weight in enumerate(graph.initializer):
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) > 1:
            narrow = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{weight.name}/half")
            casts.append(onnx.helper.make_node("Cast", [narrow.name], [weight.name], to=onnx.TensorProto.FLOAT))
            graph.initializer[place].CopyFrom(narrow)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def quantize(file: Path, images: Sequence[np.ndarray[Any, Any]]) -> Any:
    """The int8 form of an ONNX file: static QDQ, weights per channel, ranges of activations from images.

    Weights have 7 bits: x86 processors without VNNI add two products in 16 bits, which 8 bits overflow.

    Args:
        file: of a network for prepared images.
        images: (1, C, H, W) each, prepared.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches: Iterator[dict[str, Any]] = iter(
                [{"images": np.concatenate(images[i : i + BATCH])} for i in range(0, len(images), BATCH)]
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self.batches, None)

    network = onnx.load(file)
    exact = [node.name for node in network.graph.node if node.op_type == "Softmax"]
    add_pre_process_metadata(network)  # constants and norms are folded already, which two warnings would ask for
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "int8.onnx"
        quantize_static(
            network,
            str(written),
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=exact,
        )
        return _free_logits(onnx.load(written))


def _free_logits(network: Any) -> Any:
    """Leaves the logits in float: in steps of 1/255 of their range, the largest ones would often be equal."""
    graph = network.graph
    made_by = {name: node for node in graph.node for name in node.output}
    name, dropped = "logits", set()
    while name in made_by and (node := made_by[name]).op_type not in ("Conv", "Gemm", "MatMul"):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            dropped.add(node.name)
        name = node.input[0]
    source: dict[str, str] = {}  # what a dropped pair gave -> what it was given
    for node in graph.node:
        if node.name in dropped:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
    kept = [node for node in graph.node if node.name not in dropped]
    for node in kept:
        for place, given in enumerate(node.input):
            node.input[place] = source.get(given, given)
        if source.get("logits") in node.output:
            node.output[list(node.output).index(source["logits"])] = "logits"
    for node in kept:  # what else read it
        for place, given in enumerate(node.input):
            node.input[place] = "logits" if given == source.get("logits") else given
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    weights = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return network


def rank_layers(file: Path, quantized: Any, images: Sequence[np.ndarray[Any, Any]]) -> list[tuple[str, float]]:
    """The layers of an int8 network, worst first: (output, signal to quantization noise in dB)."""
    import onnx
    from onnxruntime.quantization import qdq_loss_debug as debug

    with tempfile.TemporaryDirectory() as folder:
        kept = []
        for name, network in (("float", file), ("int8", Path(folder) / "quantized.onnx")):
            if name == "int8":
                onnx.save(quantized, network)
            augmented = Path(folder) / f"{name}.onnx"
            debug.modify_model_output_intermediate_tensors(str(network), str(augmented), save_as_external_data=False)
            reader = iter([{"images": image} for image in images[:LAYERS_IMAGES]])
            kept.append(debug.collect_activations(str(augmented), reader))
    wide, narrow = kept
    errors = debug.compute_activation_error(debug.create_activation_matching(narrow, wide))
    found = [(name, float(error["xmodel_err"])) for name, error in errors.items() if "xmodel_err" in error]
    return sorted(found, key=lambda layer: layer[1])
