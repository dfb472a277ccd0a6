"""Training a router: its loss against a slow version of itself, and beside every other loss."""

from __future__ import annotations

import csv
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from support.training_runs import dataset, small
from support.trees import hierarchies_with_labels

import timm_nhl
from timm_nhl.train import train
from timm_nhl.train.losses import RouterLoss


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@given(hierarchies_with_labels(3), st.booleans())
def test_the_routers_loss_equals_its_definition(case, mixed):
    tree, labels = case
    part = tree.at(labels)
    columns = [tree.nodes(2).index(path) for path in part.nodes(2)]
    scores = 3 * torch.randn(4, tree.sizes[1])
    target = torch.rand(4, len(part)).softmax(-1) if mixed else torch.randint(len(part), (4,))
    expected = 0.0
    for row, wanted in zip(scores.double().tolist(), target.tolist(), strict=True):
        total = math.log(sum(math.exp(row[column]) for column in columns))
        for label, group in enumerate(part.ancestors(2)):
            aim = wanted[label] if mixed else float(label == wanted)
            expected -= aim * (row[columns[group]] - total) / 4
    assert RouterLoss(part, torch.tensor(columns))(scores, target).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"clip_grad": 0.5, "clip_mode": "agc"},
        {"model_ema": True, "model_ema_decay": 0.5},
        {"mixup": 0.2, "layer_decay": 0.9},
        pytest.param({"torchcompile": "eager"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_router_learns_beside_the_classes(data, tmp_path, options):
    out = train(
        small(
            data, tmp_path, router=True, epochs=4, patience=0, opt="adamw", lr=0.02, no_aug=True, hflip=0.0, **options
        )
    )
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert float(rows[-1]["router"]) < float(rows[0]["router"]) - 0.1
    model = timm_nhl.load(out / "last")
    assert model.router.scored == model.hierarchy.nodes(2)
    routed = model.route(torch.randn(2, 3, 32, 32), keep=1)
    assert routed.isinf().any(1).all()


def test_a_router_changes_no_other_weight(data, tmp_path):
    weights = {}
    for router in (False, True):
        out = train(small(data, tmp_path / str(router), router=router, epochs=2, drop=0.1, mixup=0.2))
        weights[router] = load_file(out / "last" / "model.safetensors")
    assert {name for name in weights[True] if name not in weights[False]} == {
        "router.fc.weight",
        "router.fc.bias",
        "router.norm.running_mean",
        "router.norm.running_var",
        "router.norm.num_batches_tracked",
    }
    assert weights[True]["router.fc.weight"].any()
    for name, value in weights[False].items():
        assert torch.equal(value, weights[True][name]), name


def test_the_weight_is_that_of_the_routers_loss(data, tmp_path):
    weights = {}
    for weight in (0.0, 0.5):
        out = train(small(data, tmp_path / f"{weight}", router=True, router_weight=weight, epochs=1))
        weights[weight] = load_file(out / "last" / "model.safetensors")
    assert not weights[0.0]["router.fc.weight"].any() and weights[0.5]["router.fc.weight"].any()
