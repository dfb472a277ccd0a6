"""Closed-form fits: they find what is linear, and bring a network closer to the flat one without a step of descent."""

from __future__ import annotations

import csv
from dataclasses import replace

import torch
from safetensors.torch import load_file
from support.flat import converting
from support.training_runs import dataset

from timm_nhl.converting import convert
from timm_nhl.converting.fit import fit_level, regress
from timm_nhl.models.levels import Branch, Level


def test_a_regression_finds_the_weights():
    x, weight, offset = torch.randn(500, 4), torch.randn(3, 4), torch.randn(3)
    found, constant = regress(x, x @ weight.T + offset)
    torch.testing.assert_close(found, weight, rtol=0.05, atol=0.05)
    torch.testing.assert_close(constant, offset, rtol=0.05, atol=0.05)


def test_branches_give_the_channels_that_tell_their_classes_where_these_are_linear():
    level = Level([2, 1], 8, Branch(width=4, expansion=2)).eval()
    x = torch.rand(40, 16, 4, 4)
    mix = torch.cat((torch.rand(12, 8), torch.zeros(12, 8)), 1)  # of the first parent's channels
    maps = torch.einsum("dc,mchw->mdhw", mix, x) + 1  # positive, so that the activation changes nothing
    relevance = torch.rand(3, 12)
    with torch.no_grad():
        fit_level(level, x, maps, relevance)
        y = level(x).unflatten(1, (3, 8))
    for node in (0, 1):
        wanted = maps[:, relevance[node].topk(8).indices]
        wanted = wanted / wanted.std((0, 2, 3), keepdim=True)
        assert (y[:, node] - wanted).abs().mean() < 0.15


def test_leaves_that_are_fitted_one_by_one_are_the_same(flat, data, cache, tmp_path, monkeypatch):
    settings = converting(flat, data, tmp_path / "together", steps="init,fit", cache=cache)
    together = load_file(convert(settings) / "last" / "model.safetensors")
    monkeypatch.setattr("timm_nhl.converting.fit.TOGETHER", 1)
    alone = load_file(convert(replace(settings, out=str(tmp_path / "alone"))) / "last" / "model.safetensors")
    for name, value in together.items():
        torch.testing.assert_close(alone[name], value, rtol=1e-3, atol=1e-4)


def test_a_fit_agrees_more_with_the_flat_network_than_random_branches(flat, cache, tmp_path):
    data = dataset(tmp_path / "noise", images=60)
    agreement = {}
    for steps in ("init", "init,fit"):
        out = convert(converting(flat, data, tmp_path / steps, steps=steps, no_labels=True, cache=cache))
        with (out / "metrics.csv").open() as file:
            (row,) = csv.DictReader(file)
        agreement[steps] = float(row["agreement"])
    assert agreement["init,fit"] > agreement["init"] + 20
