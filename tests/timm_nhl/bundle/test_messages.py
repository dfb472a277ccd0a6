"""What bundles and their commands say about bad input; it is in ../../golden/bundle_messages.txt, to be read aloud."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
from support.golden_messages import Golden
from support.small_models import TREE, create

import timm_nhl
from timm_nhl.bundle import BundleSettings, check, find_preparation, open_bundle, write_bundle
from timm_nhl.bundle.graphs.litert_graph import open_litert
from timm_nhl.bundle.graphs.packages import import_package
from timm_nhl.cli.main import main
from timm_nhl.errors import NHLError
from timm_nhl.eval import check_drop, open_bundles
from timm_nhl.rejection import choose_threshold

pytestmark = pytest.mark.xdist_group("bundle")
GOLDEN = Golden("bundle_messages.txt", lambda: [*BROKEN, *REFUSED, *COMMANDS])


def rewrite(**changes):
    def change(folder):
        facts = json.loads((folder / "bundle.json").read_text())
        for name, value in changes.items():
            if value is None:
                del facts[name]
            else:
                facts[name] = value
        (folder / "bundle.json").write_text(json.dumps(facts))

    return change


def cut_short(name):
    def change(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1000])

    return change


def drop_a_label(folder):
    lines = (folder / "labels.txt").read_text().splitlines(keepends=True)
    (folder / "labels.txt").write_text("".join(lines[1:]))


BROKEN = {  # what happened to a bundle -> what does it, and what is then opened
    "a folder that is no bundle": (lambda folder: (folder / "bundle.json").unlink(), None),
    "a bundle without its graph": (lambda folder: (folder / "model.onnx").unlink(), None),
    "a graph that is cut short": (cut_short("model.onnx"), None),
    "OpenVINO weights that are cut short": (cut_short("model.bin"), "openvino"),
    "an OpenVINO graph that is cut short": (cut_short("model.xml"), "openvino"),
    "a bundle.json that is no JSON": (lambda folder: (folder / "bundle.json").write_text("{"), None),
    "a bundle.json that is a list": (lambda folder: (folder / "bundle.json").write_text("[]"), None),
    "graphs that lie elsewhere": (rewrite(graphs=["../../onnx"]), None),
    "a threshold that is no number": (
        rewrite(
            reject={
                "score": "energy",
                "value": float("nan"),
                "false_accepts": 0,
                "kept": 1,
                "area": 1,
                "images": [1, 1],
            }
        ),
        None,
    ),
    "a pickle in place of the graph": (
        lambda folder: (folder / "model.onnx").write_bytes(b"cos\nsystem\n(S'x'\ntR."),
        None,
    ),
    "labels of another model": (drop_a_label, None),
    "a damaged line of labels": (lambda folder: (folder / "labels.txt").write_text("tabby\n"), None),
    "a bundle of another format": (rewrite(format=7), None),
    "a bundle.json without preparation": (rewrite(preparation=None), None),
    "a bundle without graphs": (rewrite(graphs=[]), None),
    "a bundle with a torch program only": (rewrite(graphs=["torch"]), None),
    "a runtime that the bundle has no graph for": (lambda folder: None, "torch"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_bundle_is_refused_and_nothing_in_it_runs(case, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(written, "expert")
    change, runtime = BROKEN[case]
    change(tmp_path / "expert")
    with pytest.raises(NHLError) as caught:
        open_bundle("expert", runtime=runtime)
    GOLDEN.compare(case, str(caught.value))


def without(package, ask):
    def run(monkeypatch, written):
        monkeypatch.setitem(sys.modules, package, None)
        ask(written)

    return run


def prepare(**changes):
    def run(monkeypatch, written):
        model = create(in_chans=changes.pop("in_chans", 3))
        model.pretrained_cfg = {**model.pretrained_cfg, **changes}
        find_preparation(model)

    return run


def write_unnamed(monkeypatch, written):
    write_bundle(timm.create_model("test_resnet", num_classes=7), "unnamed")


def predict_unprepared(monkeypatch, written):
    replace(open_bundle(written), folder=Path("expert"), raw=True, preparation=None).predict(None)


def write_large(monkeypatch, written):
    write_bundle(create(), "large", BundleSettings(img_size=1))


def opened(written):
    (bundle,) = open_bundles([written], TREE)
    return bundle


def quantised(written):
    """The same, as if quantising had changed two of its layers."""
    one = opened(written)
    layers = [{"output": name, "decibels": ratio} for name, ratio in (("add_1 of stem", 9.1), ("conv of layer1", 12.5))]
    return replace(one, name="expert (int8)", bundle=replace(one.bundle, facts={**one.bundle.facts, "layers": layers}))


REFUSED = {  # a wish -> what asks for it
    "python: OpenVINO is not installed": without("openvino", lambda written: import_package("openvino")),
    "python: ExecuTorch is not installed": without("executorch.exir", lambda written: import_package("executorch")),
    "python: LiteRT is not installed": without("litert_torch", lambda written: import_package("litert")),
    "python: LiteRT's runtime is not installed": without(
        "ai_edge_litert.interpreter", lambda written: open_litert(written / "model.tflite", None)
    ),
    "python: a LiteRT graph in int8": lambda *_: BundleSettings(formats=("litert",), precision="int8"),
    "python: an ExecuTorch program in fp16": lambda *_: BundleSettings(formats=("executorch",), precision="fp16"),
    "python: ONNX Runtime is not installed": without("onnxruntime", open_bundle),
    "python: images that are not RGB": prepare(in_chans=4),
    "python: an interpolation that graphs do not have": prepare(interpolation="lanczos"),
    "python: a plain model without names": write_unnamed,
    "python: a raw bundle that does not know its preparation": predict_unprepared,
    "python: int8 without images": lambda *_: write_bundle(create(), "small", BundleSettings(precision="int8")),
    "python: an unknown format": lambda *_: BundleSettings(formats=("tflite",)),
    "python: a torch program in int8": lambda *_: BundleSettings(formats=("torch",), precision="int8"),
    "python: a false-accept rate that is no share": lambda *_: BundleSettings(reject=5),
    "python: too few images to reject others": lambda *_: choose_threshold({}, {}, 0.05),
    "python: experts that keep none": lambda *_: timm_nhl.Experts(create().eval(), size=0),
    "python: experts of a model in train mode": lambda *_: timm_nhl.Experts(create().train()),
    "python: an int8 bundle that loses too much": lambda _, written: check_drop(quantised(written), "expert", 3.21, 1),
    "python: a bundle of another model": lambda _, written: check_drop(opened(written), "expert", 3.21, 1),
    "python: a graph with other numbers": lambda *_: check._compare(
        np.array(1.5), np.array(1.0), allowed=0.01, what="model.onnx"
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wish_that_no_bundle_fulfils_is_refused(case, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NHLError) as caught:
        REFUSED[case](monkeypatch, written)
    GOLDEN.compare(case, str(caught.value))
    assert not list(tmp_path.iterdir())


COMMANDS = {
    "timm-nhl export: neither a bundle nor a file": ["export", "model"],
    "timm-nhl export: two precisions": ["export", "model", "--bundle", "b", "--fp16", "--int8"],
    "timm-nhl export: an option of bundles for a file": ["export", "model", "--out", "model.onnx", "--int8"],
    "timm-nhl export: a threshold without images": ["export", "model", "--bundle", "b", "--reject", "0.05"],
    "timm-nhl predict: no such image": ["predict", "plain", "cat.jpg"],
    "timm-nhl predict: a folder without images": ["predict", "plain", "plain"],
    "timm-nhl bench: a folder that is no bundle": ["bench", "plain"],
    "timm-nhl bench: a raw bundle that does not know its preparation": ["bench", "raw", "--no-plain"],
    "timm-nhl predict: a runtime for a saved model": ["predict", "plain", "plain/config.json", "--runtime", "onnx"],
    "timm-nhl export: an expert of a plain model": ["export", "plain", "--bundle", "b", "--classes", "a"],
    "timm-nhl export: images without a hierarchy": ["export", "plain", "--bundle", "b", "--images", "data"],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_command_refuses_bad_input_in_one_line(case, written, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "plain" in COMMANDS[case]:
        plain = timm.create_model("test_resnet", num_classes=2)
        names = {"label_names": ["a", "b"]}
        timm.models.save_for_hf(plain, "plain", model_config=names, safe_serialization=True)
    if "raw" in COMMANDS[case]:
        shutil.copytree(written, "raw")
        facts = json.loads(Path("raw", "bundle.json").read_text())
        Path("raw", "bundle.json").write_text(json.dumps({**facts, "raw": True, "preparation": None}))
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *COMMANDS[case]])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert (ended.value.code, said.out) == (2, "") and line.startswith("error: ")
    GOLDEN.compare(case, line.removeprefix("error: "))
