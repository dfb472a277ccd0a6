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
def expert():
    """An expert with a router."""
    expert = create(router=True).expert("super 01")
    with torch.no_grad():
        expert.router.fc.weight *= 0.02  # random weights are surer than trained ones
    return expert


@pytest.fixture(scope="module")
def file(expert, tmp_path_factory):
    """The expert as an ONNX file."""
    path = tmp_path_factory.mktemp("onnx") / "expert.onnx"
    export_onnx(expert, path)
    return path


def run(file, x):
    onnxruntime = pytest.importorskip("onnxruntime")
    return [torch.from_numpy(y) for y in onnxruntime.InferenceSession(file).run(None, {"images": x.numpy()})]


@torch.no_grad()
def assert_same(found, expert, x):
    """The logits, and the probability that an image is of none of the expert's groups."""
    logits, none = expert.forward_with_none(x)
    assert none.min() > 0.01 and none.max() < 0.99
    torch.testing.assert_close(found[0], logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], none, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", [1, 5])
def test_an_onnx_file_takes_any_batch(expert, file, batch):
    x = torch.randn(batch, 3, 160, 160)
    assert_same(run(file, x), expert, x)


def test_an_onnx_file_says_what_its_outputs_are_and_how_images_are_prepared(expert, file):
    """Fault 13: its metadata were empty."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(file)
    assert [output.name for output in graph.graph.output] == ["logits", "none_of_these"]
    found = {entry.key: entry.value for entry in graph.metadata_props}
    tree = TREE.subset("super 01")
    assert json.loads(found["labels"]) == list(tree.classes) and json.loads(found["names"]) == list(tree.names)
    assert json.loads(found["groups"]) == [list(pair) for pair in tree.groups]
    assert found["hierarchy_digest"] == tree.digest and found["architecture"] == "test_resnet_nhl"
    assert (
        json.loads(found["mean"]) == list(expert.pretrained_cfg["mean"])
        and found["interpolation"] == expert.pretrained_cfg["interpolation"]
    )
    assert json.loads(found["input_size"]) == [3, 160, 160] and "timm" in json.loads(found["versions"])


def test_torchs_older_onnx_exporter_takes_any_batch_too(tmp_path):
    """Fault 17: its graph failed in the head at another batch size."""
    model = create()
    x = torch.randn(1, 3, 64, 64)
    options = {"input_names": ["images"], "dynamic_axes": {"images": {0: "batch"}}}
    torch.onnx.export(model, (x,), str(tmp_path / "model.onnx"), dynamo=False, **options)
    x = torch.randn(3, 3, 64, 64)
    (logits,) = run(tmp_path / "model.onnx", x)
    torch.testing.assert_close(logits, model(x), rtol=1e-4, atol=1e-4)


def test_a_program_takes_any_batch(expert, tmp_path):
    export_program(expert.fuse(), tmp_path / "model.pt2")
    x = torch.randn(3, 3, 160, 160)
    assert_same(torch.export.load(tmp_path / "model.pt2").module()(x), expert, x)


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
