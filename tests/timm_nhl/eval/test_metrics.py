"""Measures against slow, obvious versions; their intervals against theory and simulation; laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from support.trees import hierarchies, hierarchies_with_orders, shape
from timm.utils import accuracy

from timm_nhl.errors import EvaluationError
from timm_nhl.eval import (
    Estimate,
    estimate_difference,
    estimate_mean,
    estimate_share,
    find_heights,
    join,
    judge,
    measure,
)

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
    measures = measure(judge(logits, targets), tree, resamples=20)
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
    before = measure(judge(logits, targets), tree, resamples=20).estimates
    after = measure(judge(logits[:, list(order)], place[targets]), tree.at(order), resamples=20).estimates
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
    assert find_heights(tree, predicted, targets).tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_logits_are_counted_as_timm_counts_them(dtype):
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randint(3, (50, 20), generator=generator).to(dtype)  # ties everywhere
        targets = torch.randint(20, (50,), generator=generator)
        outcomes = judge(logits, targets)
        top1, top5 = accuracy(logits, targets, topk=(1, 5))
        assert 100 * outcomes.correct.mean() == pytest.approx(top1.item(), abs=1e-4)
        in_top = (outcomes.top == targets[:, None].numpy()).any(1).mean()
        assert 100 * in_top == pytest.approx(top5.item(), abs=1e-4)


def test_with_fewer_than_five_classes_all_are_in_the_top():
    logits, targets = answers(3)
    outcomes = judge(logits, targets)
    assert outcomes.top.shape == (60, 3)
    assert measure(outcomes, TREE.at([0, 1, 2])).top5.value == 1


def test_batches_joined_are_one_batch():
    logits, targets = answers(20, images=50)
    whole = judge(logits, targets)
    parts = [judge(logits[i : i + 7], targets[i : i + 7], images=range(50)[i : i + 7]) for i in range(0, 50, 7)]
    for name in ("images", "targets", "top", "confidence", "nll"):
        assert np.array_equal(getattr(join(parts), name), getattr(whole, name)), name
    assert join(parts).classes == 20


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_named_and_nothing_is_counted(value):
    logits, targets = answers(20, images=30)
    logits[[4, 17], [3, targets[17]]] = value
    batches = [judge(logits[i : i + 10], targets[i : i + 10], images=range(100 + i, 110 + i)) for i in (0, 10, 20)]
    with pytest.raises(EvaluationError, match="images 104, 117 have logits that are not finite"):
        join(batches)
    with pytest.raises(EvaluationError, match="image 104 has"):
        measure(batches[0], TREE)
    assert len(join([batches[2]])) == 10


def test_a_model_that_is_always_right_has_no_mistakes_to_measure():
    targets = torch.arange(20)
    measures = measure(judge(9 * torch.eye(20), targets), TREE)
    assert measures.mistake_severity is None
    assert (measures.hierarchical_distance.value, measures.top1.value) == (0, 1)


@pytest.mark.parametrize("count", [30, 400])
def test_wilsons_interval_covers_the_truth_as_often_as_it_says(count):
    estimates = [estimate_share(hits, count) for hits in range(count + 1)]
    shares = np.linspace(0.02, 0.98, 97)
    covered = [
        sum(binom.pmf(hits, count, share) for hits, each in enumerate(estimates) if each.low <= share <= each.high)
        for share in shares
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.83  # where the truth is close to 0 or 1, as is known of it


def test_the_same_predictions_give_the_same_interval():
    outcomes = judge(*answers(20))
    assert measure(outcomes, TREE) == measure(outcomes, TREE)
    assert measure(outcomes, TREE, seed=1).ece != measure(outcomes, TREE).ece


def test_calibration_is_covered():
    generator = np.random.default_rng(0)
    confidences = np.linspace(0.5, 1, 70_001)
    bins = np.clip(np.ceil(confidences * 15) - 1, 0, 14).astype(int)
    truth = 0.02 * (np.bincount(bins, minlength=15) / len(bins)).sum()  # each bin is right 2 points less often
    covered = 0
    for trial in range(40):
        confidence = torch.tensor(generator.uniform(0.5, 1, 1000))
        logits = torch.stack([confidence.log(), (1 - confidence).log()], 1)
        wrong = torch.tensor(generator.random(1000) > confidence.numpy() - 0.02)
        found = measure(judge(logits, wrong.long()), shape(1, 1, 2), resamples=100, seed=trial).ece
        covered += found.low <= truth <= found.high
    assert covered >= 32  # percentiles would cover it 4 times


def test_the_interval_of_a_calibration_stays_within_0_and_1():
    logits = torch.zeros(3, 2).index_fill(1, torch.tensor([1]), 9.0)
    sure_and_wrong = judge(logits, torch.zeros(3, dtype=torch.int64))
    logits[0] = torch.tensor([0.1, 0.0])
    once_unsure = judge(logits, torch.zeros(3, dtype=torch.int64))
    for outcomes in (sure_and_wrong, once_unsure):
        found = measure(outcomes, shape(1, 1, 2)).ece
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_paired_differences_are_narrower_than_unpaired_ones():
    generator = np.random.default_rng(0)
    hard = generator.normal(size=2000)  # some images are harder than others
    one, other = (skill + 0.8 * generator.normal(size=2000) > hard for skill in (0.0, 0.4))
    found = estimate_difference(other, one)
    assert found.value == pytest.approx(other.mean() - one.mean())
    unpaired = 1.96 * (other.var() / 2000 + one.var() / 2000) ** 0.5
    assert found.high - found.low < 0.95 * 2 * unpaired
    assert estimate_difference(one, one) == Estimate(0, 0, 0)


def test_means_of_experts_have_students_interval():
    generator = np.random.default_rng(0)
    found = [estimate_mean(generator.normal(0.5, 0.1, size=4).tolist(), -9, 9) for _ in range(1000)]
    assert np.mean([each.low <= 0.5 <= each.high for each in found]) == pytest.approx(0.95, abs=0.02)


def test_the_mean_of_one_expert_has_no_interval():
    assert estimate_mean([0.8], 0, 1) == Estimate(0.8) and Estimate(0.8).interval is None
