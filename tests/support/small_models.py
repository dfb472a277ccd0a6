"""Small nested models that are quick to build, and images for them."""

from __future__ import annotations

import timm
import torch

from support.trees import shape

TREE = shape(3, 7, 20)
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def create(backbone="test_resnet", hierarchy=TREE, **options):
    """A small nested model with random weights."""
    return timm.create_model(f"{backbone}_nhl", hierarchy=hierarchy, **{**SMALL, **options})


def images(model, batch=2):
    """Random images of the size that a model takes."""
    return torch.randn(batch, model.in_chans, *model.default_cfg["input_size"][1:])
