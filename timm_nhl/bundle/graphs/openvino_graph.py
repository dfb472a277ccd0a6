"""The OpenVINO form of a network: read from its ONNX form, with OpenVINO's own Pillow-like resize in front."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from timm_nhl.bundle.graphs.openvino_int8 import quantize_openvino
from timm_nhl.bundle.graphs.packages import import_package
from timm_nhl.bundle.preparation import Preparation

CONVOLUTIONS = ("Convolution", "GroupConvolution")


def write_openvino(
    onnx_file: Path,
    path: Path,
    preparation: Preparation | None,
    *,
    info: Mapping[str, str],
    half: bool,
    quantized: Path | None = None,
) -> None:
    """Writes model.xml and model.bin.

    Args:
        onnx_file: of the network for prepared images, in float32.
        path: the .xml file.
        preparation: what to put in front of it; None leaves it.
        info: what goes into `rt_info/model_info`.
        half: store weights in float16.
        quantized: the int8 form of the ONNX file, if the network is to be in int8.
    """
    openvino = import_package("openvino")
    network = openvino.Core().read_model(str(onnx_file))
    if quantized is not None:
        quantize_openvino(network, quantized)
    _shape_biases(network)
    names = [next(iter(each.get_names())) for each in network.outputs]
    if preparation is not None:
        network = _prepend(preparation, network)
    for output, name in zip(network.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    for key, value in info.items():
        network.set_rt_info(value, ["model_info", key])
    openvino.save_model(network, str(path), compress_to_fp16=half)
    # a fifth of the text is indentation; all values are in attributes
    path.write_text(re.sub(r">\s+<", "><", path.read_text(encoding="utf-8")), encoding="utf-8", newline="")


def _shape_biases(network: Any) -> None:
    """Stores each bias of a convolution as (1, C, 1, 1), a shape that eight operators compute otherwise."""
    import openvino.opset13 as ops

    for node in network.get_ordered_ops():
        bias = node.input_value(0).get_node() if node.get_type_name() == "Reshape" else node
        if node is bias or bias.get_type_name() != "Constant" or len(bias.data.shape) != 1:
            continue
        for reader in list(node.output(0).get_target_inputs()):
            user = reader.get_node()
            if user.get_type_name() == "Add" and user.input_value(0).get_node().get_type_name() in CONVOLUTIONS:
                reader.replace_source_output(ops.constant(bias.data.reshape(1, -1, 1, 1)).output(0))


def _prepend(preparation: Preparation, network: Any) -> Any:
    """A network for prepared images -> one for images (B, H, W, 3) as they are; sizes are (H, W)."""
    import openvino
    import openvino.opset13 as ops

    images = ops.parameter([-1, -1, -1, 3], np.uint8, name="images")
    images.output(0).get_tensor().set_names({"images"})
    wanted: Any = ops.constant(np.array(preparation.scale_size, dtype=np.int64))
    size = wanted
    if preparation.crop_mode == "center":
        zero, both = ops.constant(np.int64(0)), ops.constant(np.array([1, 2], dtype=np.int64))
        shape = ops.gather(ops.shape_of(images), both, zero)
        swap = ops.constant(np.array([1, 0], dtype=np.int64))
        other, other_wanted = ops.gather(shape, swap, zero), ops.gather(wanted, swap, zero)
        twice = ops.constant(np.int64(2 if preparation.rounds else 1))
        total = ops.multiply(ops.multiply(shape, other_wanted), twice)
        if preparation.rounds:
            total = ops.add(total, other)
        size = ops.maximum(ops.divide(total, ops.multiply(other, twice)), wanted)
    axes = ops.constant(np.array([1, 2], dtype=np.int64))
    scaled = ops.interpolate(
        images,
        size,
        f"{preparation.interpolation}_pillow",
        "sizes",
        pads_begin=[0] * 4,
        pads_end=[0] * 4,
        cube_coeff=-0.5,
        axes=axes,
    )
    crop = ops.constant(np.array(preparation.input_size[1:], dtype=np.int64))
    margin, two = ops.subtract(size, crop), ops.constant(np.int64(2))
    first = ops.divide(ops.add(margin, ops.floor_mod(ops.divide(margin, two), two)), two)
    cut = ops.slice(scaled, first, ops.add(first, crop), ops.constant(np.array([1, 1], dtype=np.int64)), axes)
    channels = ops.transpose(cut, ops.constant(np.array([0, 3, 1, 2], dtype=np.int64)))
    factor, offset = (ops.constant(np.array(row, dtype=np.float32)[None, :, None, None]) for row in preparation.scale())
    prepared = ops.add(ops.multiply(ops.convert(channels, np.float32), factor), offset)
    (old,) = network.inputs
    for consumer in old.get_target_inputs():
        consumer.replace_source_output(prepared.output(0))
    return openvino.Model(network.get_results(), [images], "timm-nhl")
