"""`train --grow`: the trained model is a plain NHL that keeps every old weight, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from support.growing import assert_kept, save_small
from support.training_runs import TREE, dataset, run
from support.training_runs import small as settings_of

import timm_nhl
from timm_nhl.export import load
from timm_nhl.train import train

OLD = TREE.at((4, 0, 1, 3))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained model of four of the six classes, with its own input size."""
    return save_small(OLD, tmp_path_factory.mktemp("models") / "four")


def growing(data, trained, out, **values):
    """Settings that grow a model, with weight decay, a moving average and everything random."""
    everything = {
        "model": "resnet50_nhl",  # the default, which --grow ignores
        "model_kwargs": None,
        "img_size": None,
        "grow": str(trained),
        "opt": "adamw",
        "weight_decay": 0.1,
        "mixup": 0.2,
        "clip_grad": 1.0,
        "layer_decay": 0.8,
        "model_ema": True,
        "model_ema_decay": 0.7,
        "grad_checkpointing": True,
    }
    return settings_of(data, out, **{**everything, **values})


def test_a_killed_growth_ends_with_the_same_bits_and_all_old_ones(data, trained, tmp_path):
    settings, before = growing(data, trained, tmp_path / "calm"), load(trained)
    killed = replace(settings, out=str(tmp_path / "killed"))
    assert run(settings) == [0]
    assert run(killed, kill=("timm_nhl.train.trainer", "Trainer.optimizer_step", 8)) == [-9]
    assert (tmp_path / "killed" / "resume.pt").exists()
    assert run(killed) == [0]
    for name in ("last", "best"):
        ended, calm = (load_file(tmp_path / run / name / "model.safetensors") for run in ("killed", "calm"))
        assert all(torch.equal(ended[key], calm[key]) for key in ended.keys() | calm.keys())
        grown = load(tmp_path / "killed" / name)
        assert grown.hierarchy == TREE
        assert grown.pretrained_cfg["input_size"] == (3, 32, 32)
        assert_kept(grown, before)


def test_two_processes_grow_and_keep_every_old_bit(data, trained, tmp_path):
    layout = {"epochs": 1, "batch_size": 2, "amp": True, "channels_last": True, "grad_accum_steps": 2}
    assert run(growing(data, trained, tmp_path / "run", **layout), processes=2) == [0, 0]
    assert_kept(load(tmp_path / "run" / "last"), load(trained))


def test_with_freeze_trunk_old_branches_learn_too_from_kept_features(data, trained, tmp_path):
    values = {"mixup": 0.0, "layer_decay": None, "grad_checkpointing": False, "cache_views": 2}
    settings = growing(data, trained, tmp_path / "run", freeze_trunk=True, cache=str(tmp_path / "cache"), **values)
    grown, before = load(train(settings) / "last"), load(trained)
    assert grown.hierarchy == TREE
    mine, theirs = grown.trunk.state_dict(), before.trunk.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in theirs.items())
    old, changed = before.state_dict(), grown.expert(OLD.classes).state_dict()
    assert not any(torch.equal(old[name], changed[name]) for name in old if name.endswith("fc.weight"))


def test_a_growth_reports_how_much_it_trains_and_saves_the_last_weights(data, trained, tmp_path, capsys):
    train(growing(data, trained, tmp_path / "run", model_ema=False, epochs=1))
    growth = timm_nhl.grow(load(trained), TREE)
    fresh, every = (sum(value.numel() for value in each()) for each in (growth.fresh_parameters, growth.parameters))
    assert f"growing 4 classes to 6: {fresh:,} of {every:,} parameters" in capsys.readouterr().err
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["trainer"]["model"]
    grown = load(tmp_path / "run" / "last").state_dict()
    growth.load_state_dict(state)
    assert all(torch.equal(value, grown[name]) for name, value in growth.grown().state_dict().items())
