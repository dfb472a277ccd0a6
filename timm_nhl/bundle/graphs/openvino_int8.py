"""The int8 form of a network in OpenVINO: the ranges and weights that ONNX Runtime chose, in OpenVINO's own operators.

OpenVINO reads an int8 ONNX file itself, too, but describes each quantised weight in ten operators, whose text takes
more bytes than the weights of a small layer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

LEVELS = 256


def quantize_openvino(network: Any, quantized: Path) -> None:
    """Gives a network in OpenVINO, read from its float32 ONNX form, the numbers of its int8 ONNX form, in place."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(quantized).graph
    numbers = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    made = {name: output for node in network.get_ordered_ops() for output in node.outputs() for name in output.names}
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = (numbers[name] for name in node.input[1:3])
            _limit(made[node.input[0]], float(scale), int(zero))
        elif node.op_type == "DequantizeLinear" and node.input[0] in numbers:
            output = made[node.input[0].removesuffix("_quantized")]
            if numbers[node.input[0]].dtype == np.int8:  # biases are sums, which stay exact
                _narrow(output, numbers[node.input[0]], numbers[node.input[1]])
    for each in network.get_ordered_ops():
        _avoid_amx(each)


def _limit(output: Any, scale: float, zero: int) -> None:
    """Rounds an activation to LEVELS values."""
    import openvino.opset13 as ops

    readers = list(output.get_target_inputs())
    low, high = (ops.constant(np.float32(scale * (step - zero))) for step in (0, LEVELS - 1))
    rounded = ops.fake_quantize(output, low, high, low, high, LEVELS)
    for reader in readers:
        reader.replace_source_output(rounded.output(0))


def _avoid_amx(node: Any) -> None:
    """Asks for AVX-512 where the AMX kernel of OpenVINO 2026.4 computes a grouped convolution in int8 wrongly.

    Of 618 shapes, 104 were off by half of the largest number and more, all of them 1x1, of stride 1, and with more than
    64 input channels for each group, not a multiple of 64. Processors without AVX-512 ignore the wish.
    """
    if node.get_type_name() == "GroupConvolution":
        _, _, channels, *kernel = node.input_value(1).shape
        plain = set(kernel) == {1} and set(node.get_attributes()["strides"]) == {1}
        if plain and channels > 64 and channels % 64 != 0:
            node.get_rt_info()["PrimitivesPriority"] = "cpu:brgconv_avx512_1x1"


def _narrow(output: Any, weights: np.ndarray[Any, Any], scale: np.ndarray[Any, Any]) -> None:
    """Stores a constant as int8 and a scale for each output channel; of a grouped convolution, in the groups' shape."""
    import openvino.opset13 as ops

    for reader in list(output.get_target_inputs()):
        user = reader.get_node()
        if user.get_type_name() == "Reshape":  # (O, C/G, h, w) -> (G, O/G, C/G, h, w)
            readers, shape = list(user.output(0).get_target_inputs()), tuple(user.output(0).shape)
        else:
            readers, shape = [reader], weights.shape
        ahead = len(shape) - weights.ndim + 1  # axes of the output channels
        factor = np.broadcast_to(scale, weights.shape[:1]).reshape(*shape[:ahead], *[1] * (len(shape) - ahead))
        wide = ops.convert(ops.constant(weights.reshape(shape)), np.float32)
        exact = ops.multiply(wide, ops.constant(factor.astype(np.float32)))
        for each in readers:
            each.replace_source_output(exact.output(0))
