"""The same training in another layout (processes, micro-batches) gives the same weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from support.training_runs import dataset, run, small

# plain gradient descent: Adam would divide differences of rounding by tiny gradients
STEPS = {
    "opt": "sgd",
    "model": "test_convnext_nhl",  # without batch norms, which see a process's own part of a batch
    "lr": 0.05,
    "epochs": 2,
    "batch_size": 8,
    "aa": "rand-m5-mstd0.5",
    "eval_every": 0,
}
LAYOUTS = {  # name -> settings, processes
    "one process": ({}, 1),
    "two processes": ({"batch_size": 4}, 2),
    "micro-batches": ({"batch_size": 4, "grad_accum_steps": 2}, 1),
    "another seed": ({"seed": 43}, 1),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The weights that each layout ends with."""
    folder = tmp_path_factory.mktemp("layouts")
    data = dataset(folder / "noise", images=34)
    weights = {}
    for name, (settings, processes) in LAYOUTS.items():
        assert (
            run(small(data, folder / name, **{**STEPS, "model_kwargs": KWARGS, **settings}), processes=processes)
            == [0] * processes
        )
        assert len(torch.load(folder / name / "resume.pt", weights_only=True)["rows"]) == 2
        weights[name] = load_file(folder / name / "last" / "model.safetensors")
    return weights


KWARGS = ["widths=8,4,4 expansion=2 norm=group"]


def distance(some, others):
    """The largest difference of two sets of weights, relative to the largest of a tensor if that is above 1."""
    assert some.keys() == others.keys()
    pairs = [(some[name].double(), others[name].double()) for name in some]
    return max(((one - other).abs().max() / one.abs().max().clamp(min=1)).item() for one, other in pairs)


@pytest.mark.xdist_group("layouts")
@pytest.mark.parametrize("name", ["two processes", "micro-batches"])
def test_parts_of_a_batch_equal_the_whole(trained, name):
    assert distance(trained[name], trained["one process"]) < 1e-5


@pytest.mark.xdist_group("layouts")
def test_another_seed_is_another_training(trained):
    assert distance(trained["another seed"], trained["one process"]) > 1e-2
