"""`timm-nhl evaluate` of bundles and of "none of these": the numbers are those of doing it by hand."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import timm
import torch
from support.training_runs import TREE, dataset
from support.trees import scrambled

import hierarchy
import timm_nhl
from timm_nhl.bundle import open_bundle
from timm_nhl.cli.main import main
from timm_nhl.data import eval_loader, open_images
from timm_nhl.errors import EvaluationError
from timm_nhl.eval import check_drop, open_bundles
from timm_nhl.rejection import measure_area, measure_fpr95

CLASSES = ("--classes", "super 01")
pytestmark = pytest.mark.xdist_group("evaluate bundles")  # what they share takes seconds to make


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset, a nested and a plain model, and a bundle of an expert that rejects."""
    made = tmp_path_factory.mktemp("device")
    dataset(made / "data", images=60)
    torch.manual_seed(2)  # untrained int8: 4 of 30 images pass, or 5 where timm prepares them
    sized = {"input_size": (3, 32, 32), "test_input_size": None, "test_crop_pct": None}
    model = scrambled(timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2))
    model.pretrained_cfg |= sized
    timm_nhl.save(model, made / "model")
    plain = scrambled(timm.create_model("test_resnet", num_classes=len(TREE)))
    plain.pretrained_cfg |= sized
    names = {"label_names": list(TREE.classes)}
    timm.models.save_for_hf(plain, str(made / "plain"), model_config=names, safe_serialization=True)
    words = ["export", made / "model", *CLASSES, "--bundle", made / "bundle", "--int8", "--images", made / "data"]
    run([*words, "--reject", 0.2, "--reject-split", "test"])
    return made


def run(words):
    arguments, sys.argv = sys.argv, ["timm-nhl", *map(str, words)]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
    finally:
        sys.argv = arguments


@torch.no_grad()
def logits_of(model, images):
    config = timm.data.resolve_data_config({}, model=model)
    return torch.cat([model.eval()(x) for x, _ in eval_loader(images, config, batch_size=50)]).numpy()


def test_a_bundle_is_a_row_next_to_its_model_class_by_class(folder, command):
    said = json.loads(
        command("evaluate", "model", "data", "--split", "test", *CLASSES, "--bundle", "bundle", "-j", 0, "--json")
    )
    row, (about,) = said["rows"][-1], said["bundles"]
    assert row["name"] == about["name"] == "bundle (int8)" and about["model"] == "expert"
    images = open_images(str(folder / "data"), hierarchy=TREE, split="test", classes=["super 01"])
    bundle = open_bundle(folder / "bundle")
    right = [int(bundle.predict(image)["logits"].argmax()) == label for image, label in images]
    assert row["top1"]["value"] == pytest.approx(np.mean(right)) and row["images"] == len(right)
    for each in about["classes"]:
        own = images.labels == images.classes.index(each["id"])
        assert each["bundle"]["value"] == pytest.approx(np.mean(np.array(right)[own])) and each["images"] == own.sum()
    drops = [each["model"]["value"] - each["bundle"]["value"] for each in about["classes"]]
    assert drops == sorted(drops, reverse=True)
    (difference,) = (each for each in said["differences"] if (each["first"], each["second"]) == ("expert", row["name"]))
    assert about["drop"] == pytest.approx(100 * difference["top1"]["value"])


def test_scores_of_none_of_these_are_those_by_hand(folder, command):
    words = ("evaluate", "model", "data", "--split", "test", *CLASSES, "--flat", "plain", "--bundle", "bundle")
    said = json.loads(command(*words, "--reject", "-j", 0, "--json"))["reject"]
    found = {(each["name"], each["score"]): each for each in said}
    images = open_images(str(folder / "data"), hierarchy=TREE, split="test")
    part = list(TREE.labels("super 01"))
    inside = np.isin(images.labels, part)
    nested, flat = timm_nhl.load(folder / "model"), timm.create_model(f"local-dir:{folder / 'plain'}", pretrained=True)
    bundle = open_bundle(folder / "bundle")
    outputs = {
        "expert": logits_of(nested, images),
        "flat": logits_of(flat, images),
        "bundle (int8)": np.concatenate([bundle.predict(image)["logits"] for image, _ in images]),
    }
    for name, logits in outputs.items():
        own = logits if name.startswith("bundle") else logits[:, part]
        values = {"largest logit": own.max(1), "energy": np.log(np.exp(own.astype(float)).sum(1))}
        if not name.startswith("bundle"):
            values["probability of the classes"] = torch.from_numpy(logits).softmax(1)[:, part].sum(1).numpy()
        assert {score for one, score in found if one == name} == set(values)
        for score, each in values.items():
            assert found[name, score]["auroc"]["value"] == pytest.approx(measure_area(each, inside), abs=2e-3)
            fpr95 = measure_fpr95(each[inside], each[~inside])
            assert found[name, score]["fpr95"]["value"] == pytest.approx(fpr95, abs=2e-2)
    chosen = found["bundle (int8)", bundle.threshold.score]["at_threshold"]
    assert chosen["false_accepts"]["value"] <= 0.2  # it was chosen with these images
    assert chosen["kept"]["value"] == pytest.approx(bundle.threshold.kept)


def test_an_expert_alone_is_measured_on_images_of_classes_that_it_does_not_know(folder, command, tmp_path):
    timm_nhl.save(timm_nhl.load(folder / "model").expert("super 01"), tmp_path / "expert")

    hierarchy.save(TREE, tmp_path / "tree.json")
    alone = (
        "evaluate",
        tmp_path / "expert",
        "data",
        "--split",
        "test",
        "--hierarchy",
        tmp_path / "tree.json",
        "--bundle",
        "bundle",
    )
    beside = ("evaluate", "model", "data", "--split", "test", *CLASSES, "--bundle", "bundle")
    one, other = (json.loads(command(*words, "--reject", "-j", 0, "--json"))["reject"] for words in (alone, beside))
    assert one == [each for each in other if each["score"] != "probability of the classes"]


def test_the_tables_say_it_too(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    text = command("evaluate", "model", "data", *CLASSES, "--split", "test", "--bundle", "bundle", "--reject", "-j", 0)
    for part in ("bundle (int8)", "top-1 by class", "none of these: images", "AUROC", "kept by the threshold"):
        assert part in text
    text = command("evaluate", "model", "data", "--split", "test", "--experts", 2, "--size", 2, "--reject", "-j", 0)
    assert "mean of 2 experts" in text


def test_a_bundle_that_loses_too_much_is_an_error_that_names_layers(folder):
    (opened,) = open_bundles([folder / "bundle"], TREE)
    check_drop(opened, "expert", drop=0.9, most=1)
    with pytest.raises(EvaluationError) as caught:
        check_drop(opened, "expert", drop=3.21, most=1)
    worst = json.loads((folder / "bundle" / "bundle.json").read_text())["layers"][0]
    assert f"quantising changes {worst['output']} ({worst['decibels']} dB)" in str(caught.value)
    assert str(caught.value).startswith(
        "'bundle (int8)' loses 3.2 points of top-1 to 'expert', and --max-drop allows 1;"
    )
