"""What a bundle is to hold: `BundleSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from timm_nhl.bundle.graphs.onnx_graph import OPSET
from timm_nhl.bundle.runner import GRAPHS
from timm_nhl.errors import OptionError

PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class BundleSettings:
    """What a bundle holds.

    Args:
        formats: of `onnx`, `openvino`, `executorch`, `litert` and `torch`.
        precision: `fp32`, `fp16` (weights stored in half the bytes) or `int8`.
        raw: the graphs take prepared images, not images as they are.
        img_size: side of the network's input; by default its test size.
        opset: of ONNX.
        weights: also write model.safetensors, which `timm.create_model("local-dir:FOLDER", pretrained=True)` loads.
        license: of the weights; by default what the model's config says.
        reject: the share of images of other classes that may pass for one of the classes; sets the threshold for
            "none of these".
        facts: anything else for the provenance.
    """

    formats: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    raw: bool = False
    img_size: int | None = None
    opset: int = OPSET
    weights: bool = False
    license: str | None = None
    reject: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, asked, known in (
            ("format", self.formats, tuple(GRAPHS)),
            ("precision", (self.precision,), PRECISIONS),
        ):
            unknown = [each for each in asked if each not in known]
            if unknown or not asked:
                raise OptionError(f"no {name} {', '.join(map(repr, unknown))}; use {', '.join(known)}")
        if self.reject is not None and not 0 < self.reject < 1:
            raise OptionError(
                f"a false-accept rate of {self.reject} is not a share; use one between 0 and 1, like 0.05"
            )
        if "torch" in self.formats and self.precision != "fp32":
            raise OptionError(f"a torch program holds fp32 only, not {self.precision}; leave --format torch out")
        if "executorch" in self.formats and self.precision == "fp16":
            raise OptionError("an ExecuTorch program holds fp32 or int8, not fp16; leave --format executorch out")
        if "litert" in self.formats and self.precision != "fp32":
            raise OptionError(f"a LiteRT graph holds fp32 only, not {self.precision}; leave --format litert out")
