"""A bundle that is opened: images in, named outputs out, by ONNX Runtime, OpenVINO, ExecuTorch, LiteRT or torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from hierarchy.errors import FormatError, nearest
from hierarchy.files import read_json
from timm_nhl.bundle.graphs.executorch_graph import open_executorch, shrink_to_fit
from timm_nhl.bundle.graphs.litert_graph import open_litert
from timm_nhl.bundle.graphs.packages import import_package
from timm_nhl.bundle.labels import Label, read_labels
from timm_nhl.bundle.preparation import Preparation, to_array
from timm_nhl.errors import BundleError, ExportError, summarize
from timm_nhl.rejection import SCORES, Threshold

Array: TypeAlias = np.ndarray[Any, Any]
Outputs: TypeAlias = dict[str, Array]
Run: TypeAlias = Callable[[Array], Outputs]

BUNDLE = "bundle.json"
FORMAT = 1
GRAPHS = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
    "executorch": "model.pte",
    "litert": "model.tflite",
    "torch": "model.pt2",
}
UNPICKLED = "torch"  # opening it runs code that the file holds
REEXPORT = "export the bundle again"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Args:
        folder: where it lies.
        runtime: `onnx`, `openvino`, `executorch`, `litert` or `torch`.
        precision: `fp32`, `fp16` or `int8`.
        labels: (K,) of the outputs.
        preparation: how images are prepared; in the graph, unless the bundle is raw.
        raw: whether the graph takes prepared images.
        threshold: for "none of these", if the bundle has one.
        facts: all of bundle.json.
        run: the graph: (B, H, W, 3) bytes, or (B, C, h, w) prepared -> `logits` and `probabilities`, (B, K) each; where
            the model has a router, also `none_of_these`, (B,).
    """

    folder: Path
    runtime: str
    precision: str
    labels: tuple[Label, ...]
    preparation: Preparation | None
    raw: bool
    threshold: Threshold | None
    facts: Mapping[str, Any]
    run: Run

    def predict(self, image: Image.Image) -> Outputs:
        """The outputs of one RGB image, (1, K) each.

        Raises:
            BundleError: the bundle is raw and does not know how images are prepared.
        """
        if self.raw and self.preparation is None:
            raise BundleError(
                f"{str(self.folder)!r} is raw and says nothing of preparation; prepare images and use run"
            )
        return self.run(self.take(image))

    def take(self, image: Image.Image) -> Array:
        """What the graph takes of one RGB image, (1, ...)."""
        return make_input(self.runtime, self.preparation, image, raw=self.raw)

    @property
    def graph(self) -> Path:
        """The file of the graph."""
        return self.folder / GRAPHS[self.runtime]


def open_bundle(folder: str | Path, *, runtime: str | None = None, threads: int | None = None) -> Bundle:
    """Opens a bundle that `write_bundle` wrote, and makes sure that its files fit each other.

    Args:
        runtime: `onnx`, `openvino`, `executorch`, `litert` or `torch`; by default the first but `torch` that the bundle
            holds. A torch program is a pickle in parts: opening it runs what the file says, so it has to be asked for.
        threads: of the runtime; by default the runtime decides.

    Raises:
        BundleError: a file is missing or corrupt, or the labels do not fit the graph.
    """
    folder = Path(folder)
    facts = _read_facts(folder)
    labels = read_labels(folder)
    runtime = _choose(folder, facts, runtime)
    file = folder / GRAPHS[runtime]
    if not file.is_file():
        raise BundleError(f"no {file.name} in {str(folder)!r}, which {BUNDLE} lists; {REEXPORT}")
    _check_digests(
        folder, facts.get("sha256"), file.name, *([] if runtime != "openvino" else [file.with_suffix(".bin").name])
    )
    try:
        run, outputs = OPENERS[runtime](file, threads, facts.get("outputs", ()))
    except (BundleError, ExportError):
        raise
    except Exception as error:  # each runtime raises its own
        raise BundleError(f"{str(file)!r} cannot be opened ({summarize(error)}); is the file complete?") from None
    if outputs is not None and outputs != len(labels):
        raise BundleError(
            f"{str(folder)!r} has {len(labels)} labels and a graph of {outputs} outputs; they are of different models:"
            f" {REEXPORT}"
        )
    try:
        preparation = facts["preparation"] and Preparation(
            **{
                **facts["preparation"],
                **{key: tuple(facts["preparation"][key]) for key in ("input_size", "mean", "std")},
            }
        )
        threshold = facts["reject"] and Threshold(**{**facts["reject"], "images": tuple(facts["reject"]["images"])})
        if threshold and not (threshold.score in SCORES and math.isfinite(threshold.value)):
            raise BundleError(
                f"{str(folder / BUNDLE)!r} has a threshold of {threshold.value!r} for the score {threshold.score!r};"
                f" expected a finite number, and one of {', '.join(SCORES)}: {REEXPORT}"
            )
        return Bundle(folder, runtime, facts["precision"], labels, preparation, facts["raw"], threshold, facts, run)
    except (KeyError, TypeError) as error:
        raise BundleError(f"{str(folder / BUNDLE)!r} is not complete ({summarize(error)}); {REEXPORT}") from None


