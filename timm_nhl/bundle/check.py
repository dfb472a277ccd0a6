"""Whether a graph gives the network's own answers, on random numbers and on real images of several shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from timm_nhl.bundle.preparation import Preparation
from timm_nhl.bundle.runner import Bundle, make_input
from timm_nhl.errors import ExportError

# By how much logits may differ, as a share of the largest. Of the network alone: reordered sums. Of a whole graph:
# pixels that the runtimes' resampling rounds to a neighbouring grey value; float16; the runtimes' int8 kernels.
NETWORK = 1e-4
PROBABILITIES = 1e-3
WHOLE = {"fp32": 0.01, "fp16": 0.02, "int8": 0.25}
IMAGES = 4  # images that are compared
GOLDEN_SIDE = 224  # the longer side of the golden image at most


@dataclass(frozen=True)
class Reference:
    """What a bundle's outputs should be, by name: those of a network for prepared images, which timm prepared."""

    run: Callable[[Tensor], dict[str, np.ndarray[Any, Any]]]
    preparation: Preparation | None

    @staticmethod
    def of_torch(network: nn.Module, preparation: Preparation | None, outputs: Sequence[str]) -> Reference:
        def run(x: Tensor) -> dict[str, np.ndarray[Any, Any]]:
            with torch.inference_mode():
                return {name: y.numpy() for name, y in zip(outputs, network(x), strict=True)}

        return Reference(run, preparation)

    @staticmethod
    def of_onnx(file: Path, preparation: Preparation | None, outputs: Sequence[str]) -> Reference:
        session = _open(file)
        return Reference(
            lambda x: dict(zip(outputs, session.run(list(outputs), {"images": x.numpy()}), strict=True)), preparation
        )


def check_network(file: Path, network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Compares an ONNX file with the network, on prepared images.

    Raises:
        ExportError: the numbers differ.
    """
    session = _open(file)
    for x in batches:
        with torch.inference_mode():
            expected = network(x)
        for name, wanted, found in zip(
            ("logits", "probabilities"), expected, session.run(None, {"images": x.numpy()}), strict=False
        ):
            _compare(found, wanted.numpy(), allowed=NETWORK, what=f"the ONNX file's {name} at batch size {len(x)}")


def check_bundle(bundle: Bundle, reference: Reference, images: Sequence[Image.Image]) -> dict[str, Any]:
    """Compares an opened bundle with its reference, on images of several shapes, alone and as a batch of three.

    Returns what it says of the golden image.

    Raises:
        ExportError: the numbers differ.
    """
    allowed = WHOLE[bundle.precision]
    preparation = reference.preparation
    if preparation is None:
        return {}
    for image in _vary(images):
        x = preparation.transform(image)[None]
        given = make_input(bundle.runtime, preparation, image, raw=bundle.raw)
        wanted = reference.run(x)["logits"]
        for batch in (1, 3):
            found = bundle.run(np.repeat(given, batch, 0))
            what = f"{bundle.graph.name} on an image of {image.width} x {image.height} pixels at batch size {batch}"
            _compare(found["logits"], np.repeat(wanted, batch, 0), allowed=allowed, what=what)
            exact = torch.from_numpy(found["logits"]).softmax(1).numpy()
            _compare(found["probabilities"], exact, allowed=PROBABILITIES, what=f"the probabilities of {what}")
    with Image.open(bundle.folder / "golden.png") as image:
        outputs = bundle.predict(image.convert("RGB"))
    return {name: [float(value) for value in np.atleast_1d(values[0])] for name, values in outputs.items()}


def find_photos() -> list[Image.Image]:
    """Two photos that scikit-learn comes with."""
    from sklearn.datasets import load_sample_images

    return [Image.fromarray(image) for image in load_sample_images().images]


def shrink(image: Image.Image) -> Image.Image:
    """A copy with sides of at most GOLDEN_SIDE."""
    small = image.copy()
    small.thumbnail((GOLDEN_SIDE, GOLDEN_SIDE))
    return small


def _vary(images: Sequence[Image.Image]) -> list[Image.Image]:
    """A few images, and of the first also upright, wide and tiny forms."""
    first = images[0]
    width, height = first.size
    return [
        *images[:IMAGES],
        first.resize((max(1, width // 2), height)),
        first.resize((width, max(1, height // 3))),
        first.resize((13, 17)),
    ]


def _compare(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], *, allowed: float, what: str) -> None:
    worst = float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    if not worst <= allowed:
        raise ExportError(
            f"{what} differs from the model's by {worst:.1e} of the largest, {allowed:.0e} is allowed; nothing was"
            " written"
        )


def _open(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
