"""The ONNX form of a network: logits and probabilities of prepared images, or of images as they are."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import torch
from torch import nn

from timm_nhl.bundle.preparation import Preparation
from timm_nhl.export import import_onnx, trace_onnx
from timm_nhl.models import NHL

OPSET = 20
RESAMPLING = 'antialias=1, exclude_outside=1, coordinate_transformation_mode="half_pixel"'
MODES = {"bilinear": 'mode="linear"', "bicubic": 'mode="cubic", cubic_coeff_a=-0.5'}  # Pillow's
# timm's evaluation transform; sizes are (H, W)
PREPARE = """<ir_version: {ir}, opset_import: ["" : {opset}]>
prepare (uint8[batch, height, width, 3] images) => (float[batch, 3, {height}, {width}] prepared)
<float[1, 3, 1, 1] factor = {factor}, float[1, 3, 1, 1] offset = {offset}, int64[2] crop = {{{height}, {width}}}>
{{
  {size}
  ends = Constant<value = int64[1] {{3}}>()
  every = Shape(images)
  batch = Slice(every, zero, one)
  sizes = Concat<axis=0>(batch, resized, ends)
  scaled = Resize<{mode}, {resampling}>(images, , , sizes)
  margin = Sub(resized, crop)
  half = Div(margin, two)
  odd = Mod(half, two)
  even = Add(margin, odd)
  first = Div(even, two)
  last = Add(first, crop)
  axes = Constant<value = int64[2] {{1, 2}}>()
  cut = Slice(scaled, first, last, axes)
  channels = Transpose<perm=[0, 3, 1, 2]>(cut)
  values = Cast<to=1>(channels)
  stretched = Mul(values, factor)
  prepared = Add(stretched, offset)
}}"""
NUMBERS = """zero = Constant<value = int64[1] {{0}}>()
  one = Constant<value = int64[1] {{1}}>()
  two = Constant<value = int64[1] {{2}}>()
  wanted = Constant<value = int64[2] {{{tall}, {wide}}}>()"""
SQUASH = "resized = Identity(wanted)"
# as `keep_ratio`: for (H, W), max(wanted, (twice * own * other wanted + rest) / (twice * other))
COVER = """shape = Shape<start=1, end=3>(images)
  swap = Constant<value = int64[2] {{1, 0}}>()
  other = Gather(shape, swap)
  other_wanted = Gather(wanted, swap)
  twice = Constant<value = int64[1] {{{twice}}}>()
  product = Mul(shape, other_wanted)
  scaled_product = Mul(product, twice)
  rest = Mul(other, {rest})
  sum = Add(scaled_product, rest)
  divisor = Mul(other, twice)
  quotient = Div(sum, divisor)
  resized = Max(quotient, wanted)"""


class Scored(nn.Module):
    """A network with all outputs of a bundle: (B, C, H, W) -> logits and probabilities, (B, K) each.

    An expert with a trained router also gives `none_of_these`, (B,): the probability that an image is of none of its
    groups.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.pretrained_cfg: Any = model.pretrained_cfg
        self.rejects = (
            isinstance(model, NHL)
            and model.router is not None
            and not model.router.is_whole
            and bool(model.router.fc.weight.any())
        )

    @property
    def outputs(self) -> list[str]:
        """Their names."""
        return ["logits", "probabilities", *(["none_of_these"] if self.rejects else [])]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        model: Any = self.model
        if not self.rejects:
            logits = model(x)
            return logits, logits.softmax(1)
        logits, scores = model.forward_scores(x)
        return logits, logits.softmax(1), model.router.none_of_these(scores)


def convert_to_onnx(
    model: nn.Module, example: torch.Tensor, path: Path, *, outputs: list[str], opset: int
) -> tuple[Any, dict[str, str]]:
    """Writes a network for prepared images, `images` (B, C, H, W).

    Returns it as an ONNX model, and the module that each value comes from.
    """
    onnx, _ = import_onnx()
    made = trace_onnx(model, example, path, outputs=outputs, opset=opset)
    modules: dict[str, str] = {}
    for node in made.graph.node:
        scopes = next((each.value for each in node.metadata_props if each.key == "pkg.torch.onnx.name_scopes"), "[]")
        modules |= dict.fromkeys(node.output, next(reversed(ast.literal_eval(scopes)[:-1]), ""))
    for part in (made, made.graph, *made.graph.node, *made.graph.value_info, *made.graph.initializer):
        del part.metadata_props[:]  # where in the source each came from: 200 kB
    onnx.save(made, path)
    return made, modules


def build_preparation(preparation: Preparation, *, opset: int, ir: int) -> Any:
    """The ONNX model that prepares images: (B, H, W, 3) bytes -> (B, 3, h, w)."""
    import onnx
    import onnx.parser

    (tall, wide), (_, height, width) = preparation.scale_size, preparation.input_size
    size = NUMBERS.format(tall=tall, wide=wide) + "\n  "
    if preparation.crop_mode == "squash":
        size += SQUASH
    else:
        size += COVER.format(twice=2 if preparation.rounds else 1, rest="one" if preparation.rounds else "zero")
    factor, offset = (_list(values) for values in preparation.scale())
    text = PREPARE.format(
        ir=ir,
        opset=opset,
        factor=factor,
        offset=offset,
        size=size,
        mode=MODES[preparation.interpolation],
        resampling=RESAMPLING,
        height=height,
        width=width,
    )
    made = onnx.parser.parse_model(text)
    onnx.checker.check_model(made)
    return made


def prepend(preparation: Preparation, network: Any) -> Any:
    """A network for prepared images -> one for images as they are."""
    import onnx

    opset = next(each.version for each in network.opset_import if each.domain == "")
    before = build_preparation(preparation, opset=opset, ir=network.ir_version)
    before = onnx.compose.add_prefix(before, "prepare/", rename_inputs=False, rename_outputs=False)
    after = onnx.compose.add_prefix(
        network, "", rename_nodes=False, rename_edges=False, rename_inputs=False, rename_outputs=False
    )
    for node in after.graph.node:
        for place, name in enumerate(node.input):
            if name == "images":
                node.input[place] = "prepared"
    after.graph.input[0].name = "prepared"
    return onnx.compose.merge_models(before, after, io_map=[("prepared", "prepared")])


def _list(values: list[float]) -> str:
    return "{" + ", ".join(f"{value:.9g}" for value in values) + "}"
