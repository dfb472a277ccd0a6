"""The loss of a conversion against a slow version of itself, and what it ignores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from timm_nhl.converting.distillation import CompletedLoss


def softmax(values):
    total = sum(math.exp(value) for value in values)
    return [math.exp(value) / total for value in values]


@st.composite
def cases(draw):
    """(K,) which classes are known, some that are learned, labels of some images."""
    known = draw(st.lists(st.booleans(), min_size=2, max_size=6))
    learned = sorted(draw(st.sets(st.integers(0, len(known) - 1), min_size=1)))
    competing = [label for label in range(len(known)) if known[label] or label in learned]
    labels = draw(st.lists(st.sampled_from([-1, *range(len(known))]), min_size=1, max_size=5))
    return known, learned, competing, labels


@given(cases(), st.sampled_from([1.0, 2.5]))
def test_the_loss_equals_its_definition(case, temperature):
    known, learned, competing, labels = case
    logits, teacher = torch.randn(len(labels), len(learned)), 2 * torch.randn(len(labels), len(known))
    kl = ce = 0.0
    for mine, theirs, label in zip(logits.tolist(), teacher.tolist(), labels, strict=True):
        whole = [mine[learned.index(k)] if k in learned else theirs[k] for k in range(len(known))]
        if any(known) and (label < 0 or known[label]):
            p, q = (softmax([row[k] / temperature for k in range(len(known)) if known[k]]) for row in (theirs, whole))
            kl += temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / len(labels)
        if label in competing:
            q = softmax([whole[k] for k in competing])
            aims = [0.1 / len(competing) + 0.9 * (k == label) for k in competing]
            ce -= sum(aim * math.log(each) for aim, each in zip(aims, q, strict=True)) / len(labels)
    loss = CompletedLoss(learned, torch.tensor(known), temperature=temperature, label_weight=0.3, smoothing=0.1)
    found = loss(logits, teacher, torch.tensor(labels))
    assert found["kl"].item() == pytest.approx(kl, rel=1e-4, abs=1e-5)
    assert found["ce"].item() == pytest.approx(ce, rel=1e-4, abs=1e-5)
    assert found["loss"].item() == pytest.approx(kl + 0.3 * ce, rel=1e-4, abs=1e-5)


def test_the_teachers_own_logits_are_the_minimum():
    teacher = torch.randn(4, 6)
    loss = CompletedLoss([1, 4], torch.ones(6, dtype=torch.bool), temperature=2.0, label_weight=0.0)
    logits = teacher[:, [1, 4]].clone().requires_grad_()
    loss(logits, teacher, torch.full((4,), -1))["loss"].backward()
    assert logits.grad.abs().max() < 1e-6
    shifted = loss(logits + 1, teacher, torch.full((4,), -1))["loss"]
    assert shifted > 0.01  # a part that is too loud is wrong, also where it is right among its own classes


def test_parts_that_see_the_same_images_have_the_sum_of_their_losses():
    teacher, labels, known = torch.randn(5, 6), torch.tensor([0, 1, -1, 3, 5]), torch.ones(6, dtype=torch.bool)
    logits, weights = torch.randn(5, 3), torch.rand(5, 2)
    both = CompletedLoss([1, 4, 5], known, parts=[0, 1, 0])
    found = both(logits, teacher[:, None].expand(-1, 2, -1), labels[:, None].expand(-1, 2), weights)["loss"]
    first = CompletedLoss([1, 5], known)(logits[:, [0, 2]], teacher, labels, weights[:, 0])["loss"]
    second = CompletedLoss([4], known)(logits[:, [1]], teacher, labels, weights[:, 1])["loss"]
    torch.testing.assert_close(found, first + second)


def test_an_image_of_weight_two_counts_as_two_images():
    teacher, logits, labels, known = torch.randn(2, 4), torch.randn(2, 2), torch.tensor([0, 2]), torch.ones(4) > 0
    loss = CompletedLoss([0, 3], known)
    twice = [torch.cat((values, values[:1])) for values in (logits, teacher, labels)]
    found = loss(logits, teacher, labels, torch.tensor([2.0, 1.0]))["loss"]
    torch.testing.assert_close(found * 2, loss(*twice)["loss"] * 3)
