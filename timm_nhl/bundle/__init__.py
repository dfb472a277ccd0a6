"""Bundles: folders that a device can run, written from a model and checked, opened, and run.

`write_bundle` writes one, `open_bundle` opens it. A bundle's graphs take images as they are: resizing, cropping and
normalising are part of them.
"""

from timm_nhl.bundle.labels import Label
from timm_nhl.bundle.preparation import Preparation, find_preparation
from timm_nhl.bundle.runner import Bundle, Reject, is_bundle, open_bundle
from timm_nhl.bundle.write import BundleSettings, resize, write_bundle

__all__ = [
    "Bundle",
    "BundleSettings",
    "Label",
    "Preparation",
    "Reject",
    "find_preparation",
    "is_bundle",
    "open_bundle",
    "resize",
    "write_bundle",
]
