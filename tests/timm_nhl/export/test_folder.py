"""A model on disk: the folder that timm loads."""

from __future__ import annotations

import inspect
import json

import pytest
import timm
import torch
from support.small_models import create, images
from support.trees import scrambled
from timm.models import save_for_hf

from timm_nhl.errors import CheckpointError, ExportError, OptionError
from timm_nhl.export import load, save


@pytest.fixture(scope="module")
def model():
    return create()


def test_a_damaged_config_is_named(model, tmp_path):
    save(model, tmp_path / "saved")
    config = tmp_path / "saved" / "config.json"
    text = config.read_text()
    config.write_text(text[: len(text) // 2])
    with pytest.raises(CheckpointError, match="is not a model config"):
        load(tmp_path / "saved")
    changed = json.loads(text)
    changed["model_args"]["hierarchy"]["classes"][0]["group"] = "another"
    config.write_text(json.dumps(changed))
    with pytest.raises(CheckpointError, match="the file was edited"):
        load(tmp_path / "saved")


def test_a_full_folder_is_not_written_over(model, tmp_path):
    save(model, tmp_path / "saved")
    with pytest.raises(ExportError, match="already exists; name a new folder"):
        save(model, tmp_path / "saved")
    with pytest.raises(ExportError, match="no folder"):
        save(model, tmp_path / "nowhere" / "saved")


def test_only_saving_refuses_a_fused_model(model, tmp_path):
    """Fault 20: a property that raises stopped tracing and inspection, too."""
    fused = model.eval().fuse()
    inspect.getmembers(fused)
    x = images(model)
    torch.testing.assert_close(torch.jit.trace(fused, x)(x), model(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(ExportError, match=r"^cannot save a fused model; save the model it was made from$"):
        save(fused, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


def test_a_saved_expert_keeps_its_labels_in_the_whole_model(model, tmp_path):
    """Fault 4: (3, 6) became (0, 1)."""
    expert = model.expert(["class 0003", "class 0006"])
    save(expert, tmp_path / "expert")
    assert load(tmp_path / "expert").labels == expert.labels == (3, 6)
    other = timm.create_model(f"local-dir:{tmp_path / 'expert'}", pretrained=True, num_classes=8)
    assert other.labels == tuple(range(8))  # other classes have labels of their own


def test_a_config_names_the_outputs(model, tmp_path):
    """Fault 13: they had no names."""
    expert = model.expert(["class 0006", "class 0003"])
    save(expert, tmp_path / "expert")
    config = json.loads((tmp_path / "expert" / "config.json").read_text())
    assert config["label_names"] == ["n0003", "n0006"]
    assert config["label_descriptions"] == {"n0003": "class 0003", "n0006": "class 0006"}
    again = timm.create_model(f"local-dir:{tmp_path / 'expert'}")
    assert again.pretrained_cfg["label_names"] == ["n0003", "n0006"]


def test_a_folder_has_its_own_model_and_hierarchy(model, tmp_path):
    save(model, tmp_path / "saved")
    with pytest.raises(OptionError, match="has its own model and hierarchy; leave both out"):
        load(tmp_path / "saved", hierarchy="cifar100")


def test_a_saved_model_comes_back_whole(tmp_path):
    model = scrambled(create(in_chans=4, depths=(1, 2, 1)))
    save_for_hf(model, str(tmp_path), safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    x = images(model)
    assert again.hierarchy == model.hierarchy
    assert torch.equal(again(x), model(x))
    json.loads((tmp_path / "config.json").read_text())


def test_a_saved_expert_comes_back_whole_and_trains(tmp_path):
    expert = scrambled(create()).expert(["super 00", "class 0013"])
    save_for_hf(expert, str(tmp_path), safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    x = images(expert)
    assert torch.equal(again(x), expert(x))
    again.train()(x).logsumexp(1).sum().backward()
    assert not [name for name, parameter in again.named_parameters() if parameter.grad is None]


def channels_last(model):
    return model.to(memory_format=torch.channels_last)


LAID_OUT = {  # how weights lie -> what lays them so
    "channels last": channels_last,
    "bfloat16": torch.nn.Module.bfloat16,
    "bfloat16, channels last": lambda model: channels_last(model.bfloat16()),
    "float16": torch.nn.Module.half,
    "float64": torch.nn.Module.double,
    "GPU": torch.nn.Module.cuda,
}
WAYS = [
    pytest.param(
        way,
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
        if way == "GPU"
        else [],
    )
    for way in LAID_OUT
]


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("way", WAYS)
def test_a_model_is_saved_however_its_weights_lie(way, backbone, tmp_path):
    model = LAID_OUT[way](scrambled(create(backbone)))
    before = {name: (value.stride(), value.dtype) for name, value in model.state_dict().items()}
    save(model, tmp_path / "saved")
    assert {name: (value.stride(), value.dtype) for name, value in model.state_dict().items()} == before
    again = load(tmp_path / "saved").state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(again[name], value.cpu().to(again[name].dtype)), name
