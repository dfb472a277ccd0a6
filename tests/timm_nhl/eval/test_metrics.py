"""Measures against slow, obvious versions; their intervals against theory and simulation; laws."""

from __future__ import annotations

import math
import random
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest
from support.trees import hierarchies, hierarchies_with_orders, shape
from timm.utils import accuracy

from timm_nhl.errors import EvaluationError
from timm_nhl.eval import intervals
from timm_nhl.eval.intervals import mean_over, percentiles, resampled_means, wilson
from timm_nhl.eval.metrics import difference_over_seeds, heights, joined, measure, of_batch, paired_difference

TREE = shape(3, 7, 20)


def answers(classes, images=60, seed=0, scale=1.5):
    """Logits that are right more often than not, and labels."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (images,), generator=generator)
    logits = scale * torch.randn(images, classes, generator=generator)
    logits[torch.arange(images), targets] += 1.5
    return logits, targets


def slow(logits, targets, tree):
    """All measures, image by image, from paths and Python's own arithmetic."""
    found = {name: [] for name in ("top1", "top5", "group", "superclass", "height", "mistakes", "nll")}
    bins = [[] for _ in range(15)]
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        ranking = sorted(range(len(tree)), key=lambda label: -row[label])
        first = ranking[0]
        total = math.fsum(math.exp(value) for value in row)
        (_, _, superclass, group), (_, _, its_superclass, its_group) = tree.rows[first], tree.rows[target]
        if first == target:
            height = 0
        elif (superclass, group) == (its_superclass, its_group):
            height = 1
        else:
            height = 2 if superclass == its_superclass else 3
        found["top1"].append(first == target)
        found["top5"].append(target in ranking[:5])
        found["group"].append((superclass, group) == (its_superclass, its_group))
        found["superclass"].append(superclass == its_superclass)
        found["height"].append(height)
        found["mistakes"] += [height] if height else []
        found["nll"].append(math.log(total) - row[target])
        confidence = math.exp(row[first]) / total
        (place,) = (place for place in range(15) if place / 15 < confidence <= (place + 1) / 15)
        bins[place].append((first == target, confidence))
    ece = 0.0
    for members in filter(None, bins):
        right, confident = (math.fsum(column) / len(members) for column in zip(*members, strict=True))
        ece += len(members) / len(targets) * abs(right - confident)
    mean = {name: sum(values) / len(values) for name, values in found.items() if values}
    return {
        **{name: mean[name] for name in ("top1", "top5", "group", "superclass", "nll")},
        "mistake_severity": mean.get("mistakes"),
        "hierarchical_distance": mean["height"],
        "ece": ece,
    }


@given(hierarchies(), st.integers(0, 99))
def test_measures_are_what_the_slow_version_counts(tree, seed):
    logits, targets = answers(len(tree), seed=seed)
    measures = measure(of_batch(logits, targets), tree, resamples=20)
    wanted = slow(logits, targets, tree)
    assert wanted.keys() == measures.estimates.keys()
    for name, estimate in measures.estimates.items():
        if wanted[name] is None:
            assert estimate is None
        else:
            assert estimate.value == pytest.approx(wanted[name], rel=1e-5, abs=1e-6), name
            assert estimate.low <= estimate.value <= estimate.high, name


@given(hierarchies_with_orders(), st.integers(0, 99))
def test_another_order_of_labels_changes_nothing(tree_and_order, seed):
    tree, order = tree_and_order
    logits, targets = answers(len(tree), seed=seed)
    place = torch.empty(len(tree), dtype=torch.int64)
    place[list(order)] = torch.arange(len(tree))
    before = measure(of_batch(logits, targets), tree, resamples=20).estimates
    after = measure(of_batch(logits[:, list(order)], place[targets]), tree.at(order), resamples=20).estimates
    for name, estimate in before.items():
        if estimate is None:
            assert after[name] is None
        else:
            values = (estimate.value, estimate.low, estimate.high)
            assert values == pytest.approx((after[name].value, after[name].low, after[name].high), abs=1e-5), name


