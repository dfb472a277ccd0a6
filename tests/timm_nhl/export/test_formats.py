"""Models as ONNX files and torch.export programs: the same numbers at any batch size, with labels and preprocessing."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from support.trees import scrambled, shape

from timm_nhl.export import export_onnx, export_program

pytestmark = pytest.mark.xdist_group("formats")  # what they share takes seconds to make

TREE = shape(3, 7, 20)


def create(**options):
    return scrambled(timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2, **options))


@pytest.fixture(scope="module")
def model():
    return create()


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    """An expert as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "expert.onnx"
    export_onnx(model.expert("super 01"), path)
    return path


def run(file, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    return torch.from_numpy(onnxruntime.InferenceSession(file).run(None, {"images": x.numpy()})[0])


@pytest.mark.filterwarnings("ignore")
def test_an_onnx_file_takes_any_batch(model, file):
    x = torch.randn(5, 3, 160, 160)
    torch.testing.assert_close(run(file, x), model.expert("super 01")(x), rtol=1e-4, atol=1e-4)


def test_an_onnx_file_says_what_its_outputs_are_and_how_images_are_prepared(model, file):
    """Fault 13: its metadata were empty."""
    onnx = pytest.importorskip("onnx")
    found = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    tree = TREE.subset("super 01")
    assert json.loads(found["labels"]) == list(tree.classes) and json.loads(found["names"]) == list(tree.names)
    assert json.loads(found["groups"]) == [list(pair) for pair in tree.groups]
    assert found["hierarchy_digest"] == tree.digest and found["architecture"] == "test_resnet_nhl"
    assert (
        json.loads(found["mean"]) == list(model.pretrained_cfg["mean"])
        and found["interpolation"] == model.pretrained_cfg["interpolation"]
    )
    assert json.loads(found["input_size"]) == [3, 160, 160] and "timm" in json.loads(found["versions"])


def test_torchs_older_onnx_exporter_takes_any_batch_too(model, tmp_path):
    """Fault 17: its graph failed in the head at another batch size."""
    x = torch.randn(1, 3, 64, 64)
    options = {"input_names": ["images"], "dynamic_axes": {"images": {0: "batch"}}}
    torch.onnx.export(model, (x,), str(tmp_path / "model.onnx"), dynamo=False, **options)
    x = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(run(tmp_path / "model.onnx", x), model(x), rtol=1e-4, atol=1e-4)


def test_a_program_takes_any_batch(model, tmp_path):
    export_program(model.fuse(), tmp_path / "model.pt2")
    x = torch.randn(3, 3, 160, 160)
    torch.testing.assert_close(torch.export.load(tmp_path / "model.pt2").module()(x), model(x), rtol=1e-4, atol=1e-4)


FORMS = {
    "bfloat16, channels last": lambda model: model.bfloat16().to(memory_format=torch.channels_last),
    "GPU": torch.nn.Module.cuda,
}
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


@pytest.mark.parametrize("form", [pytest.param(form, marks=GPU if form == "GPU" else []) for form in FORMS])
def test_a_model_is_exported_in_its_own_type_and_layout(form, tmp_path):
    model = FORMS[form](create(pretrained_cfg_overlay={"input_size": (3, 64, 64)})).eval()
    export_program(model, tmp_path / "model.pt2")
    weight = next(model.parameters())
    x = torch.randn(2, 3, 64, 64).to(weight)
    logits = torch.export.load(tmp_path / "model.pt2").module()(x)
    assert (logits.device, logits.dtype) == (weight.device, weight.dtype)
    torch.testing.assert_close(logits, model(x), rtol=2e-2, atol=2e-2)


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_an_expert_with_a_router_also_says_whether_an_image_is_of_none_of_its_groups(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    expert = create(router=True).expert("super 01")
    expert.router.fc.weight *= 0.02  # random weights are surer than trained ones
    x = torch.randn(3, 3, 160, 160)
    logits, none = expert.forward_with_none(x)
    assert none.min() > 0.01 and none.max() < 0.99
    export_onnx(expert, tmp_path / "expert.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "expert.onnx")
    assert [output.name for output in session.get_outputs()] == ["logits", "none_of_these"]
    export_program(expert, tmp_path / "expert.pt2")
    program = torch.export.load(tmp_path / "expert.pt2").module()
    for found in (session.run(None, {"images": x.numpy()}), program(x)):
        torch.testing.assert_close(torch.as_tensor(found[0]), logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(torch.as_tensor(found[1]), none, rtol=1e-4, atol=1e-4)
