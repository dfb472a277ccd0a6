"""The command and the files it writes."""

from __future__ import annotations

import json
import sys

import pytest
import timm
import torch
from safetensors.torch import save_file
from support.trees import scrambled, shape

import hierarchy
from timm_nhl.cli.main import main
from timm_nhl.costs import cost
from timm_nhl.export import load, save

TREE = shape(3, 7, 20)


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs `timm-nhl` and gives what it says on stdout."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["timm-nhl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def tree_file(tmp_path):
    hierarchy.save(TREE, tmp_path / "tree.json")
    return tmp_path / "tree.json"


@pytest.fixture
def model():
    return scrambled(timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2))


def test_costs_are_given_for_scripts(command, tree_file):
    arguments = (
        "cost",
        "test_resnet_nhl",
        "--hierarchy",
        tree_file,
        "--classes",
        "super 01",
        "--classes",
        "class 0003",
        "--random",
        4,
        "--seeds",
        3,
    )
    numbers = json.loads(command(*arguments, "--json"))
    assert numbers["plain"]["params"] == sum(
        p.numel() for p in timm.create_model("test_resnet", num_classes=20).parameters()
    )
    assert numbers["expert"]["macs"] == cost("test_resnet_nhl", ["super 01", "class 0003"], hierarchy=TREE).macs
    assert len(numbers["random"]) == 3
    table = command(*arguments)
    assert "plain" in table and "expert" in table and "3 random experts of 4 classes" in table


def test_classes_may_hold_commas_and_are_repeated(command, tmp_path):
    imagenet100 = hierarchy.load("imagenet100")
    (name, *_) = [name for name in imagenet100.nodes(1) if "," in name]
    save(timm.create_model("test_resnet_nhl", hierarchy="imagenet100", widths=(8, 4, 4)), tmp_path / "whole")
    command("expert", tmp_path / "whole", "--classes", name, "--classes", "tabby", "--out", tmp_path / "cut")
    assert load(tmp_path / "cut").hierarchy == imagenet100.subset(name, "tabby")


def test_everything_is_counted_for_one_size_of_image(command, tree_file, tmp_path):
    arguments = ("cost", "convnextv2_tiny_nhl.fcmae_ft_in22k_in1k_384", "--hierarchy", tree_file)
    numbers = json.loads(command(*arguments, "--picture", tmp_path / "cost.html", "--json"))
    size = (3, 384, 384)
    assert numbers["input_size"] == list(size)
    assert numbers["plain"]["macs"] == cost("convnextv2_tiny", num_classes=20, input_size=size).macs
    assert numbers["nhl"]["macs"] == cost("convnextv2_tiny_nhl", hierarchy=TREE, input_size=size).macs
    page = (tmp_path / "cost.html").read_text()
    assert "GMACs, 384x384" in page and "plain backbone" in page
    assert f'"y0":{cost("resnet18", input_size=size).macs / 1e9}' in page


def test_options_of_the_levels_are_counted(command, tree_file):
    arguments = ["cost", "test_resnet_nhl", "--hierarchy", tree_file, "--json"]
    options = {"split": -3, "strides": (2, 1, 2), "widths": (64, 32, 16), "depths": (1, 2, 1)}
    for name, value in options.items():
        arguments += [f"--{name}", ",".join(map(str, value)) if isinstance(value, tuple) else value]
    numbers = json.loads(command(*arguments))
    wanted = cost("test_resnet_nhl", hierarchy=TREE, **options)
    assert (numbers["nhl"]["params"], numbers["nhl"]["macs"]) == (wanted.params, wanted.macs)


@pytest.mark.parametrize("form", ["folder", "file"])
def test_an_expert_is_cut_out_of_a_checkpoint(form, command, model, tree_file, tmp_path):
    options = []
    if form == "folder":
        save(model, tmp_path / "whole")
        source = tmp_path / "whole"
    else:
        model = scrambled(timm.create_model("test_resnet_nhl", hierarchy=TREE))
        source = tmp_path / "whole.safetensors"
        save_file(model.state_dict(), source)
        options = ["--model", "test_resnet_nhl", "--hierarchy", tree_file]
    command(
        "expert",
        source,
        "--classes",
        "super 01",
        "--classes",
        "class 0003",
        "--classes",
        "class 0004",
        "--out",
        tmp_path / "expert",
        *options,
    )
    expert = timm.create_model(f"local-dir:{tmp_path / 'expert'}", pretrained=True).eval()
    x = torch.randn(2, 3, 160, 160)
    wanted = model.expert(["super 01", "class 0003", "class 0004"])
    assert expert.hierarchy == wanted.hierarchy
    assert torch.equal(expert(x), wanted(x))
    assert load(tmp_path / "expert").hierarchy == wanted.hierarchy


@pytest.mark.parametrize("name", ["expert.onnx", "expert.pt2"])
def test_a_model_is_exported_in_the_format_of_the_files_name(name, command, model, tmp_path, monkeypatch):
    written = {}
    for format, ending in (("onnx", ".onnx"), ("program", ".pt2")):
        monkeypatch.setattr(
            f"timm_nhl.export.export_{format}", lambda model, path, ending=ending, **_: written.update({ending: model})
        )
    save(model, tmp_path / "whole")
    command("export", tmp_path / "whole", "--classes", "super 01", "--out", tmp_path / name)
    (ending,) = written
    assert name.endswith(ending) and written[ending].hierarchy == TREE.subset("super 01")
