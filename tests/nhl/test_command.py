"""The command and the files it writes."""

from __future__ import annotations

import json
import sys

import pytest
import timm
import torch
from conftest import scrambled, shape
from safetensors.torch import save_file

import hierarchy
from timm_nhl.__main__ import main
from timm_nhl.cost import cost
from timm_nhl.export import export_program, load, save

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
        "super 01,class 0003",
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


def test_a_picture_is_drawn(command, tree_file, tmp_path):
    command("cost", "test_resnet_nhl", "--hierarchy", tree_file, "--picture", tmp_path / "cost.html")
    page = (tmp_path / "cost.html").read_text()
    assert "mobilenetv4_conv_small" in page and "plain backbone" in page


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
        "class 0003,class 0004",
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_models_are_exported_with_a_free_batch(command, model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    save(model, tmp_path / "whole")
    command("export", tmp_path / "whole", "--classes", "super 01", "--out", tmp_path / "expert.onnx")
    x = torch.randn(5, 3, 160, 160)
    session = onnxruntime.InferenceSession(tmp_path / "expert.onnx")
    (logits,) = session.run(None, {"images": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model.expert("super 01")(x), rtol=1e-4, atol=1e-4)
    import onnx

    kinds = {node.op_type for node in onnx.load(tmp_path / "expert.onnx").graph.node}
    assert "Conv" in kinds
    export_program(model.fuse(), tmp_path / "whole.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "whole.pt2").module()(x), model(x), rtol=1e-4, atol=1e-4)


def test_other_peoples_scripts_find_the_models(command, tmp_path):
    (tmp_path / "script.py").write_text(
        "import sys, timm, beside\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv[1:], timm.is_model('resnet50_nhl'), beside.here)\n"
    )
    (tmp_path / "beside.py").write_text("here = 'found'\n")
    assert command("run", tmp_path / "script.py", "--model", "x") == "['--model', 'x'] True found\n"
