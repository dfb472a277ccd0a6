"""Writes a bundle: a folder that a device can run, each graph checked in its own runtime before the folder appears."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from timm.models import reparameterize_model
from torch import nn

from timm_nhl.bundle.check import Reference, check_bundle, check_network, find_photos, shrink
from timm_nhl.bundle.facts import About
from timm_nhl.bundle.graphs.executorch_graph import quantize_executorch, write_executorch
from timm_nhl.bundle.graphs.litert_graph import write_litert
from timm_nhl.bundle.graphs.onnx_graph import Scored, convert_to_onnx, prepend
from timm_nhl.bundle.graphs.openvino_graph import write_openvino
from timm_nhl.bundle.graphs.packages import MODULES, import_package
from timm_nhl.bundle.graphs.quantize import halve, quantize, rank_layers
from timm_nhl.bundle.labels import LABELS, list_labels, write_labels
from timm_nhl.bundle.preparation import Preparation, Prepare, find_preparation
from timm_nhl.bundle.readme import write_readme
from timm_nhl.bundle.runner import BUNDLE, GRAPHS, OPENERS, digest_graphs, make_input, open_bundle
from timm_nhl.bundle.settings import BundleSettings
from timm_nhl.errors import ExportError, OptionError, summarize
from timm_nhl.export import export_checked, write_files
from timm_nhl.models import NHL
from timm_nhl.rejection import Array, Threshold, choose_threshold, compute_score, list_scores


def write_bundle(
    model: nn.Module,
    folder: str | Path,
    settings: BundleSettings | None = None,
    *,
    images: Sequence[Image.Image] = (),
    own: Iterable[Image.Image] = (),
    others: Iterable[Image.Image] = (),
) -> None:
    """Writes a model, nested or plain, as a bundle to a new folder.

    Args:
        images: RGB images like those the device will see; int8 is calibrated on them, the graphs are compared with the
            model on some of them, and the first is the bundle's golden image. Without any, two photos of scikit-learn
            take their place.
        own: images of the classes; with `settings.reject`, the best score for "none of these" is chosen with them.
        others: images of other classes, which the threshold is chosen with.

    Raises:
        ExportError: the folder is not empty, a package is missing, or a graph gives other numbers than the model.
        OptionError: int8 without images, or too few images for `settings.reject`.
    """
    target, settings = Path(folder), settings or BundleSettings()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{str(target)!r} already exists; name a new folder")
    if settings.precision == "int8" and not images:
        raise OptionError("int8 is calibrated on images of your data, and none are given; pass --images")
    for form in settings.formats:
        if form in MODULES:
            import_package(form)
    network, preparation = _make_network(model, settings), _find_preparation(model, settings)
    size = tuple(network.pretrained_cfg["input_size"]) if preparation is None else preparation.input_size
    about = About(model, list_labels(model), preparation, size, settings)
    writer = _Writer(about, network, images or find_photos(), bool(images), own, others)
    export_checked(network, target, writer.write, writer.check)


@dataclass
class _Writer:
    """What writing and checking share."""

    about: About
    network: Scored  # reparameterised and fused, in float32 on the CPU
    images: Sequence[Image.Image]
    calibrated: bool
    own: Iterable[Image.Image]
    others: Iterable[Image.Image]

    def __post_init__(self) -> None:
        self.settings, self.preparation = self.about.settings, self.about.preparation
        self.narrow: Path | None = None  # the int8 form of the network, for prepared images
        self.reference = Reference.of_torch(self.network, self.preparation, self.network.outputs)
        self.references: dict[str, Reference] = {}  # of formats that have an int8 form of their own
        self.answer: Callable[[Image.Image], dict[str, Array]] = self._answer_prepared

    def write(self, folder: Path) -> None:
        """All files but the golden outputs, which are what the checked graphs say."""
        folder.mkdir()
        write_labels(self.about.labels, folder)
        settings, embedded = self.settings, None if self.settings.raw else self.preparation
        layers: list[tuple[str, float]] = []
        with tempfile.TemporaryDirectory() as scratch:
            plain = Path(scratch) / "network.onnx"
            if "torch" in settings.formats:
                self._write_torch(folder / GRAPHS["torch"], embedded)
                self._answer_with("torch", folder / GRAPHS["torch"])
            if "executorch" in settings.formats:
                self._write_executorch(folder / GRAPHS["executorch"], embedded)
                self._answer_with("executorch", folder / GRAPHS["executorch"])
            if "litert" in settings.formats:
                self._write_litert(folder / GRAPHS["litert"], embedded)
                self._answer_with("litert", folder / GRAPHS["litert"])
            if set(settings.formats) & {"onnx", "openvino"}:
                layers = self._write_onnx(plain, folder, embedded)
            if "openvino" in settings.formats:
                file, half = folder / GRAPHS["openvino"], settings.precision == "fp16"
                write = partial(write_openvino, plain, file, embedded, half=half, quantized=self.narrow)
                if settings.reject is not None and "onnx" not in settings.formats:
                    write(info={})
                    self._answer_with("openvino", file)
                write(info=self.about.for_openvino(self.threshold))
        labels = self.about.labels
        write_files(self.about.model, folder, label_names=[label.id for label in labels])
        if not settings.weights:
            (folder / "model.safetensors").unlink()
        shrink(self.images[0]).save(folder / "golden.png")
        facts = {
            **self.about.collect(self.network.outputs, layers, self.threshold),
            "sha256": digest_graphs(folder),
        }
        (folder / BUNDLE).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_readme(folder, facts, len(labels), sample=not self.calibrated)

    def check(self, folder: Path) -> None:
        """Compares each graph with the network, then writes what they say of the golden image."""
        golden = {}
        for name in self.settings.formats:
            bundle = open_bundle(folder, runtime=name)
            golden[name] = check_bundle(bundle, self.references.get(name, self.reference), self.images)
        (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")

    @cached_property
    def threshold(self) -> Threshold | None:
        """For "none of these", of the numbers that the graphs give: in int8, once the network is quantised."""
        if self.settings.reject is None:
            return None
        if self.preparation is None:
            find_preparation(self.about.model)  # raises what is missing
        return choose_threshold(self._score(self.own), self._score(self.others), self.settings.reject)

    def _score(self, images: Iterable[Image.Image]) -> dict[str, Array]:
        """(N,) each score of N images."""
        found = [self.answer(image) for image in images]
        every = {name: np.concatenate([each[name] for each in found]) for name in (found[0] if found else ())}
        return {name: compute_score(name, every) for name in list_scores(every)} if found else {}

    def _answer_with(self, runtime: str, graph: Path) -> None:
        """Makes a written graph say what the threshold is chosen with: it resamples as the device will."""
        if self.settings.reject is not None and self.preparation is not None:
            run, _ = OPENERS[runtime](graph, None, self.network.outputs)
            make = partial(make_input, runtime, self.preparation, raw=self.settings.raw)
            self.answer = lambda image: run(make(image))

    def _answer_prepared(self, image: Image.Image) -> dict[str, Array]:
        """What the network says of an image that timm prepares."""
        assert self.preparation is not None
        return self.reference.run(self.preparation.transform(image)[None])

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
            made = quantize(plain, prepared)
            layers = [(f"{name} of {modules.get(name)}", ratio) for name, ratio in rank_layers(plain, made, prepared)]
            self.narrow = plain.with_name("int8.onnx")
            onnx.save(made, self.narrow)
            self.reference = Reference.of_onnx(self.narrow, self.preparation, self.network.outputs)
        if "onnx" in self.settings.formats:
            stored = halve(made) if self.settings.precision == "fp16" else made
            if embedded is not None:
                stored = prepend(embedded, stored)
            if self.settings.reject is not None:
                onnx.save(stored, whole := plain.with_name("whole.onnx"))
                self._answer_with("onnx", whole)
            onnx.helper.set_model_props(stored, self.about.for_onnx(self.threshold))
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

    def _write_executorch(self, path: Path, embedded: Preparation | None) -> None:
        network: nn.Module = self.network
        if self.settings.precision == "int8":
            assert self.preparation is not None
            network = quantize_executorch(network, [self.preparation.transform(image)[None] for image in self.images])
            self.references["executorch"] = Reference.of_torch(network, self.preparation, self.network.outputs)
        write_executorch(network, path, embedded, example=self._draw(1))

    def _write_litert(self, path: Path, embedded: Preparation | None) -> None:
        write_litert(self.network, path, embedded, example=self._draw(1), labels=path.with_name(LABELS))

    def _draw(self, batch: int) -> torch.Tensor:
        """Random prepared images."""
        return torch.randn(batch, *self.about.input_size, generator=torch.Generator().manual_seed(batch))


def _find_preparation(model: nn.Module, settings: BundleSettings) -> Preparation | None:
    """How images are prepared; None for a raw bundle of a model whose preparation no graph holds."""
    try:
        return find_preparation(model, img_size=settings.img_size)
    except ExportError:
        if not settings.raw or settings.precision == "int8":
            raise
        return None


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
