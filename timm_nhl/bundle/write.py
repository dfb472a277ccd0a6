"""Writes a bundle: a folder that a device can run, each graph checked in its own runtime before the folder appears."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from timm.models import reparameterize_model
from torch import nn

from timm_nhl.bundle.check import Reference, check_bundle, check_network, find_photos, shrink
from timm_nhl.bundle.labels import Label, list_labels, write_labels
from timm_nhl.bundle.onnx_graph import OPSET, Scored, convert_to_onnx, prepend
from timm_nhl.bundle.openvino_graph import import_openvino, write_openvino
from timm_nhl.bundle.preparation import Preparation, Prepare, find_preparation
from timm_nhl.bundle.quantize import halve, quantize, rank_layers
from timm_nhl.bundle.readme import write_readme
from timm_nhl.bundle.runner import BUNDLE, FORMAT, GRAPHS, open_bundle
from timm_nhl.costs import cost
from timm_nhl.errors import ExportError, OptionError, summarize
from timm_nhl.export import describe, export_checked, write_files
from timm_nhl.models import NHL

PRECISIONS = ("fp32", "fp16", "int8")
KEPT_LAYERS = 10  # the worst of int8


@dataclass(frozen=True)
class BundleSettings:
    """What a bundle holds.

    Args:
        formats: of `onnx`, `openvino` and `torch`.
        precision: `fp32`, `fp16` (weights stored in half the bytes) or `int8`.
        raw: the graphs take prepared images, not images as they are.
        img_size: side of the network's input; by default its test size.
        opset: of ONNX.
        reduce_range: int8 weights of 7 bits, for x86 processors without VNNI.
        weights: also write model.safetensors, which `timm.create_model("local-dir:FOLDER", pretrained=True)` loads.
        license: of the weights; by default what the model's config says.
        facts: anything else for the provenance.
    """

    formats: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    raw: bool = False
    img_size: int | None = None
    opset: int = OPSET
    reduce_range: bool = False
    weights: bool = False
    license: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, asked, known in (
            ("format", self.formats, tuple(GRAPHS)),
            ("precision", (self.precision,), PRECISIONS),
        ):
            unknown = [each for each in asked if each not in known]
            if unknown or not asked:
                raise OptionError(f"no {name} {', '.join(map(repr, unknown))}; use {', '.join(known)}")
        if "torch" in self.formats and self.precision != "fp32":
            raise OptionError(f"a torch program holds fp32 only, not {self.precision}; leave --format torch out")


def write_bundle(
    model: nn.Module,
    folder: str | Path,
    settings: BundleSettings | None = None,
    *,
    images: Sequence[Image.Image] = (),
) -> None:
    """Writes a model, nested or plain, as a bundle to a new folder.

    Args:
        images: RGB images like those the device will see; int8 is calibrated on them, the graphs are compared with the
            model on some of them, and the first is the bundle's golden image. Without any, two photos of scikit-learn
            take their place.

    Raises:
        ExportError: the folder is not empty, a package is missing, or a graph gives other numbers than the model.
        OptionError: int8 without images.
    """
    target, settings = Path(folder), settings or BundleSettings()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{str(target)!r} already exists; name a new folder")
    if settings.precision == "int8" and not images:
        raise OptionError("int8 is calibrated on images of your data, and none are given; pass --images")
    if "openvino" in settings.formats:
        import_openvino()
    labels, preparation = list_labels(model), _find_preparation(model, settings)
    network = _make_network(model, settings)
    writer = _Writer(model, network, labels, preparation, settings, images or find_photos(), calibrated=bool(images))
    export_checked(network, target, writer.write, writer.check)


@dataclass
class _Writer:
    """What writing and checking share."""

    model: nn.Module
    network: Scored  # reparameterised and fused, in float32 on the CPU
    labels: tuple[Label, ...]
    preparation: Preparation | None
    settings: BundleSettings
    images: Sequence[Image.Image]
    calibrated: bool
    reference: Reference | None = None

    def __post_init__(self) -> None:
        self.reference = Reference.of_torch(self.network, self.preparation)

    def write(self, folder: Path) -> None:
        """All files but the golden outputs, which are what the checked graphs say."""
        folder.mkdir()
        settings, embedded = self.settings, None if self.settings.raw else self.preparation
        layers: list[tuple[str, float]] = []
        with tempfile.TemporaryDirectory() as scratch:
            plain = Path(scratch) / "network.onnx"
            if set(settings.formats) & {"onnx", "openvino"}:
                layers = self._write_onnx(plain, folder, embedded)
            if "openvino" in settings.formats:
                half = settings.precision == "fp16"
                info = self._describe_openvino()
                write_openvino(plain, folder / GRAPHS["openvino"], embedded, info=info, half=half)
        if "torch" in settings.formats:
            self._write_torch(folder / GRAPHS["torch"], embedded)
        write_labels(self.labels, folder)
        write_files(self.model, folder, label_names=[label.id for label in self.labels])
        if not settings.weights:
            (folder / "model.safetensors").unlink()
        shrink(self.images[0]).save(folder / "golden.png")
        facts = self._collect_facts(layers)
        (folder / BUNDLE).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_readme(folder, facts, len(self.labels), sample=not self.calibrated)

    def check(self, folder: Path) -> None:
        """Compares each graph with the network, then writes what they say of the golden image."""
        assert self.reference is not None
        golden = {}
        for name in self.settings.formats:
            bundle = open_bundle(folder, runtime=name)
            golden[name] = check_bundle(bundle, self.reference, self.images)
        (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")

    def _write_onnx(self, plain: Path, folder: Path, embedded: Preparation | None) -> list[tuple[str, float]]:
        """The network for prepared images, and, if asked for, model.onnx; the int8 layers, worst first."""
        import onnx

        example, layers = self._draw(2), []
        made, modules = convert_to_onnx(
            self.network, example, plain, outputs=self.network.outputs, opset=self.settings.opset
        )
        check_network(plain, self.network, [self._draw(1), self._draw(3)])
        if self.settings.precision == "int8":
            assert self.preparation is not None
            prepared = [self.preparation.transform(image)[None].numpy() for image in self.images]
            narrow = quantize(plain, prepared, reduce_range=self.settings.reduce_range)
            layers = [(f"{name} of {modules.get(name)}", ratio) for name, ratio in rank_layers(plain, narrow, prepared)]
            made = narrow
            onnx.save(made, plain)
            self.reference = Reference.of_onnx(plain, self.preparation)
        if "onnx" in self.settings.formats:
            stored = halve(made) if self.settings.precision == "fp16" else made
            stored = stored if embedded is None else prepend(embedded, stored)
            onnx.helper.set_model_props(stored, self._describe())
            onnx.save(stored, folder / GRAPHS["onnx"])
        return layers

    def _write_torch(self, path: Path, embedded: Preparation | None) -> None:
        module: nn.Module = self.network
        size = (2, 3, 97, 131)
        free = [torch.export.Dim(name, min=1) for name in ("batch", "height", "width")]
        if embedded is None:
            example, dynamic = self._draw(2), dict(enumerate(free[:1]))
        else:
            module = nn.Sequential(Prepare(embedded), self.network).eval()
            example = torch.zeros(size, dtype=torch.uint8).permute(0, 2, 3, 1).contiguous()
            dynamic = dict(enumerate(free))
        torch.export.save(torch.export.export(module, (example,), dynamic_shapes=(dynamic,)), path)

    def _draw(self, batch: int) -> torch.Tensor:
        """Random prepared images."""
        size = _input_size(self.network, self.preparation)
        return torch.randn(batch, *size, generator=torch.Generator().manual_seed(batch))

    def _describe(self) -> dict[str, str]:
        """The metadata of an ONNX file."""
        found = {**describe(self.model), "precision": self.settings.precision}
        if self.preparation is not None:
            found["input_size"] = json.dumps(self.preparation.input_size)
            found["crop_pct"] = json.dumps(self.preparation.crop_pct)
        return {**found, "prepared_by": "you" if self.settings.raw else "the graph"}

    def _describe_openvino(self) -> dict[str, str]:
        """`rt_info/model_info`, as OpenVINO's Model API reads it: lists with spaces, so none in the labels."""
        found = {
            "model_type": "Classification",
            "labels": " ".join(label.name.replace(" ", "_") for label in self.labels),
            "confidence_threshold": "0",
            "output_raw_scores": "True",
            "embedded_processing": str(not self.settings.raw),
        }
        if self.preparation is not None:
            found |= {
                "resize_type": "standard" if self.preparation.crop_mode == "squash" else "crop",
                "mean_values": " ".join(f"{255 * each:.6g}" for each in self.preparation.mean),
                "scale_values": " ".join(f"{255 * each:.6g}" for each in self.preparation.std),
            }
        return found

    def _collect_facts(self, layers: Sequence[tuple[str, float]]) -> dict[str, Any]:
        """bundle.json."""
        settings, counted = self.settings, cost(self.model, input_size=_input_size(self.network, self.preparation))
        cfg: Any = self.model.pretrained_cfg
        provenance: dict[str, Any] = {"architecture": cfg.get("architecture"), "license": settings.license}
        if settings.license is None:
            provenance["license"] = cfg.get("license")
        if isinstance(self.model, NHL):
            provenance["hierarchy_digest"] = self.model.hierarchy.digest
            provenance["labels_in_the_whole_model"] = list(self.model.labels)
        packages = ["timm-nhl", "timm", "torch", *(["openvino"] if "openvino" in settings.formats else [])]
        provenance["versions"] = {name: version(name) for name in packages}
        return {
            "format": FORMAT,
            "graphs": list(settings.formats),
            "precision": settings.precision,
            "raw": settings.raw,
            "outputs": self.network.outputs,
            "preparation": self.preparation and asdict(self.preparation),
            "params": counted.params,
            "macs": counted.macs,
            "layers": [{"output": name, "decibels": round(ratio, 1)} for name, ratio in layers[:KEPT_LAYERS]],
            "provenance": {**provenance, **settings.facts},
        }


