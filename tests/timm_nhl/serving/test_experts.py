"""Many experts of one network in one process."""

from __future__ import annotations

import random
import threading
import time

import pytest
import torch
from support.small_models import create, images
from support.trees import scrambled

import timm_nhl
from timm_nhl.costs import cost
from timm_nhl.errors import OptionError


@pytest.fixture(scope="module")
def model():
    return scrambled(create(global_pool="avg")).eval()


def serve(experts, seconds, seed, x, expected, wrong):
    """Opens and runs experts of random classes until the time is up."""
    draw, end = random.Random(seed), time.monotonic() + seconds
    classes = experts.model.hierarchy.classes
    while time.monotonic() < end:
        labels = sorted(draw.sample(range(len(classes)), draw.randint(1, 5)))
        with torch.inference_mode():
            found = experts.open([classes[label] for label in labels])(x)
        if not torch.allclose(found, expected[:, labels], rtol=1e-4, atol=1e-4):
            wrong.append(labels)


@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.slow)])
def test_eight_threads_get_the_networks_own_answers(seconds, model):
    x = images(model, batch=1)[..., :32, :32]
    with torch.inference_mode():
        expected = model(x)
    experts, wrong = timm_nhl.Experts(model, size=16), []
    threads = [threading.Thread(target=serve, args=(experts, seconds, seed, x, expected, wrong)) for seed in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong and 0 < len(experts) <= 16


def test_the_one_opened_longest_ago_is_dropped(model):
    experts = timm_nhl.Experts(model, size=2)
    first, second = experts.open("class 0001"), experts.open("class 0002")
    assert experts.open("class 0001") is first
    experts.open(["class 0003"])
    assert experts.open(["n0001"]) is first and experts.open("class 0002") is not second


def test_dtype_and_mode_of_one_are_its_own(model):
    experts = timm_nhl.Experts(model)
    one, other = experts.open("super 00"), experts.open("super 01")
    one.half().train()
    assert next(other.parameters()).dtype == next(model.parameters()).dtype == torch.float32
    assert not other.training and not model.training


def test_costs_are_those_of_the_experts(model):
    found = timm_nhl.Experts(model).cost(["class 0003", "class 0007"])
    built = cost(model.expert(["class 0003", "class 0007"]))
    assert (found.params, found.macs) == (built.params, built.macs)


def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(OptionError, match=r"^size=0 keeps no expert; use 1 or more$"):
        timm_nhl.Experts(model, size=0)
    with pytest.raises(OptionError, match=r"the model is in train mode; call model.eval\(\)$"):
        timm_nhl.Experts(create().train())
