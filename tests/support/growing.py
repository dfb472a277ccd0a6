"""Small models to grow, and what growing must leave alone."""

from __future__ import annotations

import timm
import torch

from support.trees import scrambled
from timm_nhl.export import save


def small(tree, backbone="test_resnet", **options):
    return scrambled(
        timm.create_model(f"{backbone}_nhl", hierarchy=tree, **{"widths": (8, 4, 4), "expansion": 2, **options})
    )


def save_small(tree, folder):
    """Saves a small model with its own input size."""
    model = small(tree)
    model.pretrained_cfg["input_size"] = (3, 32, 32)
    save(model, folder)
    return folder


def assert_kept(grown, model):
    """The expert of the old classes is the old model: tensors and logits are equal bit by bit."""
    expert = grown.expert(model.hierarchy.classes)
    assert sorted(expert.hierarchy.rows) == sorted(model.hierarchy.rows)
    theirs = {name: value for name, value in model.state_dict().items() if name != "hierarchy_digest"}
    mine = expert.state_dict()
    assert mine.keys() - theirs.keys() == {"hierarchy_digest"}
    columns = [expert.hierarchy.classes.index(id) for id in model.hierarchy.classes]
    for name, value in theirs.items():
        rows = mine[name][columns] if name.startswith("head.") else mine[name]  # the classifier's rows are labels
        assert torch.equal(rows, value), name
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(expert.eval()(x)[:, columns], model(x))
