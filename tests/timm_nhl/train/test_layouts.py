"""The same training in another layout (processes, micro batches, workers) gives the same weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from support.training_runs import dataset, run, small

# 20 steps of plain descent: Adam would divide differences of rounding by tiny gradients
STEPS = {"opt": "sgd", "lr": 0.05, "epochs": 5, "batch_size": 8, "reprob": 0.3, "aa": "rand-m5-mstd0.5"}
GROUP_NORM = {"model": "test_convnext_nhl", "model_kwargs": ("widths=8,4,4 expansion=2 norm=group",)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise", images=34)


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """The weights of one process with the whole batch."""
    return weights(small(data, **STEPS, **GROUP_NORM), tmp_path_factory.mktemp("runs") / "alone")


def weights(settings, out, *, processes=1, steps=20):
    """What a training ends with after so many steps."""
    assert run(settings, out, processes=processes) == [0] * processes
    assert torch.load(out / "resume.pt", weights_only=True)["progress"]["step"] == steps
    return load_file(out / "last" / "model.safetensors")


def furthest(some, others):
    """The largest difference between two sets of weights, of those above 1 relative to the largest of their tensor."""
    assert some.keys() == others.keys()
    differences = ((some[name].double() - others[name].double()).abs().max() for name in some)
    sizes = (some[name].double().abs().max().clamp(min=1.0) for name in some)
    return max((difference / size).item() for difference, size in zip(differences, sizes, strict=True))


def test_two_processes_equal_one_with_the_doubled_batch(data, alone, tmp_path):
    halves = weights(small(data, **{**STEPS, "batch_size": 4}, **GROUP_NORM), tmp_path / "two", processes=2)
    assert furthest(halves, alone) < 1e-5


def test_two_micro_batches_equal_one_of_the_doubled_size(data, alone, tmp_path):
    settings = small(data, **{**STEPS, "batch_size": 4, "grad_accum_steps": 2}, **GROUP_NORM)
    assert furthest(weights(settings, tmp_path / "micro"), alone) < 1e-5


def test_workers_change_nothing(data, alone, tmp_path):
    assert furthest(weights(small(data, **STEPS, **GROUP_NORM, workers=2), tmp_path / "workers"), alone) == 0


def test_another_seed_is_another_training(data, alone, tmp_path):
    assert furthest(weights(small(data, **STEPS, **GROUP_NORM, seed=43), tmp_path / "seed"), alone) > 1e-2
