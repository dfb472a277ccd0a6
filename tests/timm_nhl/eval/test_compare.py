"""`timm-nhl evaluate`: its rows agree with each other, with timm's own validation, and with what is done by hand."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import datasets
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from support import TESTS
from support.training_runs import dataset, small
from support.trees import shape

import hierarchy
from hierarchy.dataset import export, label
from timm_nhl.costs import cost
from timm_nhl.data import eval_loader, open_images
from timm_nhl.errors import EvaluationError, OptionError
from timm_nhl.eval import (
    Inference,
    cut_expert,
    draw_classes,
    evaluate,
    open_classifier,
    predict,
    select_classes,
)
from timm_nhl.eval.report import describe_saving
from timm_nhl.export import load, load_model, save
from timm_nhl.train.loop import train

pytestmark = pytest.mark.xdist_group("evaluations")  # what they share takes seconds to make

TREE = shape(3, 7, 20)
IDS = tuple(reversed(TREE.classes))  # the dataset numbers its classes otherwise than the hierarchy

OURS, THEIRS = TESTS / "support" / "validating.py", os.environ.get("TIMM_VALIDATE")


def make_images(count, seed):
    """Noisy images of 20 classes, a grid of 16 colours for each, with their labels."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3))
    generator = np.random.default_rng(seed)
    numbers = generator.integers(20, size=count).tolist()
    images = []
    for number in numbers:
        grid = np.kron(colours[number], np.ones((12, 10, 1)))
        pixels = np.clip(0.35 * grid + generator.normal(110, 90, grid.shape), 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(IDS))})
    return datasets.Dataset.from_dict({"image": images, "label": numbers}, features=features)


