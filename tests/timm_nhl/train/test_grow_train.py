"""`train --grow`: what it writes is a plain NHL with every old bit in it, however the training went."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from support.growing import assert_kept, small
from support.training_runs import TREE, dataset, run
from support.training_runs import small as settings_of

import timm_nhl
from timm_nhl.export import load, save
from timm_nhl.train.loop import train

OLD = TREE.at((4, 0, 1, 3))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained model of four of six classes, whose input size is not the backbone's."""
    folder = tmp_path_factory.mktemp("models") / "four"
    model = small(OLD)
    model.pretrained_cfg["input_size"] = (3, 32, 32)
    save(model, folder)
    return folder


def growing(data, trained, **values):
    """Settings that grow a model, with weight decay, a moving average and everything random."""
    everything = {
        "model": "resnet50_nhl",  # the default, which stands for nothing here
        "model_kwargs": (),
        "img_size": None,
        "grow": str(trained),
        "opt": "adamw",
        "weight_decay": 0.1,
        "mixup": 0.2,
        "clip_grad": 1.0,
        "layer_decay": 0.8,
        "level_loss": (0.1, 0.2),
        "model_ema": True,
        "model_ema_decay": 0.7,
        "grad_checkpointing": True,
        "save_every": 2,
    }
    return settings_of(data, **{**everything, **values})


@pytest.mark.slow
def test_a_growth_that_was_killed_ends_with_the_same_bits_and_all_old_ones(data, trained, tmp_path):
    settings, before = growing(data, trained), load(trained)
    assert run(settings, tmp_path / "calm") == [0]
    assert run(settings, tmp_path / "killed", kill=31) == [-9]
    assert (tmp_path / "killed" / "resume.pt").exists()
    assert run(settings, tmp_path / "killed") == [0]
    for name in ("last", "best"):
        ended, calm = (load_file(tmp_path / run / name / "model.safetensors") for run in ("killed", "calm"))
        assert all(torch.equal(ended[key], calm[key]) for key in ended.keys() | calm.keys())
        grown = load(tmp_path / "killed" / name)
        assert grown.hierarchy == TREE
        assert grown.pretrained_cfg["input_size"] == (3, 32, 32)
        assert_kept(grown, before)


def test_two_processes_grow_and_keep_every_old_bit(data, trained, tmp_path):
    settings = growing(data, trained, epochs=1, batch_size=2, amp=True, channels_last=True, grad_accum_steps=2)
    assert run(settings, tmp_path / "run", processes=2) == [0, 0]
    assert_kept(load(tmp_path / "run" / "last"), load(trained))


def test_a_growth_says_how_much_it_trains_and_saves_the_fresh_weights_of_the_last_step(data, trained, tmp_path, capsys):
    train(growing(data, trained, model_ema=False, epochs=1), out=tmp_path / "run")
    growth = timm_nhl.grow(load(trained), TREE)
    fresh, every = (sum(value.numel() for value in each()) for each in (growth.fresh_parameters, growth.parameters))
    assert f"growing 4 classes to 6: {fresh:,} of {every:,} parameters are trained" in capsys.readouterr().err
    state = torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["learner"]["model"]
    grown = load(tmp_path / "run" / "last")
    rows = sorted(TREE.ancestors(3)[label] for label, id in enumerate(TREE.classes) if id not in OLD.classes)
    assert torch.equal(grown.head.fc.weight[rows], state["head.fc.weight"])
    assert torch.equal(grown.levels[2].blocks[0].reduce.weight[rows], state["levels.2.blocks.0.reduce.weight"])
