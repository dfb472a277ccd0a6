"""Bad input gives one clear sentence, and runs nothing."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from support.trees import shape

from hierarchy import HierarchyError
from hierarchy.errors import UnknownNode
from timm_nhl.cli.main import main
from timm_nhl.errors import CheckpointError, ExportError, NHLError, OptionError, SplitError
from timm_nhl.export.export import export_onnx, load, save
from timm_nhl.models.weights import read_weights

TREE = shape(3, 7, 20)
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def create(backbone="test_resnet", hierarchy=TREE, **options):
    return timm.create_model(f"{backbone}_nhl", hierarchy=hierarchy, **{**SMALL, **options})


@pytest.fixture(scope="module")
def model():
    return create()


def test_an_unknown_class_is_answered_with_the_nearest(model):
    for method in (model.expert, model.select):
        with pytest.raises(UnknownNode, match=r"'clas 0003' is no id, name or path .*; nearest: 'class 0003'"):
            method(["clas 0003"])


def test_nothing_cannot_be_cut_out(model):
    for method in (model.expert, model.select):
        with pytest.raises(
            OptionError, match=r"^no classes were asked for; name at least one class or node, '' for all$"
        ):
            method([])


def test_classes_must_agree_with_the_hierarchy():
    with pytest.raises(OptionError, match=r"^num_classes=7 disagrees with the hierarchy, which has 20 classes; leave"):
        create(num_classes=7)


@pytest.mark.parametrize("classes", [-1, 2.5, True])
def test_classes_are_counted_in_whole_numbers(classes):
    with pytest.raises(OptionError, match="is no whole number from 1"):
        timm.create_model("test_resnet_nhl", num_classes=classes)


@pytest.mark.parametrize("split", [-6, 0, 3, "late", True])
def test_a_split_out_of_range_lists_the_choices(split):
    text = (
        rf"^split={split!r} is out of range: test_resnet has 5 feature levels \(strides 2, 4, 8, 16, 32\);"
        r" use -5 to -1 \(-5: stride 2, 0\.0\dM parameters, 0\.\d\d GMACs; "
    )
    with pytest.raises(SplitError, match=text):
        create(split=split)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": (8, 4)}, "widths=(8, 4) is not one for each of the three levels"),
        ({"widths": (8, 0, 4)}, "width=0 is not a whole number >= 1"),
        ({"depths": (1, 1, 0)}, "depth=0 is not a whole number >= 1"),
        ({"strides": 2}, "strides=2 is not one for each of the three levels"),
        ({"expansion": 1.5}, "expansion=1.5 is not a whole number >= 1"),
        ({"drop": 1.0}, "drop=1.0 is not a probability; use a number >= 0 and < 1"),
        ({"drop_path": -0.1}, "drop_path=-0.1 is not a probability; use a number >= 0 and < 1"),
        ({"norm": "instance"}, "norm='instance' is not available; use one of 'batch', 'group'"),
        ({"act": "ruly"}, "act='ruly' is not a timm activation; use one like 'relu', 'gelu' or 'silu'"),
        ({"act": "prelu"}, "act='prelu' has weights, which branches would share; use one without, like 'relu'"),
        ({"global_pool": "catavgmax"}, "global_pool='catavgmax' is none of 'avg', 'max', 'avgmax', ''"),
    ],
    ids=str,
)
def test_an_impossible_option_is_named(options, text):
    with pytest.raises(OptionError) as caught:
        create(**options)
    assert text in str(caught.value)


def test_all_problems_of_a_branch_come_at_once():
    with pytest.raises(OptionError, match=r"^drop=2 is not a probability; .*; norm='x' is not available"):
        create(drop=2, norm="x")


def test_weights_of_another_hierarchy_are_refused_by_digest(model):
    other = create(hierarchy=shape(2, 7, 20))
    text = f"hierarchy {model.hierarchy.digest[:12]}, the model has {other.hierarchy.digest[:12]}"
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=text):
            other.load_state_dict(model.state_dict(), strict=strict)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64], ids=str)
def test_weights_cast_whole_still_say_their_hierarchy(model, dtype):
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    create().load_state_dict(state)
    with pytest.raises(CheckpointError, match=f"of hierarchy {model.hierarchy.digest[:12]}"):
        create(hierarchy=shape(2, 7, 20)).load_state_dict(state)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda digest: digest[:32], r"shape \(32,\) and type uint8"),
        (lambda digest: digest.view(2, 32), r"shape \(2, 32\) and type uint8"),
        (lambda digest: digest[0], r"shape \(\) and type uint8"),
        (lambda digest: digest.to(torch.int8), r"shape \(64,\) and type int8"),
        (lambda digest: digest.to(torch.bool), r"shape \(64,\) and type bool"),
        (lambda digest: digest.to(torch.float8_e4m3fn), r"shape \(64,\) and type float8_e4m3fn"),
        (lambda digest: digest.float() - 300, r"shape \(64,\) and type float32"),
        (lambda digest: digest.float() * torch.nan, r"shape \(64,\) and type float32"),
    ],
    ids=["short", "two rows", "one", "int8", "bool", "float8", "below", "nan"],
)
def test_a_digest_that_is_none_is_said_to_be(model, damage, found, tmp_path):
    state = {**model.state_dict(), "hierarchy_digest": damage(model.hierarchy_digest)}
    text = rf"^cannot tell the hierarchy of these weights: 'hierarchy_digest' is of {found}, not the 64 bytes"
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=text):
            create().load_state_dict(state, strict=strict)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=text):
        create(pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "model.pth")})
    state["hierarchy_digest"] = create().hierarchy_digest  # what the message says
    create().load_state_dict(state)


def test_weights_of_another_hierarchy_are_refused_by_timms_loader(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"hierarchy {model.hierarchy.digest[:12]}"):
        create(
            hierarchy=shape(2, 7, 20),
            pretrained=True,
            pretrained_cfg_overlay={"file": str(tmp_path / "model.safetensors")},
        )


@pytest.mark.parametrize("other", [{"backbone": "test_convnext"}, {"split": -3}, {"in_chans": 1}], ids=str)
def test_weights_of_another_backbone_are_refused(model, other):
    with pytest.raises(
        CheckpointError, match=r"these weights are not of test_\w+ cut at split=-\d: \d+ tensors of the trunk"
    ):
        create(**other).load_state_dict(model.state_dict())


class Attack:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture(params=["checkpoint", "pickle"])
def attack(request, tmp_path):
    """Writes a file that runs something if it is unpickled, and in the end makes sure that it did not, but could."""
    written = []

    def write(path):
        path.parent.mkdir(exist_ok=True)
        content = Attack(tmp_path / "attacked")
        torch.save({"state_dict": {"weight": content}}, path)
        if request.param == "pickle":
            path.write_bytes(pickle.dumps(content))
        written.append(path)
        return path

    yield write
    assert not (tmp_path / "attacked").exists()
    for path in written:
        content = io.BytesIO(path.read_bytes())
        torch.load(content, weights_only=False) if request.param == "checkpoint" else pickle.load(content)
        assert (tmp_path / "attacked").exists()


@pytest.mark.parametrize("name", ["model.pth", "model.bin", "model.safetensors"])
def test_a_pickle_that_wants_to_run_something_does_not(name, attack, tmp_path):
    with pytest.raises(CheckpointError):
        read_weights(attack(tmp_path / name))


def test_a_pickle_in_a_saved_folder_runs_nothing(model, attack, tmp_path):
    save(model, tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").unlink()
    attack(tmp_path / "saved" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="is a pickle that holds more than tensors"):
        load(tmp_path / "saved")
    with pytest.raises(RuntimeError, match="weights_only=True blocked"):  # timm's own
        timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True)


def test_a_pickle_named_as_pretrained_weights_runs_nothing(attack, tmp_path):
    with pytest.raises(RuntimeError, match="weights_only=True blocked"):  # timm's own
        create(pretrained=True, pretrained_cfg_overlay={"file": str(attack(tmp_path / "model.pth"))})


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "header"])
@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_a_damaged_file_of_weights_is_named(model, name, damage, tmp_path):
    path = tmp_path / name
    save_file(model.state_dict(), path) if name.endswith("safetensors") else torch.save(model.state_dict(), path)
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-1000], "empty": b"", "noise": b"\x07" * 999, "header": content[:20]}[damage])
    with pytest.raises(CheckpointError, match=r"model\.(safetensors|pth)' (cannot be read|is a pickle|holds no)"):
        read_weights(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no file"):
        read_weights(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load(tmp_path)


def test_a_damaged_config_is_named(model, tmp_path):
    save(model, tmp_path / "saved")
    config = tmp_path / "saved" / "config.json"
    text = config.read_text()
    config.write_text(text[: len(text) // 2])
    with pytest.raises(CheckpointError, match="is no config of a saved model"):
        load(tmp_path / "saved")
    changed = json.loads(text)
    changed["model_args"]["hierarchy"]["classes"][0]["group"] = "another"
    config.write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="was changed by hand"):
        load(tmp_path / "saved")


def test_a_full_folder_is_not_written_over(model, tmp_path):
    save(model, tmp_path / "saved")
    with pytest.raises(ExportError, match="is there already; name a new folder"):
        save(model, tmp_path / "saved")
    with pytest.raises(ExportError, match="there is no folder"):
        save(model, tmp_path / "nowhere" / "saved")


def test_a_fused_model_is_not_saved(model, tmp_path):
    with pytest.raises(NHLError, match=r"^a fused model is for running and exporting; save the model it was made of$"):
        save(model.fuse(), tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_a_written_file_that_lies_is_not_kept(model, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    import onnxruntime

    run = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *args: [run(*args)[0] + 1])
    with pytest.raises(ExportError, match="gives other numbers than the model"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["cost", "resnet50", "--hierarchy", "imagenet100"],
        ["cost", "test_resnet_nhl", "--hierarchy", "no such tree"],
        ["cost", "test_resnet_nhl", "--random", "2000"],
        ["expert", "nowhere.pth", "--out", "x"],
        ["export", "nowhere.pth", "--out", "x.tflite"],
        ["run", "nowhere.py"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_command_answers_bad_input_with_a_sentence_and_code_2(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said


def test_one_except_catches_each_of_these():
    assert all(issubclass(error, NHLError) for error in (SplitError, OptionError, CheckpointError, ExportError))
    assert issubclass(NHLError, ValueError) and not issubclass(NHLError, HierarchyError)