@given(hierarchies(), st.data())
def test_heights_are_levels_to_the_nearest_common_node(tree, data):
    labels = st.lists(st.integers(0, len(tree) - 1), min_size=9, max_size=9)
    predicted, targets = np.array(data.draw(labels)), np.array(data.draw(labels))
    paths = [("", superclass, f"{superclass}/{group}", id) for id, _, superclass, group in tree.rows]
    wanted = [
        next(height for height in range(4) if paths[one][3 - height] == paths[other][3 - height])
        for one, other in zip(predicted, targets, strict=True)
    ]
    assert heights(tree, predicted, targets).tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_logits_are_counted_as_timm_counts_them(dtype):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randint(3, (50, 20), generator=generator).to(dtype)  # ties everywhere
        targets = torch.randint(20, (50,), generator=generator)
        outcomes = of_batch(logits, targets)
        top1, top5 = accuracy(logits, targets, topk=(1, 5))
        assert 100 * outcomes.correct.mean() == pytest.approx(top1.item(), abs=1e-4)
        in_top = (outcomes.top == targets[:, None].numpy()).any(1).mean()
        assert 100 * in_top == pytest.approx(top5.item(), abs=1e-4)


def test_with_fewer_than_five_classes_all_are_in_the_top():
    logits, targets = answers(3)
    outcomes = of_batch(logits, targets)
    assert outcomes.top.shape == (60, 3)
    assert measure(outcomes, TREE.at([0, 1, 2])).top5.value == 1


def test_batches_joined_are_one_batch():
    logits, targets = answers(20, images=50)
    whole = of_batch(logits, targets)
    parts = [of_batch(logits[i : i + 7], targets[i : i + 7], images=range(50)[i : i + 7]) for i in range(0, 50, 7)]
    for name in ("images", "targets", "top", "confidence", "nll"):
        assert np.array_equal(getattr(joined(parts), name), getattr(whole, name)), name
    assert joined(parts).classes == 20


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_named_and_nothing_is_counted(value):
    logits, targets = answers(20, images=30)
    logits[[4, 17], [3, targets[17]]] = value
    batches = [of_batch(logits[i : i + 10], targets[i : i + 10], images=range(100 + i, 110 + i)) for i in (0, 10, 20)]
    with pytest.raises(EvaluationError, match="images 104, 117 have logits that are not finite numbers"):
        joined(batches)
    with pytest.raises(EvaluationError, match="image 104 has"):
        measure(batches[0], TREE)
    assert len(joined([batches[2]])) == 10


def test_a_model_that_is_always_right_has_no_mistakes_to_measure():
    targets = torch.arange(20)
    measures = measure(of_batch(9 * torch.eye(20), targets), TREE)
    assert measures.mistake_severity is None
    assert (measures.hierarchical_distance.value, measures.top1.value) == (0, 1)


@pytest.mark.parametrize(("hits", "count"), [(0, 9), (9, 9), (1, 50), (137, 300), (49_999, 50_000)])
def test_wilsons_interval_is_scipys(hits, count):
    found, wanted = wilson(hits, count), binomtest(hits, count).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@pytest.mark.parametrize("count", [30, 400])
def test_wilsons_interval_covers_the_truth_as_often_as_it_says(count):
    estimates = [wilson(hits, count) for hits in range(count + 1)]
    shares = np.linspace(0.02, 0.98, 97)
    covered = [
        sum(binom.pmf(hits, count, share) for hits, each in enumerate(estimates) if each.low <= share <= each.high)
        for share in shares
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.83  # where the truth is close to 0 or 1, as is known of it


def test_intervals_of_means_are_as_wide_as_theory_says():
    values = np.random.default_rng(0).exponential(size=(2000, 1))
    found = percentiles(values.mean(), resampled_means(values)[:, 0])
    half = 1.96 * values.std() / 2000**0.5
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_resamples_are_the_same_each_time_and_however_many_are_drawn_at_once(monkeypatch):
    values = np.random.default_rng(0).normal(size=(100, 3))
    before = resampled_means(values)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 700)
    assert np.allclose(resampled_means(values), before, atol=1e-12)
    assert not np.allclose(resampled_means(values, seed=1), before)


