"""`train --finetune`: a saved model, nested or plain, whole or an expert, is trained further as it is."""

from __future__ import annotations

import pytest
import timm
import torch
from support.growing import save_small
from support.training_runs import TREE, dataset
from support.training_runs import small as settings_of

from hierarchy import Hierarchy
from hierarchy import load as load_hierarchy
from hierarchy.dataset import HIERARCHY_FILE
from timm_nhl.export import list_label_names, load, load_model, save, write_files
from timm_nhl.train import train
from timm_nhl.train.splits import open_splits


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained model of all six classes, with its own input size."""
    return save_small(TREE, tmp_path_factory.mktemp("models") / "six")


def finetuning(data, folder, out, **values):
    """Settings that fine-tune a model for one step of no length, so that its weights stay, unless told otherwise."""
    kept = {"model": "resnet50_nhl", "model_kwargs": None, "img_size": None, "finetune": str(folder)}
    return settings_of(data, out, **{**kept, "epochs": 1, "lr": 1e-12, "weight_decay": 0.0, **values})


def weights(model):
    return dict(model.named_parameters())


def assert_same_weights(model, other):
    theirs = weights(other)
    assert all(torch.allclose(value, theirs[name], atol=1e-6) for name, value in weights(model).items())


def test_a_fine_tuned_model_starts_from_the_saved_weights_and_keeps_its_shape(data, trained, tmp_path):
    before, after = load(trained), load(train(finetuning(data, trained, tmp_path / "run")) / "last")
    assert after.hierarchy == before.hierarchy
    assert after.pretrained_cfg["input_size"] == (3, 32, 32)
    assert_same_weights(after, before)


def test_fine_tuning_trains_every_weight(data, trained, tmp_path):
    before, after = (
        weights(load(folder))
        for folder in (trained, train(finetuning(data, trained, tmp_path / "run", epochs=2, lr=0.01)) / "last")
    )
    assert not [name for name, value in after.items() if torch.equal(value, before[name])]


def test_with_freeze_trunk_the_trunk_stays(data, trained, tmp_path):
    settings = finetuning(data, trained, tmp_path / "run", lr=0.01, freeze_trunk=True)
    before, after = load(trained), load(train(settings) / "last")
    theirs = before.state_dict()
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, theirs[name])}
    assert not [name for name in changed if name.startswith("trunk.")]
    assert {name for name in weights(after) if not name.startswith("trunk.")} <= changed


def test_an_expert_is_fine_tuned_on_the_data_of_all_classes(data, trained, tmp_path, capsys):
    expert = load(trained).expert(TREE.classes[1:4])
    save(expert, tmp_path / "expert")
    after = load(train(finetuning(data, tmp_path / "expert", tmp_path / "run")) / "last")
    assert after.hierarchy == expert.hierarchy
    assert_same_weights(after, expert)
    assert "left out: 26 images of classes that the model does not have" in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"finetune": "expert"}, {"classes": [*TREE.classes[1:4]]}])
def test_what_is_held_out_of_some_classes_is_what_all_classes_hold_out(trained, tmp_path, values, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(load(trained).expert(TREE.classes[1:4]), "expert")
    settings = {"model_kwargs": None, "img_size": None, "val_split": None, "val_share": 0.3}
    source = dataset("unsplit", images=60, splits=("train",))
    every, some = (open_splits(settings_of(source, "run", **{**settings, **given})) for given in ({}, values))
    assert set(some.val_images.rows) < set(every.val_images.rows) and set(some.images.rows) < set(every.images.rows)
    assert some.images.classes == TREE.classes[1:4]


def test_without_a_hierarchy_in_the_data_the_models_own_numbers_them(trained, tmp_path):
    bare = dataset(tmp_path / "bare")
    (tmp_path / "bare" / HIERARCHY_FILE).unlink()
    assert load(train(finetuning(bare, trained, tmp_path / "run")) / "last").hierarchy == TREE


def test_the_models_own_groups_and_order_are_kept_whatever_the_data_say(trained, tmp_path):
    other = Hierarchy(TREE.classes[::-1], TREE.names[::-1], TREE.groups)
    regrouped = dataset(tmp_path / "regrouped", tree=other)
    folder = train(finetuning(regrouped, trained, tmp_path / "run")) / "last"
    assert load(folder).hierarchy == load_hierarchy(folder / HIERARCHY_FILE) == TREE


def test_a_plain_model_is_fine_tuned_in_the_order_of_its_outputs(data, tmp_path):
    plain = save_plain(tmp_path / "plain", TREE.classes[::-1])
    splits = open_splits(finetuning(data, tmp_path / "plain", "run"))
    assert splits.images.classes == TREE.classes[::-1]
    after = load_model(train(finetuning(data, tmp_path / "plain", tmp_path / "run")) / "last")
    assert not hasattr(after, "trunk") and list_label_names(after) == TREE.classes[::-1]
    assert_same_weights(after, plain)


def save_plain(folder, classes):
    plain = timm.create_model("test_resnet", num_classes=len(classes))
    plain.pretrained_cfg["input_size"] = (3, 32, 32)
    folder.mkdir()
    write_files(plain, folder, label_names=classes)
    return plain
