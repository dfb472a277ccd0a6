"""Weights are read without executing anything, and loaded only into the model that they belong to."""

from __future__ import annotations

import io
import logging
import pickle
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from support.small_models import TREE, create, images
from support.trees import scrambled, shape
from timm.models import save_for_hf
from timm.utils import ModelEmaV2, ModelEmaV3
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from timm_nhl.errors import CheckpointError
from timm_nhl.export import load, save
from timm_nhl.weights import read_weights


@pytest.fixture(scope="module")
def model():
    return create()


def test_weights_of_another_hierarchy_are_refused_by_digest(model):
    other = create(hierarchy=shape(2, 7, 20))
    text = f"belong to hierarchy {model.hierarchy.digest[:12]}, the model to {other.hierarchy.digest[:12]}"
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=text):
            other.load_state_dict(model.state_dict(), strict=strict)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float64, torch.int8, torch.bool], ids=str)
def test_cast_weights_still_know_their_hierarchy(model, dtype):
    state = {name: value.to(dtype) for name, value in model.state_dict().items()}
    create().load_state_dict(state)
    with pytest.raises(CheckpointError, match=f"belong to hierarchy {model.hierarchy.digest[:12]}"):
        create(hierarchy=shape(2, 7, 20)).load_state_dict(state)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda digest: digest[:32], r"shape \(32,\) and type float32"),
        (lambda digest: digest.view(2, 128), r"shape \(2, 128\) and type float32"),
        (lambda digest: digest[0], r"shape \(\) and type float32"),
        (lambda digest: digest - 0.5, r"shape \(256,\) and type float32"),
        (lambda digest: 3 * digest.to(torch.uint8), r"shape \(256,\) and type uint8"),
        (lambda digest: digest * torch.nan, r"shape \(256,\) and type float32"),
    ],
    ids=["short", "two rows", "one", "between", "three", "nan"],
)
def test_a_damaged_digest_is_refused(model, damage, found, tmp_path):
    state = {**model.state_dict(), "hierarchy_digest": damage(model.hierarchy_digest)}
    text = rf"^cannot read the hierarchy of these weights: 'hierarchy_digest' of {found} does not hold 256 bits"
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=text):
            create().load_state_dict(state, strict=strict)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=text):
        create(pretrained=True, pretrained_cfg_overlay={"file": str(tmp_path / "model.pth")})
    state["hierarchy_digest"] = create().hierarchy_digest  # what the message says
    create().load_state_dict(state)


def test_a_model_of_other_classes_takes_the_trunk_alone_and_says_so(model, tmp_path, caplog):
    save(model, tmp_path / "saved")
    for options in ({"num_classes": 8}, {"hierarchy": shape(2, 7, 20), "num_classes": None}):
        other = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True, **options)
        assert_same_trunk(other, model)
        (message,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert message == (
            "loaded the trunk of a test_resnet_nhl of other classes; its levels and head are random until they are"
            " trained"
        )
        caplog.clear()
    assert len(timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True, num_classes=8).hierarchy) == 8


def assert_same_trunk(model, other):
    theirs = other.trunk.state_dict()
    for name, value in model.trunk.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def test_a_part_of_the_weights_can_be_loaded(model):
    """Fault 3: any partial trunk was refused."""
    part = {name: value for name, value in scrambled(create()).state_dict().items() if ".layer1." in name}
    other = create()
    found = other.load_state_dict(part, strict=False)
    assert part and found.missing_keys and not found.unexpected_keys
    assert all(torch.equal(other.state_dict()[name], value) for name, value in part.items())
    name = next(iter(part))
    with pytest.raises(CheckpointError, match=f"1 tensors of the trunk differ .like '{name}'"):
        other.load_state_dict({name: part[name][:1]}, strict=False)


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_the_plain_backbone_are_named_as_such(strict, tmp_path):
    """Fault 14: torch listed every tensor, in 7,000 characters."""
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "plain.safetensors")
    text = r"^these are weights of a plain test_resnet; to start a nested model from them, create it"
    with pytest.raises(CheckpointError, match=text):
        create(checkpoint_path=str(tmp_path / "plain.safetensors"))
    with pytest.raises(CheckpointError, match=text):
        create().load_state_dict(timm.create_model("test_resnet").state_dict(), strict=strict)


@pytest.mark.parametrize("other", [{"backbone": "test_convnext"}, {"split": -3}, {"in_chans": 1}], ids=str)
def test_weights_of_another_backbone_are_refused(model, other):
    with pytest.raises(
        CheckpointError, match=r"these weights do not fit test_\w+ cut at split=-\d: \d+ tensors of the trunk"
    ):
        create(**other).load_state_dict(model.state_dict())


AVERAGES = {
    "timm's, version 2": lambda model: ModelEmaV2(model, decay=0.9999).update,
    "timm's, version 3": lambda model: ModelEmaV3(model, decay=0.9).update,
    "torch's mean": lambda model: AveragedModel(model, use_buffers=True).update_parameters,
    "torch's moving mean": lambda model: (
        AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True).update_parameters
    ),
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_of_weights_still_knows_its_hierarchy(kind):
    model = create()
    update = AVERAGES[kind](model)
    for _ in range(3):
        update(model)
    create().load_state_dict(update.__self__.module.state_dict())


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
    with pytest.raises(CheckpointError, match="a pickle with more than tensors"):
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
    with pytest.raises(CheckpointError, match=r"model\.(safetensors|pth)' (cannot be read|is cut short|holds no)"):
        read_weights(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load(tmp_path)


def test_an_expert_is_read_out_of_the_whole_models_file(tmp_path):
    model = scrambled(create())
    save_for_hf(model, str(tmp_path), safe_serialization=True)
    wanted = ["super 01", "class 0004"]
    expert = timm.create_model(
        f"local-dir:{tmp_path}", pretrained=True, hierarchy=TREE.subset(*wanted), num_classes=None
    )
    x = images(model)
    torch.testing.assert_close(expert.eval()(x), model.expert(wanted)(x))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("in_chans", [3, 1])
def test_a_backbones_weights_go_into_the_trunk(backbone, in_chans, tmp_path, caplog):
    plain = timm.create_model(backbone).eval()
    save_file(plain.state_dict(), tmp_path / "model.safetensors")
    file = {"file": str(tmp_path / "model.safetensors")}
    with caplog.at_level(logging.WARNING):
        model = create(backbone, pretrained=True, pretrained_cfg_overlay=file, in_chans=in_chans).eval()
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == (
        f"loaded weights of a plain {backbone} into the trunk of {backbone}_nhl; its levels and head are random until"
        " they are trained"
    )
    if in_chans == 3:
        x = images(model)
        index = model.trunk.index
        torch.testing.assert_close(
            model.trunk(x), plain.forward_intermediates(x, indices=[index], intermediates_only=True)[0]
        )


def test_a_full_checkpoint_fills_the_whole_model(tmp_path, caplog):
    model = scrambled(create())
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    file = {"file": str(tmp_path / "model.safetensors")}
    with caplog.at_level(logging.INFO):
        again = create(pretrained=True, pretrained_cfg_overlay=file).eval()
    assert "loaded all weights of test_resnet_nhl" in caplog.text
    x = images(model)
    assert torch.equal(again(x), model(x))
