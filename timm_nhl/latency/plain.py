"""The plain backbone of a bundle, as a bundle of the same form: what one would use instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from PIL import Image

from timm_nhl.bundle import BundleSettings, open_bundle, write_bundle

SUFFIX = "_nhl"


def write_plain(folder: Path, target: Path, *, runtime: str) -> bool:
    """Writes the plain backbone, with random weights, for the classes, precision and image size of a bundle.

    Returns whether there is one: not of a bundle that is plain itself.
    """
    bundle = open_bundle(folder, runtime=runtime)
    architecture = str(bundle.facts["provenance"]["architecture"])
    if not architecture.endswith(SUFFIX) or bundle.preparation is None:
        return False
    preparation = bundle.preparation
    model: Any = timm.create_model(architecture.removesuffix(SUFFIX), num_classes=len(bundle.labels)).eval()
    model.pretrained_cfg = {
        **model.pretrained_cfg,
        "input_size": preparation.input_size,
        "test_input_size": None,
        "mean": preparation.mean,
        "std": preparation.std,
        "interpolation": preparation.interpolation,
        "crop_pct": preparation.crop_pct,
        "test_crop_pct": None,
        "crop_mode": preparation.crop_mode,
        "label_names": [label.id for label in bundle.labels],
    }
    with Image.open(folder / "golden.png") as image:
        golden = image.convert("RGB")
    settings = BundleSettings(formats=(runtime,), precision=bundle.precision, raw=bundle.raw)
    write_bundle(model, target, settings, images=[golden])
    return True