def digest_graphs(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a graph."""
    files = sorted(folder.glob("model.*"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.suffix != ".safetensors"}


def _check_digests(folder: Path, known: Any, *names: str) -> None:
    """Makes sure that a graph's files are those that were written: runtimes crash over some damaged ones.

    Raises:
        BundleError: they are not.
    """
    found = digest_graphs(folder)
    for name in names:
        kept = known.get(name) if isinstance(known, dict) else None
        if found.get(name) != kept:
            raise BundleError(
                f"{str(folder / name)!r} is not the file that was exported (its SHA-256 is not the one in {BUNDLE});"
                " copy the bundle again, or export it again"
            )


def make_input(runtime: str, preparation: Preparation | None, image: Image.Image, *, raw: bool) -> Array:
    """What a graph takes of one RGB image: its bytes, (1, H, W, 3), or prepared, (1, C, h, w)."""
    if raw:
        assert preparation is not None
        return preparation.transform(image)[None].numpy()
    if runtime == "executorch":
        return to_array(shrink_to_fit(image))
    if preparation is not None:
        preparation.check_shape(image)
        if runtime == "litert":
            return to_array(preparation.crop(image))
    return to_array(image)


def is_bundle(folder: str | Path) -> bool:
    """Whether a folder is a bundle, not a saved model."""
    return (Path(folder) / BUNDLE).is_file()


def _read_facts(folder: Path) -> dict[str, Any]:
    if not is_bundle(folder):
        raise BundleError(f"no {BUNDLE} in {str(folder)!r}; give a folder that timm-nhl export --bundle wrote")
    try:
        facts = read_json(folder / BUNDLE)
    except FormatError as error:
        raise BundleError(str(error)) from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise BundleError(f"{str(folder / BUNDLE)!r} has format {found!r}, and this version reads {FORMAT}; {REEXPORT}")
    return facts


def _choose(folder: Path, facts: Mapping[str, Any], asked: str | None) -> str:
    """The runtime to use."""
    graphs = facts.get("graphs")
    held = [name for name in GRAPHS if isinstance(graphs, list) and name in graphs]
    if asked is not None and asked not in held:
        raise BundleError(
            f"{str(folder)!r} has no graph for {asked!r}{nearest(asked, held)}; it has {', '.join(held) or 'none'}"
        )
    safe = [name for name in held if name != UNPICKLED]
    if asked is None and not safe:
        raise BundleError(
            f"{str(folder)!r} holds a torch program only, which runs code when it is opened; ask for the runtime torch"
            " if you trust the file"
            if held
            else f"{str(folder / BUNDLE)!r} lists no graph; {REEXPORT}"
        )
    return asked or safe[0]


def _open_onnx(file: Path, threads: int | None, names: Sequence[str]) -> tuple[Run, int | None]:
    try:
        import onnxruntime
    except ImportError:
        raise BundleError("this bundle needs 'onnxruntime'; install 'timm-nhl[export]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    widths = {output.name: output.shape[-1] for output in session.get_outputs()}
    last = widths["logits"]
    return lambda x: dict(zip(names, session.run(names, {"images": x}), strict=True)), last


def _open_openvino(file: Path, threads: int | None, names: Sequence[str]) -> tuple[Run, int | None]:
    openvino = import_package("openvino")
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16 where the processor has it
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().compile_model(str(file), "CPU", config)
    last = model.output("logits").partial_shape[-1]
    request = model.create_infer_request()

    def run(x: Array) -> Outputs:
        found = request.infer([x])
        return {name: np.array(found[name]) for name in names}

    return run, last.get_length() if last.is_static else None


def _open_torch(file: Path, threads: int | None, names: Sequence[str]) -> tuple[Run, int | None]:
    if threads is not None:
        torch.set_num_threads(threads)
    program = torch.export.load(file)
    module = program.module()
    (logits, *_), *_ = program.graph.output_node().args

    def run(x: Array) -> Outputs:
        with torch.inference_mode():
            return {name: y.numpy() for name, y in zip(names, module(torch.from_numpy(x.copy())), strict=True)}

    return run, int(logits.meta["val"].shape[-1])


def _open_executorch(file: Path, threads: int | None, names: Sequence[str]) -> tuple[Run, int | None]:
    run, classes = open_executorch(file, threads)

    def run_each(x: Array) -> Outputs:
        return {name: torch.cat(y).numpy() for name, y in zip(names, zip(*run(x), strict=True), strict=True)}

    return run_each, classes


def _open_litert(file: Path, threads: int | None, names: Sequence[str]) -> tuple[Run, int | None]:
    run, classes = open_litert(file, threads)

    def run_each(x: Array) -> Outputs:
        return {name: np.concatenate(y) for name, y in zip(names, zip(*run(x), strict=True), strict=True)}

    return run_each, classes


OPENERS: Mapping[str, Callable[[Path, int | None, Sequence[str]], tuple[Run, int | None]]] = {
    "onnx": _open_onnx,
    "openvino": _open_openvino,
    "executorch": _open_executorch,
    "litert": _open_litert,
    "torch": _open_torch,
}
