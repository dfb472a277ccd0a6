"""What a training does with what people have: small folders, no validation split, no idea of a learning rate."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.training_runs import TREE, dataset, small
from typer.testing import CliRunner

import hierarchy
import timm_nhl.eval
from timm_nhl.cli.main import app
from timm_nhl.data import open_images
from timm_nhl.errors import TrainingError
from timm_nhl.train import Settings, train, try_out
from timm_nhl.train.settings import Facts, choose, complete, find_start
from timm_nhl.train.settings.defaults import STARTS
from timm_nhl.train.splits import open_splits

TINY = {"model": "test_resnet_nhl", "model_kwargs": ["widths=8,4,4 expansion=2"], "img_size": 32}
TINY |= {"epochs": 2, "workers": 0, "device": "cpu"}


def image_folder(root, counts, *, split="train", mode="RGB"):
    """Writes an image folder of noise, each class of its own brightness, and a hierarchy of its classes."""
    draw = np.random.default_rng(0)
    names = [f"thing{number:03}" for number in range(len(counts))]
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        folder = root / split / name
        if count:
            folder.mkdir(parents=True)
        for each in range(count):
            shape = (24, 24, 3) if mode == "RGB" else (24, 24)
            pixels = draw.integers(0, 40, shape) + 200 * number // len(counts)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{each}.png")
    rows = [(name, name, f"group {number // 4}", f"super {number // 8}") for number, name in enumerate(names)]
    hierarchy.save(hierarchy.Hierarchy.from_rows(rows), root / "hierarchy.json")
    return str(root)


FOLDERS = {  # images of each class, mode
    "2 classes of 10 images": ([10, 10], "RGB"),
    "100 classes of 5 images": ([5] * 100, "RGB"),
    "a class of 1 image and one of 100": ([1, 100], "RGB"),
    "grey images": ([8, 8, 8], "L"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_small_folder_trains_by_default(case, tmp_path, capsys):
    counts, mode = FOLDERS[case]
    out = train(Settings(image_folder(tmp_path / "data", counts, mode=mode), str(tmp_path / "run"), **TINY))
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert len(rows) == 2 and all(row["eval_top1"] for row in rows)
    said = capsys.readouterr().err
    assert "no validation split" in said and "chosen for" in said
    held = json.loads((out / "held_out.json").read_text())
    assert held["split"] == "train" and len(held["rows"]) == sum(round(count / 5) for count in counts if count > 1)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in FOLDERS if "100 classes" not in case])  # those take minutes
def test_a_small_folder_trains_to_the_end_by_the_command_alone(case, tmp_path):
    counts, mode = FOLDERS[case]
    command = ["train", image_folder(tmp_path / "data", counts, mode=mode), "--out", str(tmp_path / "run")]
    model = ["--model", "test_resnet_nhl", "--img-size", "32", "--workers", "0", "--device", "cpu"]
    done = CliRunner().invoke(app, [*command, *model])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    chance = 100 * max(counts) / sum(counts)
    assert float(rows[-1]["eval_top1"]) >= chance and (tmp_path / "run" / "best").is_dir()


def test_a_class_without_a_validation_image_is_trained(tmp_path):
    data = image_folder(tmp_path / "data", [8, 8, 8])
    image_folder(tmp_path / "data", [4, 0, 4], split="validation")
    out = train(Settings(data, str(tmp_path / "run"), **TINY))
    assert not (out / "held_out.json").exists()
    assert json.loads((out / "last" / "config.json").read_text())["label_names"] == ["thing000", "thing001", "thing002"]


@given(st.integers(1, 10**7), st.integers(1, 30_000), st.sampled_from(list(STARTS)), st.booleans())
def test_what_is_chosen_fits_the_data(images, classes, start, nested):
    chosen, _ = complete(Settings("data", "run"), Facts(images, classes, start, nested))
    assert 1 <= chosen.batch_size <= min(images, 128) and chosen.batch_size & (chosen.batch_size - 1) == 0
    assert 0 <= chosen.warmup_epochs <= chosen.epochs / 2 and 0 < chosen.patience <= chosen.epochs
    assert chosen.epochs * images >= 10 * min(images, 100)
    assert (chosen.trunk_lr_scale < 1) == (start == "pretrained" and nested)
    assert all(
        value is not None for choice in choose(Facts(images, classes, start)) for value in choice.values.values()
    )


@pytest.mark.parametrize(
    ("values", "nested", "rate"),
    [
        ({"finetune": "runs/nhl"}, True, 5e-4),
        ({"finetune": "runs/nhl", "freeze_trunk": True}, True, 5e-4),
        ({"finetune": "runs/flat"}, False, 5e-4),
        ({"pretrained": True}, True, 2e-3),
        ({"grow": "runs/nhl"}, True, 2e-3),
    ],
)
def test_a_network_without_new_parts_learns_slowly(values, nested, rate):
    settings = Settings("data", "run", **values)
    chosen, _ = complete(settings, Facts(500, 5, find_start(settings), nested))
    assert chosen.lr_base == rate


def test_a_short_training_is_not_stopped_early():
    found = {
        n: complete(Settings("data", "run", epochs=n), Facts(500, 5, "scratch"))[0].patience for n in (1, 9, 10, 40)
    }
    assert found == {1: 0, 9: 0, 10: 5, 40: 20}


@given(st.sampled_from(["opt", "lr_base", "weight_decay", "batch_size", "patience", "scale", "color_jitter"]))
def test_what_is_given_is_kept_and_not_reported_as_chosen(name):
    value = {"opt": "sgd", "batch_size": 4, "patience": 3, "scale": (0.5, 0.6)}.get(name, 0.25)
    chosen, lines = complete(Settings("data", "run", **{name: value}), Facts(500, 5, "scratch"))
    assert getattr(chosen, name) == value and not any(f"--{name.replace('_', '-')} " in line for line in lines)


def test_a_learning_rate_that_is_given_is_not_scaled():
    chosen, lines = complete(Settings("data", "run", lr=0.25), Facts(500, 5, "scratch"))
    assert chosen.lr == 0.25 and chosen.lr_base is None and not any("--lr" in line for line in lines)


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory):
    """A dataset without a validation split."""
    return dataset(tmp_path_factory.mktemp("data") / "noise", images=40, splits=("train",))


def test_every_class_is_held_out_by_the_seed(unsplit):
    settings = small(unsplit, val_split=None)
    splits = open_splits(settings)
    kept, held = set(splits.images.rows), set(splits.val_images.rows)
    assert not kept & held and kept | held == set(range(40)) and splits.share == 0.2
    assert set(splits.images.labels) == set(splits.val_images.labels) == set(range(6))
    assert held == set(open_splits(settings).val_images.rows)
    assert held != set(open_splits(replace(settings, seed=1)).val_images.rows)
    assert open_splits(replace(settings, val_share=0.0)).val_images is None


def test_nothing_to_hold_out_is_an_error(tmp_path):
    data = image_folder(tmp_path / "data", [1, 1])
    with pytest.raises(
        TrainingError, match=r"too few images to hold out 0.2 of each class; raise --val-share, or pass"
    ):
        train(Settings(data, str(tmp_path / "run"), **TINY))


def test_what_comes_after_a_training_uses_the_images_that_it_held_out(unsplit, tmp_path, monkeypatch):
    settings = small(unsplit, tmp_path / "run", val_split=None, epochs=1)
    out = train(settings)
    assert train(settings) == out  # finished, and of the same labels
    (row,) = csv.DictReader((out / "metrics.csv").open())
    command = ["evaluate", str(out / "last"), unsplit, "--split", "validation", "--json", "--workers", "0"]
    done = CliRunner().invoke(app, [*command, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["data"].endswith("(held out)")
    full = shown["rows"][0]
    assert full["images"] == len(open_splits(settings).val_images)
    assert 100 * full["top1"]["value"] == pytest.approx(float(row["eval_top1"]), abs=1e-3)
    done = CliRunner().invoke(app, ["evaluate", str(out / "last"), unsplit])
    hint = "has no split 'test'; it has train; --split validation is what the training held out"
    assert str(done.exception) == f"{unsplit} {hint}"
    seen = []
    monkeypatch.setattr("timm_nhl.bundle.write_bundle", lambda *_, images, own, others: seen.extend([*own, *others]))
    monkeypatch.setattr("timm_nhl.cli.device.export._report", lambda *_: None)
    command = ["export", str(out / "last"), "--classes", TREE.classes[0], "--bundle", "b", "--images", unsplit]
    done = CliRunner().invoke(app, [*command, "--reject", "0.05"])
    assert done.exit_code == 0, done.output
    assert len(seen) == full["images"]


def test_a_model_of_some_classes_is_judged_by_what_it_held_out_and_all_images_of_others(unsplit, tmp_path, monkeypatch):
    settings = small(unsplit, tmp_path / "run", val_split=None, epochs=1, classes=list(TREE.classes[:3]))
    out, splits = train(settings), open_splits(settings)
    every = open_images(unsplit, hierarchy=TREE, split="train")
    others = every.rows[every.labels >= 3]
    seen = []
    real = timm_nhl.eval.look
    monkeypatch.setattr(
        "timm_nhl.eval.look", lambda model, images, *a, **k: seen.append(images) or real(model, images, *a, **k)
    )
    command = [
        "evaluate",
        str(out / "last"),
        unsplit,
        "--split",
        "validation",
        "--reject",
        "--workers",
        "0",
        "--device",
        "cpu",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert set(seen[0].rows) == {*splits.val_images.rows, *others} and "left out" not in done.stderr
    done = CliRunner().invoke(
        app, ["evaluate", str(out / "last"), unsplit, "--split", "train", "--workers", "0", "--device", "cpu"]
    )
    assert f"left out: {len(others)} images of classes that the model does not have" in done.stderr
    written = []
    monkeypatch.setattr(
        "timm_nhl.bundle.write_bundle", lambda *_, images, own, others: written.extend([list(own), list(others)])
    )
    monkeypatch.setattr("timm_nhl.cli.device.export._report", lambda *_: None)
    tree = f"{unsplit}/hierarchy.json"
    command = [
        "export",
        str(out / "last"),
        "--bundle",
        "b",
        "--images",
        unsplit,
        "--hierarchy",
        tree,
        "--reject",
        "0.05",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert list(map(len, written)) == [len(splits.val_images), len(others)]


def test_a_training_without_evaluation_leaves_the_last_model(unsplit, tmp_path):
    out = train(small(unsplit, tmp_path / "run", val_split=None, val_share=0.0, epochs=1))
    assert (out / "last").exists() and not (out / "best").exists()


def test_a_training_without_progress_stops_and_stays_finished(unsplit, tmp_path, capsys):
    settings = small(unsplit, tmp_path / "run", val_split=None, epochs=9, lr=0.0, patience=2)
    out = train(settings)
    assert "stopped: no better top-1 in 2 epochs" in capsys.readouterr().err
    assert 3 <= len(list(csv.DictReader((out / "metrics.csv").open()))) < 9
    train(settings)
    assert "finished; nothing to do" in capsys.readouterr().err


def test_a_trial_shows_a_batch_and_whether_the_labels_can_be_learned(unsplit, tmp_path):
    settings = small(unsplit, tmp_path / "run", val_split=None, epochs=1, lr=0.01, batch_size=8)
    trial = try_out(settings, seconds=0.0, least=40)
    assert trial.learns and trial.unseen and len(trial.classes) == 5 and trial.minutes > 0
    assert Image.open(trial.picture).size[0] == 960
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["try.png"]
    assert "the labels can be learned" in "\n".join(trial.describe())
    assert (train(settings) / "last").exists()  # in the same folder


def test_a_trial_notices_labels_that_mean_nothing(tmp_path):
    from datasets import DatasetDict

    data = DatasetDict.load_from_disk(dataset(tmp_path / "noise", images=120, splits=("train",)))
    labels = np.random.default_rng(1).permutation(data["train"]["label"]).tolist()
    features = data["train"].features
    shuffled = data["train"].remove_columns("label").add_column("label", labels).cast(features)
    DatasetDict({"train": shuffled}).save_to_disk(str(tmp_path / "shuffled"))
    hierarchy.save(TREE, tmp_path / "shuffled" / "hierarchy.json")
    trial = try_out(small(tmp_path / "shuffled", tmp_path / "run", val_split=None, batch_size=8), seconds=0.0, least=9)
    assert not trial.learns and "no more than guessing" in "\n".join(trial.describe())
    assert asdict(trial)["unseen"]
