"""Thresholds for "none of these": what a threshold promises holds for any scores, and measures equal slow ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from timm_nhl.errors import OptionError
from timm_nhl.rejection import choose_threshold, compute_score, list_scores, measure_area, measure_fpr95

# few values, so that many are equal
scores = st.lists(st.integers(-3, 9).map(float), min_size=1, max_size=40).map(np.array)
rates = st.floats(0.03, 0.9)


@given(scores, scores, rates)
def test_at_most_the_wanted_share_of_others_passes_and_no_lower_threshold_keeps_more(own, others, rate):
    if len(others) < 1 / rate:
        with pytest.raises(OptionError):
            choose_threshold({"energy": own}, {"energy": others}, rate)
        return
    chosen = choose_threshold({"energy": own}, {"energy": others}, rate)
    assert (others > chosen.value).mean() <= rate
    assert chosen.kept == (own > chosen.value).mean()
    for lower in set(own.tolist() + others.tolist()):
        if lower < chosen.value:
            assert (others > lower).mean() > rate
    assert chosen.images == (len(own), len(others))


@given(scores, scores)
def test_measures_are_those_of_all_pairs_and_all_thresholds(own, others):
    pairs = np.sign(own[:, None] - others[None])
    both = np.concatenate([own, others])
    assert measure_area(both, np.arange(len(both)) < len(own)) == pytest.approx((pairs.mean() + 1) / 2)
    slow = min((others >= value).mean() for value in own if (own >= value).mean() >= 0.95 - 1e-9)
    assert measure_fpr95(own, others) == slow


@given(st.integers(0, 9))
def test_the_best_score_is_chosen_and_the_first_of_equal_ones(seed):
    generator = np.random.default_rng(seed)
    noise = {"largest logit": generator.normal(size=30), "energy": generator.normal(size=30)}
    own = {**noise, "router": np.arange(30) + 100.0}
    others = {"largest logit": generator.normal(size=30), "energy": generator.normal(size=30), "router": np.arange(30)}
    assert choose_threshold(own, others, 0.1).score == "router"
    same = {name: np.arange(30.0) for name in own}
    assert choose_threshold(same, same, 0.1).score == "largest logit"


def test_scores_grow_with_the_logits_and_the_routers_with_its_groups():
    logits = np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32)
    outputs = {"logits": logits, "none_of_these": np.array([0.25, 1.0], np.float32)}
    assert list_scores({"logits": logits}) == ("largest logit", "energy")
    found = {name: compute_score(name, outputs).tolist() for name in list_scores(outputs)}
    assert found["largest logit"] == [1000, -1000] and found["router"] == [0.75, 0]
    assert found["energy"] == pytest.approx([1000, -1000 + np.log(2)])
