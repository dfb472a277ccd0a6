"""`train --cache`: the branches learn from kept features what they would learn from the images."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import timm
from safetensors.torch import load_file
from support.training_runs import TREE, dataset, small

from timm_nhl.train import train


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Settings of a training with a frozen trunk, without a batch norm or a random part after it."""
    folder = tmp_path_factory.mktemp("cached")
    data = dataset(folder / "noise")
    nested = timm.create_model("test_resnet_nhl", hierarchy=TREE)
    timm.models.save_for_hf(nested, str(folder / "nested"), safe_serialization=True)
    kwargs = ["widths=8,4,4 expansion=2 norm=group"]
    return small(data, trunk_from=str(folder / "nested"), freeze_trunk=True, model_kwargs=kwargs, opt="sgd", lr=0.01)


def distance(one, other):
    """The largest difference of two sets of weights."""
    return max((one[name].float() - other[name].float()).abs().max().item() for name in one)


def read_rows(out):
    return list(csv.DictReader((out / "metrics.csv").open()))


def test_a_cached_training_is_the_training(frozen, tmp_path, capsys):
    plain = train(replace(frozen, out=str(tmp_path / "plain")))
    cached = train(replace(frozen, out=str(tmp_path / "cached"), cache=str(tmp_path / "features")))
    assert "features of 2 views of 26 images" in (said := capsys.readouterr().err)
    assert "computed 52 in" in said and "2 epochs would compute 52 without it" in said
    fewer = train(replace(frozen, out=str(tmp_path / "fewer"), cache=str(tmp_path / "features"), cache_views=1))
    one, other, one_view = (load_file(out / "last" / "model.safetensors") for out in (plain, cached, fewer))
    assert one.keys() == other.keys()  # the trunk is saved, too
    assert 0 < distance(one, other) < 5e-3 and distance(one, one_view) > 2 * distance(one, other)
    for row, same in zip(read_rows(plain), read_rows(cached), strict=True):
        assert float(same["eval_loss"]) == pytest.approx(float(row["eval_loss"]), abs=5e-3)


def test_epochs_take_fewer_views_in_turn_and_a_second_run_computes_none(frozen, tmp_path, capsys):
    settings = replace(frozen, cache=str(tmp_path / "features"), cache_views=1, epochs=3, patience=0, model_ema=True)
    train(replace(settings, out=str(tmp_path / "one")))
    assert "computed 26 in" in capsys.readouterr().err
    out = train(replace(settings, out=str(tmp_path / "two"), seed=settings.seed, lr=0.01))
    assert "all were there" in capsys.readouterr().err
    assert len(read_rows(out)) == 3 and read_rows(out)[-1]["ema_top1"]
