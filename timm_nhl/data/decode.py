"""One way to open an image, for training, evaluation and prediction: bytes to an upright RGB image."""

from __future__ import annotations

import io
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image, ImageOps

from hierarchy.dataset import Unreadable

ORIENTATION = 0x0112  # the EXIF tag


def decode_image(content: bytes) -> Image.Image:
    """Decodes an image and turns it as its EXIF data say.

    Only the first frame of an animation is used. Transparency is ignored, as `convert("RGB")` does; 16-bit grey values
    lose their lower byte.

    Raises:
        Unreadable: with the end of a sentence about the image.
    """
    try:
        with catch_warnings():  # Pillow warns at half the size that it refuses
            simplefilter("ignore", Image.DecompressionBombWarning)
            simplefilter("ignore", UserWarning)  # about EXIF data that are damaged
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                upright = ImageOps.exif_transpose(image) if image.getexif().get(ORIENTATION, 1) != 1 else image
                return _to_rgb(upright)
    except Image.DecompressionBombError:
        raise Unreadable("the image has more pixels than Pillow decodes") from None
    except (OSError, SyntaxError, ValueError, OverflowError, EOFError) as fault:  # Pillow raises them over broken bytes
        raise Unreadable("the image cannot be decoded") from fault


def _to_rgb(image: Image.Image) -> Image.Image:
    """Pillow clips 16-bit values at 255 where they should be scaled."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")
