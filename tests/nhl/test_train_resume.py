"""A training that is killed, again and again, ends with the weights it would have had: bit for bit."""

from __future__ import annotations

import csv
import random

import pytest
import torch
from training_runs import dataset, run, small

RANDOM = {  # everything that draws random numbers, and everything that has a state
    "opt": "adamw",
    "lr": 0.002,
    "mixup": 0.2,
    "cutmix": 0.5,
    "reprob": 0.5,
    "aa": "rand-m5-mstd0.5",
    "drop": 0.2,
    "drop_path": 0.2,
    "model_ema": True,
    "model_ema_decay": 0.9,
    "model_ema_warmup": True,
    "model_kwargs": ("widths=8,4,4 expansion=2 drop=0.1",),
    "grad_accum_steps": 2,
    "clip_grad": 1.0,
    "level_loss": (0.1, 0.2),
    "save_every": 2,
    "epochs": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


def left_by(folder):
    """What a training left: its state, the bytes of its models, and its table without times."""
    state = torch.load(folder / "resume.pt", weights_only=True)
    models = {name: (folder / name / "model.safetensors").read_bytes() for name in ("last", "best")}
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    for row in (*rows, *state["progress"]["rows"]):
        del row["seconds"]
    return state, models, rows


def same(one, other):
    """Whether two values are equal, tensors within them bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(("processes", "batch_size"), [(1, 4), (2, 2)])
def test_a_training_killed_at_random_places_ends_with_the_same_bits(data, tmp_path, processes, batch_size):
    settings = small(data, **RANDOM, batch_size=batch_size)
    assert run(settings, tmp_path / "calm", processes=processes) == [0] * processes
    draw, kills = random.Random(processes), 0
    while True:
        kill = draw.randrange(5, 90)
        codes = run(settings, tmp_path / "killed", processes=processes, kill=kill)
        if codes == [0] * processes:
            break
        assert codes[0] == -9
        kills += 1
        assert kills < 30
    assert kills >= 2
    assert same(left_by(tmp_path / "killed"), left_by(tmp_path / "calm"))
    assert not list((tmp_path / "killed").glob(".*"))
