"""The command `timm-nhl export`: a model, or the expert of some classes, as a bundle or as one file."""

from __future__ import annotations

import random
import shlex
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.english import count
from timm_nhl.errors import OptionError

if TYPE_CHECKING:
    from PIL import Image

CALIBRATION = 256  # images
REJECT = 2000  # images of the classes, and of others, that a threshold is chosen with
WRITES = (".onnx", ".pt2")

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A saved folder, nested or plain, or a file of weights with --model and --hierarchy.",
        show_default=False,
    ),
]
Classes = Annotated[
    list[str] | None, typer.Option(help="A class id, class name or node path, or '' for all; repeat it for several.")
]
ModelOption = Annotated[str | None, typer.Option(help="The architecture, if CHECKPOINT is a file of weights.")]
HierarchyOption = Annotated[
    str | None,
    typer.Option(help="That of a file of weights; or that of --images, if they have more classes than CHECKPOINT."),
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="A new folder with everything that a device needs.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(help="Only the network, for prepared images: a .onnx file, or .pt2 for torch.", show_default=False),
]
Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        help="Graph of the bundle: onnx (default), openvino, executorch, litert or torch; repeat it for several.",
    ),
]
Images = Annotated[
    str | None,
    typer.Option(help="Dataset whose images calibrate int8 and check the graphs, as for `timm-nhl evaluate`."),
]
Split = Annotated[str, typer.Option(help="Split of --images.")]
Fp16 = Annotated[bool, typer.Option("--fp16", help="Store weights in float16: half the size.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Weights and activations in int8; needs --images.")]
Reject = Annotated[
    float | None,
    typer.Option(help="Choose a threshold that this share of --images of other classes passes, like 0.05."),
]
RejectSplit = Annotated[
    str, typer.Option(help="Split of --images for --reject: not one that the model was trained on.")
]
Raw = Annotated[bool, typer.Option("--raw", help="The bundle's graph takes prepared images, (B, C, H, W).")]
ImageSize = Annotated[int | None, typer.Option(help="Side of the network's input; by default the model's.", min=1)]
Opset = Annotated[int | None, typer.Option(help="Opset of ONNX; by default 20.", min=18)]
Weights = Annotated[
    bool, typer.Option("--weights", help="Also write the weights, which timm loads as local-dir:BUNDLE.")
]
License = Annotated[str | None, typer.Option(help="License of the weights, for the bundle's README.")]


