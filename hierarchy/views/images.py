"""How a trained network sees the images of classes: the mean direction of its features, class by class.

Branches of a nested network are shared by classes that look alike, which their names do not always say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierarchy.errors import EmbedError, first_line
from hierarchy.sources import ClassList, find_classes
from hierarchy.views.view import View, centre

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

MOST = 32  # images of a class; the mean of more moves by less than classes differ
BATCH = 32
ENOUGH = 3  # images from which a class counts as known
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def view_images(classes: ClassList, model: str) -> View:
    """The centred means of the features that a timm model gives the images of each class of an image folder.

    Args:
        classes: classes whose source is an image folder.
        model: a timm model with pretrained weights, or "local-dir:FOLDER" for a saved one.

    Raises:
        EmbedError: the source is not an image folder, or the model or an image cannot be read.
    """
    import numpy as np

    folders = _find_folders(Path(classes.source))
    if len(folders) != len(classes):
        raise EmbedError(f"embedder 'images' needs an image folder, not {classes.source!r}; give one as SOURCE")
    network, transform = _load(model)
    means, numbers = [], []
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
        chosen = files[:: max(1, len(files) // MOST)][:MOST]
        features = np.vstack(list(_measure(chosen, network, transform))) if chosen else np.zeros((1, 1))
        means.append(features.mean(axis=0))
        numbers.append(len(chosen))
    width = max(len(mean) for mean in means)
    rows = np.stack([mean if len(mean) == width else np.zeros(width) for mean in means])  # (K, D)
    knows = np.minimum(1.0, np.array(numbers) / ENOUGH)
    return View(f"images:{model}", centre(rows, knows), knows)


def _find_folders(source: Path) -> list[Path]:
    """The folder of each class, in the order in which the classes were read; none if the source is not a folder."""
    found = find_classes(source).items() if source.is_dir() else ()
    return [folder for _, folder in sorted(found, key=lambda item: (item[0][-1], item[0]))]


def _load(model: str) -> tuple[Any, Any]:
    import timm
    import torch

    try:
        network = timm.create_model(model, pretrained=True, num_classes=0).eval()
        config = timm.data.resolve_model_data_config(network)
        transform = timm.data.create_transform(**config, is_training=False)
    except Exception as error:  # timm, the hub and the file formats raise many kinds
        raise EmbedError(f"cannot load timm model {model!r}: {first_line(error)}") from error
    return network.to("cuda" if torch.cuda.is_available() else "cpu"), transform


def _measure(files: Sequence[Path], network: Any, transform: Any) -> Iterator[Vectors]:
    """The features of images, (batch, D) at a time."""
    import torch
    from PIL import Image

    device = next(network.parameters()).device
    remaining = iter(files)
    while batch := list(islice(remaining, BATCH)):
        pixels = []
        for path in batch:
            try:
                with Image.open(path) as image:
                    pixels.append(transform(image.convert("RGB")))
            except OSError as error:
                raise EmbedError(f"cannot read image {str(path)!r}: {first_line(error)}") from error
        with torch.inference_mode():
            yield network(torch.stack(pixels).to(device)).double().cpu().numpy()  # (batch, D)
