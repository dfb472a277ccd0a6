"""What a superclass sees in an epoch: its own images once, some others, and weights for what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timm_nhl.converting.distillation.draw import Draw


@st.composite
def cases(draw):
    """(M,) the class of each image, and the classes of each superclass."""
    members = [[0, 3], [1], [2, 4]][: draw(st.integers(1, 3))]
    return np.array(draw(st.lists(st.integers(0, 5), min_size=1, max_size=80))), members


@given(cases(), st.integers(0, 3))
@settings(max_examples=50)
def test_a_superclass_sees_its_own_images_once_and_no_image_twice(case, epoch):
    shown, members = case
    images, _ = Draw(shown, members).epoch(7, epoch)
    assert images.shape[1] == len(members)
    for column, classes in zip(images.T, members, strict=True):
        assert len(set(column)) == len(column)
        assert set(np.flatnonzero(np.isin(shown, classes))) <= set(column)


def test_what_is_seen_counts_for_what_is_not():
    shown, members = np.repeat(np.arange(6), 50), [[0, 1], [2], [3]]
    values = np.random.default_rng(0).normal(size=len(shown)) + shown  # any loss of each image
    draw = Draw(shown, members)
    means = []
    for epoch in range(300):
        images, weights = draw.epoch(1, epoch)
        np.testing.assert_allclose(weights.mean(0), 1, rtol=1e-5)
        means.append((weights * values[images]).mean(0))
    assert np.mean(means, 0) == pytest.approx([values.mean()] * 3, abs=0.03)


def test_epochs_and_seeds_draw_different_images_and_the_same_ones_again():
    draw = Draw(np.repeat(np.arange(4), 25), [[0], [1]])
    first = draw.epoch(1, 0)[0]
    assert np.array_equal(first, draw.epoch(1, 0)[0])
    assert not np.array_equal(first, draw.epoch(1, 1)[0]) and not np.array_equal(first, draw.epoch(2, 0)[0])
