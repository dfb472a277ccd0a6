"""One expert as a bundle, for all tests of bundles: writing takes seconds."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.small_models import create
from support.trees import scrambled

from timm_nhl.bundle import BundleSettings, write_bundle


@pytest.fixture(scope="session")
def model():
    """An expert of four classes."""
    return scrambled(create()).eval().expert("super 01")


@pytest.fixture(scope="session")
def images():
    """Noise of several sizes, smooth enough for resampling to matter little."""
    generator = np.random.default_rng(0)
    sizes = ((90, 70), (64, 64), (50, 120), (200, 40))
    return [
        Image.fromarray(generator.integers(0, 255, (5, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
        for size in sizes
    ]


@pytest.fixture(scope="session")
def written(model, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "expert"
    write_bundle(model, folder, BundleSettings(formats=("onnx", "openvino")), images=images)
    return folder
