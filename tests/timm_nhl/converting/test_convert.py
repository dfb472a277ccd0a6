"""Converting a flat classifier: its trunk stays, its answers are learned, a stopped conversion goes on."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.flat import converting, save_flat
from support.training_runs import TREE, dataset, small
from typer.testing import CliRunner

import hierarchy
import timm_nhl
from timm_nhl.cli.main import app
from timm_nhl.converting import convert
from timm_nhl.converting.images import open_splits
from timm_nhl.errors import TrainingError
from timm_nhl.export import load_model
from timm_nhl.train import RunDir
from timm_nhl.train.splits import open_splits as train_splits


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_trunk_is_the_flat_networks_own_and_the_branches_learn(data, flat, cache, tmp_path):
    out = convert(converting(flat, data, tmp_path / "out", cache=cache))
    nested, before = timm_nhl.load(out / "last"), load_model(flat).state_dict()
    for name, value in nested.trunk.net.state_dict().items():
        assert torch.equal(value, before[name]), name
    rows = rows_of(out)
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(4)]
    assert float(rows[-1]["loss"]) < float(rows[1]["loss"])
    assert nested.hierarchy == TREE and timm_nhl.load(out / "best").expert([TREE.classes[2]]).hierarchy.classes


def test_the_networks_own_answers_teach_where_there_are_no_labels(data, flat, cache, tmp_path):
    out = convert(converting(flat, data, tmp_path / "out", no_labels=True, epochs=1, cache=cache))
    row = rows_of(out)[-1]
    assert float(row["ce"]) == 0 and float(row["kl"]) > 0
    assert "eval_top1" not in row and 0 <= float(row["agreement"]) <= 100


def test_classes_that_the_flat_network_does_not_have_are_learned_from_labels(data, tmp_path):
    half = save_flat(tmp_path / "half", classes=TREE.classes[:3])
    out = convert(converting(half, data, tmp_path / "out", classes=[TREE.classes[1], TREE.classes[4]], epochs=1))
    assert timm_nhl.load(out / "last").hierarchy == TREE.at([1, 4])
    row = rows_of(out)[-1]
    assert float(row["kl"]) > 0 and float(row["ce"]) > 0


def test_without_a_hierarchy_all_classes_share_one_group(tmp_path, capsys):
    alone, data = save_flat(tmp_path / "alone", hierarchy=None), Path(dataset(tmp_path / "data"))
    (data / "hierarchy.json").unlink()
    out = convert(converting(alone, data, tmp_path / "out", epochs=1))
    assert timm_nhl.load(out / "last").hierarchy == hierarchy.Hierarchy.flat(TREE.classes)
    assert f"no hierarchy: the 6 classes of {alone!r} share one superclass and one group" in capsys.readouterr().err


def test_without_a_hierarchy_classes_have_the_names_of_their_source(data, tmp_path):
    alone, bare = save_flat(tmp_path / "alone", hierarchy=None), tmp_path / "bare"
    shutil.copytree(data, bare)
    (bare / "hierarchy.json").unlink()
    (tmp_path / "classes.csv").write_text("id,name\n" + "".join(f"{id},thing {id[-1]}\n" for id in TREE.classes))
    labels = str(tmp_path / "classes.csv")
    out = convert(converting(alone, bare, tmp_path / "out", labels=labels, classes=["thing 1"], steps="init"))
    assert timm_nhl.load(out / "last").hierarchy.classes == (TREE.classes[1],)


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory):
    """A dataset without a validation split."""
    return dataset(tmp_path_factory.mktemp("data") / "noise", images=40, splits=("train",))


def test_a_training_a_conversion_and_their_evaluation_hold_out_the_same_images(unsplit, flat, tmp_path):
    settings = converting(flat, unsplit, tmp_path / "out", val_split=None, steps="init")
    row, held = rows_of(convert(settings))[-1], open_splits(settings, TREE).val_images
    other = TREE.at([5, 3, 4, 0, 1, 2])  # the same classes with other numbers
    hierarchy.save(other, tmp_path / "other.json")
    of_training = train_splits(small(unsplit, val_split=None, seed=42, hierarchy=str(tmp_path / "other.json")))
    assert list(held.rows) == list(of_training.val_images.rows)
    command = ["evaluate", str(tmp_path / "out" / "last"), unsplit, "--split", "validation", "--json"]
    done = CliRunner().invoke(app, [*command, "--workers", "0", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    full = json.loads(done.stdout)["rows"][0]
    assert full["images"] == len(held) == 6
    assert 100 * full["top1"]["value"] == pytest.approx(float(row["eval_top1"]), abs=1e-3)


def test_images_without_labels_are_held_out_too(unsplit, flat, tmp_path):
    splits = open_splits(converting(flat, unsplit, tmp_path, val_split=None, no_labels=True), TREE)
    assert (len(splits.images), len(splits.val_images), splits.share) == (32, 8, 0.2)
    assert set(splits.images.rows) | set(splits.val_images.rows) == set(range(40))


def test_as_many_images_are_held_out_as_are_asked_for(unsplit, flat, tmp_path):
    splits = open_splits(converting(flat, unsplit, tmp_path, val_split=None, val_share=0.5), TREE)
    assert splits.share == 0.5 and len(splits.val_images) >= 18


def test_a_timm_model_with_the_weights_of_a_file_is_converted(data, flat, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(TREE.classes))
    files = {"weights": f"{flat}/model.safetensors", "labels": str(tmp_path / "names.txt")}
    out = convert(converting("test_resnet", data, tmp_path / "out", steps="init", **files))
    trunk, before = timm_nhl.load(out / "last").trunk.net.state_dict(), load_model(flat).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in trunk.items())
    (row,) = rows_of(out)
    assert row["epoch"] == "0" and 0 <= float(row["teacher_top1"]) <= 100


def test_images_have_the_size_that_is_asked_for(data, flat, tmp_path):
    out = convert(converting(flat, data, tmp_path / "out", steps="init", img_size=64))
    assert timm_nhl.load(out / "last").pretrained_cfg["input_size"] == (3, 64, 64)
    (kept,) = (out / "features").glob("*/*.safetensors")
    assert load_file(kept)["trunk"].shape[2:] == (4, 4)  # 2 x 2 of 32 pixels


@pytest.mark.parametrize("written", [1, 2, 3])  # after init, after the fit, after the first epoch
def test_a_stopped_conversion_ends_with_the_same_bits(data, flat, cache, tmp_path, monkeypatch, written):
    shared = {"epochs": 2, "cache": cache}
    calm = convert(converting(flat, data, tmp_path / "calm", **shared))
    save, calls = RunDir.save_epoch, []

    def stop(self, *rest):
        if len(calls) == written:
            raise KeyboardInterrupt
        calls.append(self)
        save(self, *rest)

    stopped = converting(flat, data, tmp_path / "stopped", **shared)
    with monkeypatch.context() as patch:
        patch.setattr(RunDir, "save_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            convert(stopped)
    again = convert(stopped)
    expected, found = (load_file(folder / "last" / "model.safetensors") for folder in (calm, again))
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_further_steps_go_on_in_the_same_folder(data, flat, cache, tmp_path, capsys):
    at_once = convert(converting(flat, data, tmp_path / "once", cache=cache, epochs=1))
    for steps in ("init", "init,fit", "init,fit,distil"):
        own = converting(flat, data, tmp_path / "more", cache=cache, epochs=1, steps=steps, cache_gb=2.0)
        out = convert(own)
    expected, found = (load_file(folder / "last" / "model.safetensors") for folder in (at_once, out))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert convert(own) == out  # nothing is left to do
    said = capsys.readouterr().err
    assert said.count("init: accuracy") == 2 and said.count("fit: accuracy") == 2
    assert re.search(r"features of 2 views of (\d+) images: .*; 1 epoch would compute \1 without it", said)
    convert(converting(flat, data, tmp_path / "unfitted", cache=cache, epochs=1, steps="init,distil"))
    with pytest.raises(TrainingError, match="distilled without --steps fit"):
        convert(converting(flat, data, tmp_path / "unfitted", cache=cache, epochs=1))