def _find_preparation(model: nn.Module, settings: BundleSettings) -> Preparation | None:
    """How images are prepared; None for a raw bundle of a model whose preparation no graph holds."""
    try:
        return find_preparation(model, img_size=settings.img_size)
    except ExportError:
        if not settings.raw or settings.precision == "int8":
            raise
        return None


def _input_size(model: nn.Module, preparation: Preparation | None) -> tuple[int, ...]:
    cfg: Any = model.pretrained_cfg
    return tuple(cfg["input_size"]) if preparation is None else preparation.input_size


def _make_network(model: nn.Module, settings: BundleSettings) -> Scored:
    """A copy that gives all outputs, for inference on the CPU."""
    whole = copy.deepcopy(model).float().cpu()
    fused: Any = whole.fuse() if isinstance(whole, NHL) else reparameterize_model(whole)
    resized = resize(fused, settings.img_size)
    return Scored(resized).eval()


def resize(model: nn.Module, img_size: int | None) -> nn.Module:
    """Makes a model take square images of another side, if one is given; changes positions and its config.

    Raises:
        ExportError: it cannot.
    """
    if img_size is None:
        return model
    resized = cast(Any, model)
    cfg, channels = resized.pretrained_cfg, resized.pretrained_cfg["input_size"][0]
    try:
        if hasattr(model, "set_input_size"):
            resized.set_input_size(img_size=(img_size, img_size))
        with torch.inference_mode():
            model(torch.zeros(1, channels, img_size, img_size).to(next(model.parameters())))
    except (AssertionError, RuntimeError, ValueError) as error:  # what timm's models raise
        raise ExportError(
            f"the model cannot take images of {img_size} x {img_size} pixels ({summarize(error)}); use another"
            " --img-size, or leave it out for the model's own"
        ) from error
    resized.pretrained_cfg = {**cfg, "input_size": (channels, img_size, img_size), "test_input_size": None}
    return model
