"""The ExecuTorch form of a network: images of up to LARGEST pixels a side, prepared by products of matrices.

ExecuTorch has no bicubic resampling with antialiasing, and plans memory for the largest input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from timm_nhl.bundle.graphs.packages import import_package
from timm_nhl.bundle.preparation import Preparation, Prepare, halve, keep_ratio

LARGEST = 1024  # pixels; 30 MB of activations


class Resample(Prepare):
    """A preparation of one image, (1, H, W, 3) bytes -> (1, 3, h, w): both passes of Pillow's resampling as products.

    Only what the crop keeps is computed. Values are rounded to bytes after each pass, as Pillow does.
    """

    def forward(self, images: Tensor) -> Tensor:
        asked, (_, height, width) = self.preparation, self.preparation.input_size
        rows, columns = (torch.arange(side) for side in images.shape[1:3])
        sides = rows[-1:] + 1, columns[-1:] + 1  # as tensors: symbols of the shape do not reach the kernels
        wanted: Any = [torch.full((1,), side) for side in asked.scale_size]
        if asked.crop_mode == "center":
            wanted = keep_ratio(sides, asked.scale_size, rounds=asked.rounds, most=lambda a, b: b.clamp(min=a))
        x = images[0].permute(2, 0, 1).float()  # (1, H, W, 3) -> (3, H, W)
        x = (x @ self._weigh(columns, sides[1], wanted[1], width).T).round().clamp(0, 255)  # -> (3, H, w)
        x = (self._weigh(rows, sides[0], wanted[0], height) @ x).round().clamp(0, 255)  # -> (3, h, w)
        return (x * self.factor + self.offset)[None]

    def _weigh(self, places: Tensor, side: Tensor, wanted: Tensor, kept: int) -> Tensor:
        """(kept, side) how much each pixel of a row counts in each pixel that the crop keeps."""
        scale = side.float() / wanted.float()
        centers = (torch.arange(kept) + halve(wanted - kept) + 0.5) * scale
        x = (places + 0.5 - centers[:, None]).abs() / scale.clamp(min=1)
        if self.preparation.interpolation == "bilinear":
            y = (1 - x).clamp(min=0)
        else:  # Keys' kernel with a = -0.5
            near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
            y = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
        weights: Tensor = y / y.sum(1, keepdim=True)
        return weights


def quantize_executorch(network: nn.Module, images: Sequence[Tensor]) -> nn.Module:
    """The int8 form of a network for prepared images, by torchao's PT2E with the quantizer of XNNPACK.

    Args:
        images: (1, C, H, W) each, prepared; they say which values activations have.
    """
    import_package("executorch")
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True)
    observed = prepare_pt2e(torch.export.export(network, (images[0],)).module(), XNNPACKQuantizer().set_global(config))
    with torch.inference_mode():
        for image in images:
            observed(image)
    narrow: nn.Module = convert_pt2e(observed)
    return narrow


def write_executorch(network: nn.Module, path: Path, preparation: Preparation | None, *, example: Tensor) -> None:
    """Writes model.pte for XNNPACK, of one image at a time.

    Args:
        network: for prepared images.
        preparation: what to put in front of it; None leaves it.
        example: a prepared image, (1, C, H, W).
    """
    exir = import_package("executorch")
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    free = None
    if preparation is not None:
        network = nn.Sequential(Resample(preparation), network)
        example = torch.zeros(1, 97, 131, 3, dtype=torch.uint8)
        free = ({axis: torch.export.Dim(name, min=1, max=LARGEST) for axis, name in ((1, "height"), (2, "width"))},)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=free)
        lowered = exir.to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        path.write_bytes(lowered.to_executorch().buffer)


def shrink_to_fit(image: Image.Image) -> Image.Image:
    """An image of at most LARGEST pixels a side, reduced by a whole factor, which resampling afterwards hides."""
    factor = -(-max(image.size) // LARGEST)
    return image if factor == 1 else image.reduce(factor)


def open_executorch(
    file: Path, threads: int | None
) -> tuple[Callable[[np.ndarray[Any, Any]], list[list[Tensor]]], int]:
    """What runs a program, an array of images -> the outputs of each, and the number of classes."""
    import_package("executorch")
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime, Verification

    if threads is not None:
        _unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(file, verification=Verification.InternalConsistency)
    method = program.load_method("forward")

    def run(x: np.ndarray[Any, Any]) -> list[list[Tensor]]:
        images = (torch.from_numpy(each[None].copy()) for each in x)
        # a program gives the same memory each time
        return [[y.clone() for y in method.execute([image])] for image in images]

    return run, int(method.metadata.output_tensor_meta(0).sizes()[-1])
