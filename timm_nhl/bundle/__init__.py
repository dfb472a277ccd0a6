"""Bundles: folders that a device can run, written from a model and checked, opened, and run.

`write_bundle` writes one, `open_bundle` opens it. A bundle's graphs take images as they are: resizing, cropping and
normalising are part of them.
"""

from timm_nhl.bundle.graphs.onnx_graph import OPSET, Scored
from timm_nhl.bundle.labels import Label, list_labels
from timm_nhl.bundle.preparation import Preparation, find_preparation
from timm_nhl.bundle.runner import Bundle, is_bundle, open_bundle
from timm_nhl.bundle.settings import BundleSettings
from timm_nhl.bundle.write import resize, write_bundle

__all__ = [
    "OPSET",
    "Bundle",
    "BundleSettings",
    "Label",
    "Preparation",
    "Scored",
    "find_preparation",
    "is_bundle",
    "list_labels",
    "open_bundle",
    "resize",
    "write_bundle",
]
