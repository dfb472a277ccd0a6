"""Small real images and datasets of them."""

from __future__ import annotations

import io

import datasets
from PIL import Image as Pillow

from hierarchy import Hierarchy

PETS = Hierarchy.from_rows(
    [
        ("n1", "tabby", "mammals", "cats"),
        ("n2", "carp", "fish", "carps"),
        ("n3", "siamese", "mammals", "cats"),
        ("n4", "beagle", "mammals", "dogs"),
    ]
)


def image_file(number: int, form: str = "PNG") -> bytes:
    """An image file of one colour, different for each number."""
    file = io.BytesIO()
    Pillow.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(file, form)
    return file.getvalue()


def image_rows(labels: list, names: list[str] | None = None, **columns: list) -> datasets.Dataset:
    """A dataset with one row and one image a label, every second a JPEG; labels are numbers with names, or strings."""
    images = [{"bytes": image_file(i, "JPEG" if i % 2 else "PNG"), "path": None} for i in range(len(labels))]
    label = datasets.ClassLabel(names=names) if names else datasets.Value("string")
    features = {"image": datasets.Image(), "label": label}
    data = datasets.Dataset.from_dict({"image": images, "label": labels}, features=datasets.Features(features))
    for name, values in columns.items():
        data = data.add_column(name, values)
    return data


def stored(data, image: str = "image") -> list:
    """The stored bytes of all images."""
    return [row["bytes"] for row in data.cast_column(image, datasets.Image(decode=False))[image]]
