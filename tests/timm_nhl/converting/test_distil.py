"""Branches that see images of their own are the branches of the network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hierarchy import Hierarchy
from timm_nhl import NHL
from timm_nhl.converting.distillation.distil import run_branches, separate, unite

PLACES = [("x", "1"), ("y", "2"), ("x", "1"), ("z", "3"), ("y", "4"), ("x", "5")]
TREE = Hierarchy.from_rows([(id, id, *place) for id, place in zip("abcdef", PLACES, strict=True)])


@pytest.fixture
def model():
    model = NHL("test_resnet", TREE, widths=(8, 4, 4)).eval()
    for norm in model.levels.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight)  # the last norm of a block starts at 0, where its convolutions do not matter
    return model


def test_each_superclass_answers_for_the_images_that_it_sees(model):
    first, *later = model.each_level()
    x = torch.randn(4, 3, model.trunk.channels, 4, 4)  # (B, S, C, h, w)
    with torch.no_grad():
        found = run_branches([separate(first), *later], model.head, x.flatten(1, 2))
        for label, part in enumerate(TREE.ancestors(1)):
            expected = run_branches(model.levels, model.head, x[:, part])[:, label]
            torch.testing.assert_close(found[:, label], expected)


def test_uniting_is_the_inverse_of_separating(model):
    (first, *_), state = model.each_level(), model.state_dict()
    again = unite(separate(first)).state_dict()
    assert all(torch.equal(state[f"levels.0.{name}"], value) for name, value in again.items())