def fitted(model, images, epochs):
    """A model after a few epochs: better than chance, far from perfect."""
    config = timm.data.resolve_data_config({"img_size": 48}, model=model)
    model.pretrained_cfg.update(config, test_input_size=None, test_crop_pct=None)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    torch.manual_seed(0)
    for _ in range(epochs):
        for x, targets in eval_loader(images, config, batch_size=20):
            loss = torch.nn.functional.cross_entropy(model.train()(x), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def save_flat(model, folder, names):
    timm.models.save_for_hf(model, str(folder), model_config={"label_names": names}, safe_serialization=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset, a nested and a flat model trained on it a little, and its test split as an image folder."""
    made = tmp_path_factory.mktemp("evaluate")
    data = datasets.DatasetDict(train=make_images(200, 1), test=make_images(120, 2))
    data.save_to_disk(str(made / "data"))
    hierarchy.save(TREE, made / "tree.json")
    images = open_images(str(made / "data"), hierarchy=TREE, split="train")
    torch.manual_seed(0)
    nested = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(16, 8, 8), expansion=2)
    save(fitted(nested, images, epochs=6), made / "nested")
    flat = fitted(timm.create_model("test_resnet", num_classes=20), images, epochs=5)
    save_flat(flat, made / "flat", list(TREE.classes))
    hierarchy.save(TREE, made / "flat" / "hierarchy.json")
    export(label(data, TREE), made / "images", form="image-folder")
    return made


@pytest.fixture
def test_images(folder):
    return open_images(str(folder / "data"), hierarchy=TREE, split="test")


def rows_of(text):
    """Predictions by row and number of the image."""
    found = {}
    for line in csv.DictReader(io.StringIO(text)):
        found.setdefault((line["model"], int(line["classes"])), {})[int(line["image"])] = line
    return found


FLAGS = {
    "none": (),
    "size": ("--img-size", 64, "--crop-pct", 0.8),
    "precision and layout": ("--amp", "--channels-last"),
}


@pytest.mark.parametrize(("name", "flags"), [("nested", flags) for flags in FLAGS] + [("flat", "none")])
def test_every_image_is_judged_as_by_a_script_of_timms_parts(name, flags, command, folder, tmp_path):
    folders = ("--data-dir", folder / "images", "--split", "test", "--device", "cpu")
    flags = FLAGS[flags]
    theirs = json.loads(command("run", OURS, *folders, "--model", f"local-dir:{folder / name}", *flags))
    ours = ("evaluate", name, "data", "-j", 0, "--predictions", tmp_path / "it.csv", "--json", *flags)
    (row,) = json.loads(command(*ours))["rows"]
    assert row["images"] == len(theirs["images"]) == 120
    assert round(row["top1"]["value"] * 120) == round(theirs["top1"])
    assert round(row["top5"]["value"] * 120) == round(theirs["top5"])
    assert 0.05 < row["top1"]["value"] < 0.99  # a model that is always or never right would show nothing
    ((_, lines),) = rows_of((tmp_path / "it.csv").read_text()).items()
    for number, top in theirs["images"].items():  # their labels are ids in alphabetical order, as TREE's
        line = lines[int(number)]
        assert line["predicted"] == TREE.classes[top[0]]
        assert line["top5"] == str(int(TREE.classes.index(line["class"]) in top))


@pytest.mark.slow
@pytest.mark.skipif(THEIRS is None, reason="timm's validate.py is in no package; name it by TIMM_VALIDATE")
@pytest.mark.parametrize("name", ["nested", "flat"])
def test_every_image_is_judged_as_by_timms_own_script(name, command, folder, tmp_path):
    words = [sys.executable, "-m", "timm_nhl", "run", THEIRS, "--data-dir", folder / "images", "--split", "test"]
    words += ["--model", f"local-dir:{folder / name}", "--device", "cpu", "-j", "0", "-b", "1", "--log-freq", "1"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.split("--result")[1])
    (row,) = json.loads(command("evaluate", name, "data", "-j", 0, "--predictions", tmp_path / "it.csv", "--json"))[
        "rows"
    ]
    assert (result["top1"], result["top5"]) == (
        pytest.approx(100 * row["top1"]["value"], abs=1e-4), pytest.approx(100 * row["top5"]["value"], abs=1e-4),
    )  # fmt: skip
    # a batch is one image, in the order of the folder: by class, then by number
    judged = re.findall(r"Acc@1: *([\d.]+) \( *[\d.]+\)  Acc@5: *([\d.]+)", done.stderr)
    ((_, lines),) = rows_of((tmp_path / "it.csv").read_text()).items()
    ordered = sorted(lines.values(), key=lambda line: (line["class"], int(line["image"])))
    assert [(float(one) == 100, float(five) == 100) for one, five in judged] == [
        (line["predicted"] == line["class"], line["top5"] == "1") for line in ordered
    ]


@pytest.mark.parametrize("asked", [("super 00/group 000", "n0013"), ("",)])
def test_the_expert_is_the_restricted_full_model_to_the_last_image(asked, folder, test_images):
    found = evaluate(open_classifier(str(folder / "nested")), test_images, classes=asked)
    full, restricted, expert = found.rows
    assert [row.name for row in found.rows[::2]] == ["full", "expert"]
    assert restricted.name == ("full, restricted" if asked != ("",) else "full")
    assert expert.hierarchy == restricted.hierarchy == TREE.subset(*asked)
    for name in ("images", "targets", "top"):
        assert np.array_equal(getattr(expert.outcomes, name), getattr(restricted.outcomes, name)), name
    assert np.allclose(expert.outcomes.nll, restricted.outcomes.nll, atol=1e-4)
    assert expert.measures.top1 == restricted.measures.top1
    assert expert.cost.params == cost(load(folder / "nested"), asked).params <= full.cost.params
    wanted = np.flatnonzero(np.isin(test_images.labels, TREE.labels(*asked)))
    assert expert.outcomes.images.tolist() == wanted.tolist()


def test_a_restricted_flat_model_is_the_largest_logit_among_the_classes(folder, test_images):
    labels = TREE.labels("super 01", "n0002")
    flat = load_model(folder / "flat")
    found = evaluate(
        open_classifier(str(folder / "nested")), test_images, classes=["super 01", "n0002"],
        flat=open_classifier(str(folder / "flat")),
    )  # fmt: skip
    whole, restricted = found.rows[3:]
    assert (whole.name, restricted.name) == ("flat", "flat, restricted")
    with torch.no_grad():
        config = timm.data.resolve_data_config({}, model=flat)
        logits = torch.cat([flat(x) for x, _ in eval_loader(test_images, config, batch_size=50)])
    assert np.array_equal(whole.outcomes.predicted, logits.argmax(1).numpy())
    some = np.isin(test_images.labels, labels)
    wanted = logits[some][:, list(labels)].argmax(1).numpy()
    assert np.array_equal(restricted.outcomes.predicted, wanted)
    assert np.array_equal(np.array(labels)[restricted.outcomes.targets], test_images.labels[some])
    gains = {(each.first.name, each.second.name): each.top1 for each in found.differences}
    expert = found.rows[2]
    gain = expert.outcomes.correct.mean() - restricted.outcomes.correct.mean()
    assert gains["expert", "flat, restricted"].value == pytest.approx(gain)
    assert gains["full, restricted", "expert"].high == 0
    removed = (len(TREE) - len(labels)) * (flat.num_features + 1)  # rows of the classifier, with their biases
    assert restricted.cost.params == whole.cost.params - removed
    ratios = [getattr(expert.cost, what) / getattr(restricted.cost, what) for what in ("macs", "params")]
    sentence = describe_saving(found)
    assert sentence is not None and sentence.startswith(
        f"The expert of {len(labels)} classes takes {ratios[0]:.0%} of the plain network's multiply-accumulates and"
        f" {ratios[1]:.0%} of its parameters; its top-1 differs by {100 * gain:+.1f} ("
    )


def test_the_order_of_a_flat_models_outputs_changes_nothing(folder, test_images, tmp_path):
    order = list(np.random.default_rng(0).permutation(20))
    flat = load_model(folder / "flat")
    fc = flat.get_classifier()
    with torch.no_grad():
        fc.weight.copy_(fc.weight[order])
        fc.bias.copy_(fc.bias[order])
    save_flat(flat, tmp_path / "named", [TREE.names[number] for number in order])
    save_flat(flat, tmp_path / "numbered", {str(output): TREE.classes[number] for output, number in enumerate(order)})
    flat.pretrained_cfg["label_names"] = None
    save_flat(flat, tmp_path / "unnamed", None)
    ids = [TREE.classes[number] for number in order]
    rows = []
    for source, labels in (
        (folder / "flat", None),
        (tmp_path / "named", None),
        (tmp_path / "numbered", None),
        (tmp_path / "unnamed", ids),
    ):
        flat = open_classifier(str(source), labels=labels).along(TREE)
        rows.append(evaluate(flat, test_images, classes=["super 01"]).rows)
    for row in rows[1:]:
        for one, other in zip(row, rows[0], strict=True):
            assert np.array_equal(one.outcomes.top, other.outcomes.top)
            assert one.measures.top1 == other.measures.top1
            assert one.hierarchy == other.hierarchy


def test_the_order_of_the_datas_labels_changes_nothing(folder, tmp_path):
    data = datasets.load_from_disk(str(folder / "data"))["test"]
    order = list(np.random.default_rng(1).permutation(20))  # new label -> old
    label_of = {old: new for new, old in enumerate(order)}
    features = data.features.copy()
    features["label"] = datasets.ClassLabel(names=[TREE.names[TREE.classes.index(IDS[old])] for old in order])
    data = data.map(lambda row: {"label": label_of[row["label"]]}, features=features)
    datasets.DatasetDict(test=data).save_to_disk(str(tmp_path / "renumbered"))
    flat = open_classifier(str(folder / "flat"))
    rows = [
        evaluate(flat, open_images(source, hierarchy=TREE, split="test")).rows[0]
        for source in (str(folder / "data"), str(tmp_path / "renumbered"))
    ]
    assert np.array_equal(rows[0].outcomes.targets, rows[1].outcomes.targets)
    assert rows[0].measures == rows[1].measures


def test_experts_of_random_classes_are_what_each_is_alone(folder, test_images):
    nested, flat = open_classifier(str(folder / "nested")), open_classifier(str(folder / "flat"))
    draws = draw_classes(20, 6, 3, seed=1)
    drawn = evaluate(nested, test_images, draws=draws, flat=flat).random
    assert drawn is not None and drawn.labels == draws
    experts = [cut_expert(nested, [TREE.classes[label] for label in labels]) for labels in draws]
    for labels, expert, measures in zip(draws, experts, drawn.experts, strict=True):
        (alone,) = predict(expert, select_classes(test_images, labels), [range(6)], inference=Inference())
        assert alone.correct.mean() == pytest.approx(measures.top1.value)
    assert drawn.params == np.mean([sum(p.numel() for p in expert.model.parameters()) for expert in experts])
    gains = [one.top1.value - other.top1.value for one, other in zip(drawn.experts, drawn.flat, strict=True)]
    assert drawn.gain is not None and drawn.gain.value == pytest.approx(np.mean(gains))


def test_experts_share_no_class_before_all_were_drawn():
    draws = draw_classes(20, 6, 7, seed=3)
    assert len(draws) == 7 and all(len(set(labels)) == 6 for labels in draws)
    for first in (0, 3):
        assert len(set().union(*draws[first : first + 3])) == 18
    assert draws != draw_classes(20, 6, 7, seed=4)


@pytest.mark.parametrize("where", ["--hierarchy", "the data"])
def test_an_expert_alone_is_measured_on_the_data_of_the_whole(command, folder, tmp_path, where):
    nested = load(folder / "nested")
    save(nested.expert("super 01"), tmp_path / "expert")
    data, flags = "data", ["--hierarchy", "tree.json"]
    if where == "the data":
        data, flags = shutil.copytree(folder / "data", tmp_path / "data"), []
        shutil.copy(folder / "tree.json", data / "hierarchy.json")
    alone = json.loads(command("evaluate", tmp_path / "expert", data, *flags, "-j", 0, "--json"))
    beside = json.loads(command("evaluate", "nested", "data", "--classes", "super 01", "-j", 0, "--json"))
    (one,), other = alone["rows"], beside["rows"][2]
    assert (one.pop("name"), other.pop("name")) == ("full", "expert")
    assert one["hierarchy"] == other["hierarchy"] == TREE.subset("super 01").digest
    assert one == other


def test_an_experts_config_names_the_experts_classes(folder, tmp_path):
    nested = load(folder / "nested")
    nested.pretrained_cfg["label_names"] = list(TREE.classes)
    save(nested.expert("super 01"), tmp_path / "expert")
    config = json.loads((tmp_path / "expert" / "config.json").read_text())
    assert config["pretrained_cfg"]["label_names"] == list(TREE.subset("super 01").classes)
    assert nested.pretrained_cfg["label_names"] == list(TREE.classes)


def test_a_file_of_weights_is_measured_as_its_folder(command, folder):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE).eval()
    save(model, folder / "fresh")
    whole = json.loads(command("evaluate", "fresh", "data", "-j", 0, "--img-size", 48, "--json"))
    weights = ("evaluate", "fresh/model.safetensors", "data", "--model", "test_resnet_nhl", "--hierarchy", "tree.json")
    file = json.loads(command(*weights, "-j", 0, "--img-size", 48, "--json"))
    shutil.rmtree(folder / "fresh")
    assert file["rows"] == whole["rows"]


def test_what_a_training_wrote_is_evaluated_as_it_evaluated_itself(command, tmp_path):
    data = dataset(tmp_path / "data")
    models = {"nested": {}, "flat": {"model": "test_resnet", "model_kwargs": ()}}
    logged = {}
    for name, options in models.items():
        train(small(data, tmp_path / name, epochs=3, patience=0, **options))
        logged[name] = list(csv.DictReader((tmp_path / name / "metrics.csv").open()))[-1]
    words = ("evaluate", tmp_path / "nested" / "last", data, "--flat", tmp_path / "flat" / "last", "-j", 0, "--json")
    rows = {row["name"]: row for row in json.loads(command(*words))["rows"]}
    for row, name in (("full", "nested"), ("flat", "flat")):
        assert 100 * rows[row]["top1"]["value"] == pytest.approx(float(logged[name]["eval_top1"]), abs=1e-3)
        assert rows[row]["nll"]["value"] == pytest.approx(float(logged[name]["eval_loss"]), abs=1e-4)


def test_the_table_says_everything_and_workers_change_nothing(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    words = ("evaluate", "nested", "data", "--classes", "super 01", "--flat", "flat", "--experts", 3, "--size", 6)
    text = command(*words, "-j", 0)
    assert text == command(*words, "-j", 1, "--batch-size", 33)
    for part in ("full, restricted", "flat, restricted", "top-1, %", "superclass, %", "height, mistakes", "ECE, %"):
        assert part in text
    assert "mean of 3 experts of 6 random classes" in text and "differences in top-1" in text
    content = json.loads(command(*words, "-j", 0, "--json"))
    assert content["command"].startswith("timm-nhl evaluate nested data") and content["versions"]["timm"]
    for row in content["rows"]:
        low, high = (f"{100 * end:.1f}" for end in row["top1"]["interval"])
        assert f"{100 * row['top1']['value']:.1f}" in text and f"{low}–{high}" in text
    assert len(content["random"]["experts"]) == 3 and content["random"]["gain"]["value"] != 0


def test_one_expert_has_no_interval_in_the_table_or_the_json(command):
    words = ("evaluate", "nested", "data", "--flat", "flat", "--experts", 1, "--size", 6, "-j", 0)
    drawn = json.loads(command(*words, "--json"), parse_constant=pytest.fail)["random"]  # Infinity, NaN
    means = [each for kind in ("mean", "flat_mean") for each in drawn[kind].values() if each is not None]
    assert len(means) >= 14 and all(each["interval"] is None for each in (*means, drawn["gain"]))
    table = command(*words).partition("mean of 1 expert")[2]
    assert f"{drawn['mean']['nll']['value']:.2f}" in table and "–" not in table and "inf" not in table


def test_broken_weights_are_reported_with_the_images(folder, test_images):
    nested = open_classifier(str(folder / "nested"))
    with torch.no_grad():
        nested.model.head.fc.bias[3] = torch.nan
    with pytest.raises(EvaluationError, match=r"images 0, 1, 2, 3, 4, 5, 6, 7 and 112 more have logits that are not"):
        evaluate(nested, test_images)
    labels = [label for label in range(20) if label != 3]
    assert len(predict(nested, test_images, [labels], inference=Inference())[0]) < 120  # the others are sound


def test_a_part_without_images_is_an_error(folder, test_images):
    few = replace(test_images, rows=test_images.rows[:3], labels=test_images.labels[:3])
    (missing,) = TREE.at([label for label in range(20) if label not in few.labels][:1]).classes
    with pytest.raises(EvaluationError, match=f"has no images of '{missing}'"):
        evaluate(open_classifier(str(folder / "nested")), few, classes=[missing])


def test_a_flat_model_is_not_compared_with_a_flat_one(folder, test_images):
    flat = open_classifier(str(folder / "flat"))
    with pytest.raises(OptionError, match="is plain itself"):
        evaluate(flat, test_images, flat=flat)
