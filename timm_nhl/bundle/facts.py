"""What a bundle says about itself: bundle.json, and the metadata that each format keeps in its graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from torch import nn

from timm_nhl.bundle.labels import Label
from timm_nhl.bundle.preparation import Preparation
from timm_nhl.bundle.runner import FORMAT
from timm_nhl.bundle.settings import BundleSettings
from timm_nhl.costs import cost
from timm_nhl.export import describe
from timm_nhl.models import NHL
from timm_nhl.rejection import Threshold

KEPT_LAYERS = 10  # the worst of int8


@dataclass(frozen=True)
class About:
    """What a bundle is of, as far as it is known before anything is written.

    Args:
        model: as it was given.
        labels: of its outputs.
        preparation: how images are prepared, if a graph can hold it.
        input_size: (C, H, W) of what the network takes.
        settings: what was asked for.
    """

    model: nn.Module
    labels: tuple[Label, ...]
    preparation: Preparation | None
    input_size: tuple[int, ...]
    settings: BundleSettings

    def for_onnx(self, threshold: Threshold | None) -> dict[str, str]:
        """The metadata of an ONNX file."""
        found = {**describe(self.model), "precision": self.settings.precision}
        if self.preparation is not None:
            found["input_size"] = json.dumps(self.preparation.input_size)
            found["crop_pct"] = json.dumps(self.preparation.crop_pct)
        if threshold is not None:
            found["reject"] = json.dumps(asdict(threshold))
        return {**found, "prepared_by": "you" if self.settings.raw else "the graph"}

    def for_openvino(self, threshold: Threshold | None) -> dict[str, str]:
        """`rt_info/model_info`, as OpenVINO's Model API reads it: lists with spaces, so none in the labels."""
        found = {
            "model_type": "Classification",
            "labels": " ".join(label.name.replace(" ", "_") for label in self.labels),
            "confidence_threshold": "0" if threshold is None else f"{threshold.value:.6g}",
            "output_raw_scores": "True",
            "embedded_processing": str(not self.settings.raw),
        }
        if threshold is not None:
            found["confidence_score"] = threshold.score
        if self.preparation is not None:
            found |= {
                "resize_type": "standard" if self.preparation.crop_mode == "squash" else "crop",
                "mean_values": " ".join(f"{255 * each:.6g}" for each in self.preparation.mean),
                "scale_values": " ".join(f"{255 * each:.6g}" for each in self.preparation.std),
            }
        return found

    def collect(
        self, outputs: Sequence[str], layers: Sequence[tuple[str, float]], threshold: Threshold | None
    ) -> dict[str, Any]:
        """bundle.json.

        Args:
            outputs: names of the graphs' outputs.
            layers: of an int8 network, worst first: the output, and its signal to quantization noise in dB.
            threshold: for "none of these".
        """
        settings, counted = self.settings, cost(self.model, input_size=self.input_size)
        return {
            "format": FORMAT,
            "graphs": list(settings.formats),
            "precision": settings.precision,
            "raw": settings.raw,
            "outputs": list(outputs),
            "preparation": self.preparation and asdict(self.preparation),
            "reject": threshold and asdict(threshold),
            "params": counted.params,
            "macs": counted.macs,
            "layers": [{"output": name, "decibels": round(ratio, 1)} for name, ratio in layers[:KEPT_LAYERS]],
            "provenance": self._trace(),
        }

    def _trace(self) -> Mapping[str, Any]:
        """Where the model comes from."""
        cfg: Any = self.model.pretrained_cfg
        license = cfg.get("license") if self.settings.license is None else self.settings.license
        found: dict[str, Any] = {"architecture": cfg.get("architecture"), "license": license}
        if isinstance(self.model, NHL):
            found["hierarchy_digest"] = self.model.hierarchy.digest
            found["labels_in_the_whole_model"] = list(self.model.labels)
        written_by = {"openvino": "openvino", "executorch": "executorch", "litert": "litert-torch"}
        writers = [package for name, package in written_by.items() if name in self.settings.formats]
        packages = ["timm-nhl", "timm", "torch", *writers]
        found["versions"] = {name: version(name) for name in packages}
        return {**found, **self.settings.facts}