def test_calibration_is_covered_where_plain_percentiles_fail():
    generator = np.random.default_rng(0)
    confidences = np.linspace(0.3, 1, 70_001)
    places = np.clip(np.ceil(confidences * 15) - 1, 0, 14).astype(int)
    shares = np.bincount(places, minlength=15) / len(places)
    truth = 0.02 * shares.sum()  # every bin is right 2 points less often than it says
    covered = {"mirrored": 0, "plain": 0}
    for trial in range(60):
        confidence = generator.uniform(0.3, 1, 2000)
        right = generator.random(2000) < confidence - 0.02
        gaps = np.zeros((2000, 15))
        gaps[np.arange(2000), np.clip(np.ceil(confidence * 15) - 1, 0, 14).astype(int)] = right - confidence
        value = np.abs(gaps.mean(0)).sum()
        resampled = np.abs(resampled_means(gaps, resamples=200, seed=trial)).sum(1)
        for name, found in (
            ("mirrored", intervals.mirrored(value, resampled)),
            ("plain", percentiles(value, resampled)),
        ):
            covered[name] += found.low <= truth <= found.high
    assert covered["mirrored"] >= 50 and covered["plain"] <= 20


def test_the_interval_of_a_calibration_stays_within_0_and_1():
    logits = torch.zeros(3, 2).index_fill(1, torch.tensor([1]), 9.0)
    sure_and_wrong = of_batch(logits, torch.zeros(3, dtype=torch.int64))
    logits[0] = torch.tensor([0.1, 0.0])
    once_unsure = of_batch(logits, torch.zeros(3, dtype=torch.int64))
    for outcomes in (sure_and_wrong, once_unsure):
        found = measure(outcomes, shape(1, 1, 2)).ece
        assert 0 <= found.low <= found.value <= found.high <= 1


def pair(images=400, seed=0, networks=(3, 4)):
    """Whether networks of two models are right about images, some harder than others, some networks better."""
    generator = np.random.default_rng(seed)
    hard = generator.normal(size=images)
    skills = [generator.normal(0.4 * model, 0.3, size=(count, 1)) for model, count in enumerate(networks)]
    return [skill + 0.8 * generator.normal(size=(len(skill), images)) > hard for skill in skills]


def test_paired_differences_are_narrower_than_unpaired_ones():
    (one,), (other,) = pair(images=2000, networks=(1, 1))
    found = paired_difference(other, one)
    assert found.value == pytest.approx(other.mean() - one.mean())
    difference = other.astype(float) - one
    half = 1.96 * difference.std() / 2000**0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)
    assert half < 0.95 * 1.96 * (other.var() / 2000 + one.var() / 2000) ** 0.5
    assert paired_difference(one, one) == intervals.Estimate(0, 0, 0)


def test_differences_over_seeds_are_what_a_slow_version_draws():
    a, b = pair()
    chance = random.Random(0)
    drawn = []
    for _ in range(4000):
        images = np.array(chance.choices(range(400), k=400))
        rows_a = np.array(chance.choices(range(3), k=2))  # one network less than there are
        rows_b = np.array(chance.choices(range(4), k=3))
        drawn.append(a[rows_a][:, images].mean() - b[rows_b][:, images].mean())
    low, high = np.percentile(drawn, (2.5, 97.5))
    found = difference_over_seeds(a, b, resamples=4000)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.08 * (high - low))


def test_the_spread_of_networks_is_neither_lost_nor_made_smaller():
    generator = np.random.default_rng(0)
    widths = []
    for trial in range(200):  # networks that are right about all images or about none: only they differ
        a = np.repeat(generator.random((6, 1)) < 0.5, 10, axis=1)
        found = resampled_means(a.T, resamples=10, seed=trial)
        assert np.allclose(found, found[0])
        drawn = difference_over_seeds(a, np.zeros((1, 10), bool), resamples=2000, seed=trial)
        widths.append(((drawn.high - drawn.low) / 3.92) ** 2)
    assert np.mean(widths) == pytest.approx(0.25 / 6, rel=0.25)  # the variance of a mean of six


def test_means_of_experts_have_students_interval():
    generator = np.random.default_rng(0)
    found = [mean_over(generator.normal(0.5, 0.1, size=4).tolist(), -9, 9) for _ in range(1000)]
    assert np.mean([each.low <= 0.5 <= each.high for each in found]) == pytest.approx(0.95, abs=0.02)


def test_the_mean_of_one_expert_has_no_interval():
    assert mean_over([0.8], 0, 1) == intervals.Estimate(0.8) and intervals.Estimate(0.8).interval is None


def test_fifty_thousand_images_are_measured_in_seconds():
    tree = shape(20, 200, 1000)
    logits, targets = answers(1000, images=500)
    batch = of_batch(logits, targets)
    start = time.process_time()
    measures = measure(joined([batch] * 100), tree)
    assert measures.images == 50_000
    assert time.process_time() - start < 10  # 1.3 s on an idle core
