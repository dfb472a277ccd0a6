"""A flat classifier to convert, beside the data of training_runs.py."""

from __future__ import annotations

from pathlib import Path

import timm
import torch

from support.training_runs import SMALL, TREE
from timm_nhl.converting import Conversion
from timm_nhl.export import write_files


def save_flat(folder, *, classes=TREE.classes, hierarchy=TREE, name="test_resnet", **options):
    """Saves a plain model with random weights, whose answers vary, as a training saves one; returns the folder."""
    torch.manual_seed(1)
    model = timm.create_model(name, num_classes=len(classes), **options)
    model.pretrained_cfg |= {"input_size": (3, 32, 32)}
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 32, 32))  # statistics of the norms
        for weight in model.get_classifier().parameters():
            weight.mul_(20)
    Path(folder).mkdir(parents=True)
    write_files(model.eval(), Path(folder), label_names=classes, hierarchy=hierarchy)
    return str(folder)


def converting(model, data, out, **values):
    """Settings of a short conversion."""
    defaults = {
        "val_split": "test",
        "model_kwargs": SMALL,
        "epochs": 3,
        "batch_size": 8,
        "views": 2,
        "workers": 0,
        "device": "cpu",
    }
    return Conversion(str(model), str(data), str(out), **{**defaults, **values})
