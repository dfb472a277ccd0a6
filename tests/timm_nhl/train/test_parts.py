"""The parts of training against slow, obvious versions of themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.training_runs import TREE, dataset
from support.trees import hierarchies
from timm.data import create_transform, resolve_data_config
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

from timm_nhl.data.augment import erasing_of, transform_of
from timm_nhl.data.images import eval_batches, open_images, train_batches
from timm_nhl.data.sampler import Order
from timm_nhl.data.seeds import STEP, generator, seed_all
from timm_nhl.train.config import AugmentSettings
from timm_nhl.train.losses import LevelLoss


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    source = dataset(tmp_path_factory.mktemp("data") / "noise", images=14, side=40)
    return open_images(source, hierarchy=TREE, split="train")


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
def test_the_loss_of_levels_is_that_of_its_definition(tree, weights):
    logits, mixed = 3 * torch.randn(4, len(tree)), torch.rand(4, len(tree)).softmax(-1)
    expected = obvious_level_loss(logits, mixed, tree, weights)
    assert LevelLoss(tree, weights=weights)(logits, mixed).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_without_levels_it_is_timms_loss():
    logits, target = torch.randn(5, 6), torch.tensor([0, 1, 2, 3, 5])
    plain = LevelLoss(TREE, weights=(0.0, 0.0), smoothing=0.1)
    torch.testing.assert_close(plain(logits, target), LabelSmoothingCrossEntropy(0.1)(logits, target))
    mixed = torch.rand(5, 6).softmax(-1)
    torch.testing.assert_close(plain(logits, mixed), SoftTargetCrossEntropy()(logits, mixed))


def test_the_loss_of_levels_stays_finite_where_a_node_is_out_of_reach():
    logits = torch.full((1, 6), -300.0)
    logits[0, 0] = 300.0
    logits.requires_grad_()
    far = max(label for label in range(6) if TREE.ancestors(1)[label] != TREE.ancestors(1)[0])
    loss = LevelLoss(TREE, weights=(1.0, 1.0))(logits, torch.tensor([far]))
    loss.backward()
    assert loss.item() == pytest.approx(1800, rel=1e-3)  # 600 for each of three levels
    assert torch.isfinite(logits.grad).all()


@given(
    images=st.integers(12, 40),
    batch=st.integers(1, 3),
    micro=st.integers(1, 2),
    processes=st.integers(1, 2),
    start=st.integers(0, 9),
)
def test_an_order_takes_every_image_at_most_once_an_epoch_in_any_layout(images, batch, micro, processes, start):
    order = Order(images, batch, 7, micro_batches=micro, processes=processes)
    whole = Order(images, batch * micro * processes, 7)
    assert order.steps_per_epoch == whole.steps_per_epoch == images // whole.batch_size
    steps = range(start, start + 5)
    parts = [list(order.batches(steps, process=process)) for process in range(processes)]
    for step, expected in zip(range(len(steps)), whole.batches(steps), strict=True):
        of_step = [parts[process][step * micro + number] for number in range(micro) for process in range(processes)]
        assert [draw for part in of_step for draw in part] == expected  # the same batch, in the same order
    epoch = [draw for batch_ in whole.batches(range(whole.steps_per_epoch)) for draw in batch_]
    assert len({draw.number for draw in epoch}) == len(epoch) and {draw.epoch for draw in epoch} == {0}
    later = [
        draw for batch_ in whole.batches(range(whole.steps_per_epoch, 2 * whole.steps_per_epoch)) for draw in batch_
    ]
    assert [draw.number for draw in later] != [draw.number for draw in epoch]


def test_seeds_are_of_the_place_alone():
    def drawn(*where):
        seed_all(42, STEP, *where)
        import random

        return random.random(), np.random.rand(), torch.rand(1).item()

    first = drawn(3, 0)
    assert drawn(3, 1) != first and drawn(3, 0) == first
    assert len({value for where in range(50) for value in drawn(where)}) == 150
    assert generator(1, 1, 5).random() != generator(1, 2, 5).random()


def test_a_training_image_depends_on_its_epoch_and_number_only(images):
    config = resolve_data_config({"img_size": 32}, model=timm.create_model("test_resnet"))
    settings = AugmentSettings(aa="rand-m9-mstd0.5", reprob=0.7)

    def batches(order, steps, workers=0):
        transform, erasing = transform_of(settings, config), erasing_of(settings, torch.device("cpu"))
        return list(
            train_batches(
                images, config, transform=transform, erasing=erasing, order=order, steps=steps, workers=workers
            )
        )

    fours = batches(Order(14, 4, 1), range(6))
    twos = batches(Order(14, 2, 1), range(14), workers=1)
    draws = [draw for batch in Order(14, 2, 1).batches(range(14)) for draw in batch]
    of_draw = dict(zip(draws, (image for x, _ in twos for image in x), strict=True))
    for (x, target), batch in zip(fours, Order(14, 4, 1).batches(range(6)), strict=True):
        for image, label, draw in zip(x, target, batch, strict=True):
            assert torch.equal(image, of_draw[draw]) and label == images.labels[draw.number]
    late = batches(Order(14, 4, 1), range(4, 6))
    assert all(torch.equal(x, y) for (x, _), (y, _) in zip(late, fours[4:], strict=True))
    again = {draw.number: of_draw[draw] for draw in draws if draw.epoch == 1}
    assert not any(torch.equal(of_draw[draw], again[draw.number]) for draw in draws if draw.epoch == 0)


def test_evaluation_sees_images_as_timm_shows_them(images):
    config = resolve_data_config({"img_size": 32}, model=timm.create_model("test_resnet"))
    transform = create_transform(**config)
    batches = list(eval_batches(images, config, batch_size=5))
    x, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
    expected = torch.stack([transform(images[number][0]) for number in range(len(images))])
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)
    assert target.tolist() == images.labels.tolist()


def test_every_process_evaluates_its_part(images):
    parts = [images.part(number, 3) for number in range(3)]
    assert sorted(row for part in parts for row in part.rows) == list(images.rows)
    assert all(isinstance(part[0][0], Image.Image) for part in parts)