def export_command(
    checkpoint: Checkpoint,
    bundle: BundleOption = None,
    out: Out = None,
    classes: Classes = None,
    format: Formats = None,
    fp16: Fp16 = False,
    int8: Int8 = False,
    images: Images = None,
    split: Split = "train",
    reject: Reject = None,
    reject_split: RejectSplit = "validation",
    raw: Raw = False,
    img_size: ImageSize = None,
    opset: Opset = None,
    weights: Weights = False,
    license: License = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Writes a model, or the expert of some classes, for a device, and checks the written numbers.

    --bundle writes a folder: graphs that take images as they are, labels, an image with its expected output, a README.
    --out writes one file.
    """
    if fp16 and int8:
        raise OptionError("--fp16 and --int8 exclude each other; choose one")
    asked = {"format": format, "fp16": fp16, "int8": int8, "images": images, "reject": reject, "raw": raw}
    _check(bundle, out, **asked, weights=weights, license=license)
    from timm_nhl.bundle import OPSET, BundleSettings, write_bundle
    from timm_nhl.eval import open_classifier

    opened = open_classifier(checkpoint, model=model, hierarchy=hierarchy)
    cut = _cut(opened, classes)
    if bundle is None:
        assert out is not None
        _write_file(cut, out, img_size=img_size, opset=opset)
        typer.echo(f"{out}: verified against the model", err=True)
        return
    settings = BundleSettings(
        formats=tuple(format or ("onnx",)),
        precision="int8" if int8 else "fp16" if fp16 else "fp32",
        raw=raw,
        img_size=img_size,
        opset=opset or OPSET,
        weights=weights,
        license=license,
        reject=reject,
        facts={"source": checkpoint, "command": shlex.join(["timm-nhl", *sys.argv[1:]])},
    )
    photos, own, others = _sample(images, split, None if reject is None else reject_split, opened, cut, hierarchy)
    write_bundle(cut, bundle, settings, images=photos, own=own, others=others)
    _report(cut, bundle, settings.formats[0])


def _report(model: Any, bundle: Path, runtime: str) -> None:
    """Says on stderr what was written."""
    from timm_nhl.bundle import open_bundle

    size = sum(file.stat().st_size for file in bundle.iterdir())
    typer.echo(
        f"{bundle}: {count(model.num_classes, 'class')}, {size / 1e6:.2f} MB, verified against the model", err=True
    )
    threshold = open_bundle(bundle, runtime=runtime).threshold
    if threshold is not None:
        typer.echo(_describe_rejection(threshold), err=True)


def _describe_rejection(threshold: Any) -> str:
    """What a threshold does, in one line."""
    own, others = (count(number, "image") for number in threshold.images)
    return (
        f"none of these: {threshold.score} of at most {threshold.value:.4g}; {threshold.false_accepts:.1%} of {others}"
        f" of other classes pass, and {threshold.kept:.1%} of {own} of its own (AUROC {threshold.area:.3f})"
    )


def _write_file(model: Any, out: Path, *, img_size: int | None, opset: int | None) -> None:
    """Writes the network alone."""
    from timm.models import reparameterize_model

    from timm_nhl.bundle import resize
    from timm_nhl.export import export_onnx, export_program

    network = resize(reparameterize_model(model).eval(), img_size)
    if out.suffix == ".onnx":
        export_onnx(network, out, opset=opset)
    else:
        export_program(network, out)


def _cut(opened: Any, classes: list[str] | None) -> Any:
    """The model, or the expert of some classes.

    Raises:
        OptionError: a plain model is asked for an expert.
    """
    if not classes:
        return opened.model
    if not hasattr(opened.model, "expert"):
        raise OptionError(f"{opened.source!r} is a plain model, which has no experts; leave --classes out")
    return opened.model.expert(classes)


def _sample(
    source: str | None, split: str, reject_split: str | None, opened: Any, cut: Any, hierarchy: str | None
) -> tuple[list[Image.Image], Iterator[Image.Image], Iterator[Image.Image]]:
    """Images of the model's own classes, and those for a threshold: of its classes, and of others.

    Raises:
        OptionError: a plain model's folder has no hierarchy.
    """
    if source is None:
        return [], iter(()), iter(())
    from hierarchy import load
    from timm_nhl.data import read_held_out

    tree = opened.hierarchy if hierarchy is None else load(hierarchy)
    if tree is None:
        raise OptionError(f"{opened.source!r} has no hierarchy.json, which names the classes of --images; add it")
    known = list(cut.hierarchy.classes) if hasattr(cut, "hierarchy") else list(tree.classes)
    other = [id for id in tree.classes if id not in known]
    photos = list(_draw(source, tree, (split, None), known, CALIBRATION))
    if reject_split is None:
        return photos, iter(()), iter(())
    rows = read_held_out(opened.source, source, split=reject_split) or (reject_split, None)
    learned = set(opened.model.hierarchy.classes if hasattr(opened.model, "hierarchy") else tree.classes)
    siblings, strangers = ([id for id in other if (id in learned) == held] for held in (True, False))
    others = chain(
        _draw(source, tree, rows, siblings, REJECT),
        _draw(source, tree, (rows[0], None), strangers, REJECT),  # the model has learned from none of their images
    )
    return photos, _draw(source, tree, rows, known, REJECT), others


def _draw(
    source: str, tree: Any, rows: tuple[str, list[int] | None], classes: list[str], most: int
) -> Iterator[Image.Image]:
    """Some images of some classes, the same ones each time, of a split or of some rows of it."""
    from timm_nhl.data import keep_rows, open_images

    if classes:
        split, kept = rows
        images = open_images(source, hierarchy=tree, split=split, classes=classes)
        images = images if kept is None else keep_rows(images, kept)
        for number in random.Random(0).sample(range(len(images)), min(most, len(images))):
            yield images[number][0]


def _check(bundle: Path | None, out: Path | None, **asked: Any) -> None:
    """Raises OptionError for what does not go together: a bundle and a file, or a file and options of a bundle."""
    if (bundle is None) == (out is None):
        raise OptionError("pass either --bundle, a new folder, or --out, a .onnx or .pt2 file")
    if out is not None:
        given = [name for name, value in asked.items() if value]
        if given:
            raise OptionError(
                f"--{given[0]} is an option of --bundle; leave it out, or pass --bundle in place of --out"
            )
        if out.suffix not in WRITES:
            raise OptionError(f"unknown format of {str(out)!r}; end the name in .onnx or .pt2")
    if asked["reject"] is not None and asked["images"] is None:
        raise OptionError("--reject is chosen with images of other classes, and none are given; pass --images")
