"""The loss on levels against a slow, obvious version of itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.training_runs import TREE
from support.trees import hierarchies
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

from timm_nhl.train.losses import LevelLoss


def obvious_level_loss(logits, target, tree, weights):
    """Image by image, level by level, node by node."""
    total = 0.0
    for row, wanted in zip(logits.double(), target.double(), strict=True):
        p = [math.exp(value) for value in row.tolist()]
        p = [value / sum(p) for value in p]
        for weight, level in ((1.0, 3), (weights[0], 1), (weights[1], 2)):
            for node in set(tree.ancestors(level)):
                classes = [label for label in range(len(tree)) if tree.ancestors(level)[label] == node]
                aim = sum(wanted[label].item() for label in classes)
                total -= weight * aim * math.log(sum(p[label] for label in classes))
    return total / len(logits)


@given(hierarchies(3), st.tuples(st.floats(0, 2), st.floats(0, 2)))
def test_the_level_loss_equals_its_definition(tree, weights):
    logits, mixed = 3 * torch.randn(4, len(tree)), torch.rand(4, len(tree)).softmax(-1)
    expected = obvious_level_loss(logits, mixed, tree, weights)
    assert LevelLoss(tree, weights=weights)(logits, mixed).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_without_level_weights_it_is_timms_loss():
    logits, target = torch.randn(5, 6), torch.tensor([0, 1, 2, 3, 5])
    plain = LevelLoss(TREE, weights=(0.0, 0.0), smoothing=0.1)
    torch.testing.assert_close(plain(logits, target), LabelSmoothingCrossEntropy(0.1)(logits, target))
    mixed = torch.rand(5, 6).softmax(-1)
    torch.testing.assert_close(plain(logits, mixed), SoftTargetCrossEntropy()(logits, mixed))


def test_the_level_loss_is_finite_when_a_node_has_almost_no_probability():
    logits = torch.full((1, 6), -300.0)
    logits[0, 0] = 300.0
    logits.requires_grad_()
    far = max(label for label in range(6) if TREE.ancestors(1)[label] != TREE.ancestors(1)[0])
    loss = LevelLoss(TREE, weights=(1.0, 1.0))(logits, torch.tensor([far]))
    loss.backward()
    assert loss.item() == pytest.approx(1800, rel=1e-3)  # 600 for each of three levels
    assert torch.isfinite(logits.grad).all()
