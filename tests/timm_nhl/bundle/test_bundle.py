"""A bundle gives the model's answers on a device: same numbers, same preparation, by its own README."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from support.small_models import create

from hierarchy.dataset import Unreadable
from timm_nhl.bundle import BundleSettings, Preparation, open_bundle, write_bundle
from timm_nhl.bundle import write as writing
from timm_nhl.bundle.graphs.executorch_graph import Resample
from timm_nhl.bundle.graphs.onnx_graph import build_preparation, convert_to_onnx
from timm_nhl.bundle.graphs.openvino_graph import _prepend, write_openvino
from timm_nhl.bundle.graphs.quantize import quantize
from timm_nhl.bundle.preparation import Prepare
from timm_nhl.bundle.readme import _crop
from timm_nhl.data import decode_image
from timm_nhl.errors import BundleError, ExportError
from timm_nhl.models import NHL
from timm_nhl.rejection import compute_score

pytestmark = pytest.mark.xdist_group("bundle")  # what they share takes seconds to make

PLAIN = Preparation((3, 48, 48), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "bicubic", 0.875, "center")
PREPARATIONS = [
    PLAIN,
    dataclasses.replace(PLAIN, interpolation="bilinear", crop_pct=1.0),
    dataclasses.replace(PLAIN, crop_mode="squash"),
    dataclasses.replace(PLAIN, input_size=(3, 48, 32)),
    dataclasses.replace(PLAIN, input_size=(3, 24, 40), crop_pct=0.95),
]
SIZES = ((64, 43), (43, 64), (48, 48), (49, 48), (500, 31), (1, 9), (120, 121))
MODES = ("RGB", "L", "RGBA", "P", "1", "LA", "I;16", "CMYK")


def as_onnx(preparation):
    session = onnxruntime.InferenceSession(build_preparation(preparation, opset=20, ir=10).SerializeToString())
    return lambda x: session.run(None, {"images": x})[0]


def as_openvino(preparation):
    openvino = pytest.importorskip("openvino")
    from openvino import opset13 as ops

    x = ops.parameter([-1, *preparation.input_size], np.float32)
    network = openvino.Model([ops.result(ops.add(x, ops.constant(np.float32(0))))], [x])
    compiled = openvino.compile_model(_prepend(preparation, network), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x: compiled([x])[0]


def as_module(preparation):
    module = Prepare(preparation)
    return lambda x: module(torch.from_numpy(x)).numpy()


def as_products(preparation):
    module = Resample(preparation)
    return lambda x: np.concatenate([module(torch.from_numpy(each[None])).numpy() for each in x])


def as_program(preparation):
    free = {axis: torch.export.Dim(name, min=1) for axis, name in enumerate(("batch", "height", "width"))}
    example = torch.zeros(2, 71, 93, 3, dtype=torch.uint8)
    program = torch.export.export(Prepare(preparation), (example,), dynamic_shapes=(free,)).module()
    return lambda x: program(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize(
    "form", [as_onnx, as_openvino, as_module, as_products, pytest.param(as_program, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda each: f"{each.crop_mode} {each.input_size}")
def test_every_form_of_a_preparation_is_timms_to_a_grey_value(preparation, form):
    prepare, generator = form(preparation), np.random.default_rng(0)
    for width, height in SIZES:
        # neither black nor white: what overshoots is clipped between the passes, whose order is not the same everywhere
        pixels = generator.integers(80, 176, (height, width, 3), dtype=np.uint8)
        expected = preparation.transform(Image.fromarray(pixels)).numpy()
        found = prepare(np.stack([pixels, pixels]))
        assert found.shape == (2, *preparation.input_size)
        off = np.abs(found - expected) * 255 * np.array(preparation.std)[:, None, None]
        assert off.max() < 3 and off.mean() < 0.5, (width, height)


def encode(image: Image.Image, mode: str) -> bytes:
    """An image as a file of a mode; CMYK is a JPEG turned by its EXIF data."""
    file = io.BytesIO()
    if mode == "CMYK":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.convert(mode).save(file, "JPEG", exif=exif)
    elif mode == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(file, "PNG")
    else:
        image.convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_bundle_answers_like_the_model_on_files_of_any_size_and_mode(runtime, model, written, images):
    pytest.importorskip(runtime)
    bundle = open_bundle(written, runtime=runtime, threads=1)
    assert bundle.preparation.input_size == (3, 160, 160)
    for mode in MODES:
        for image in images:
            decoded = decode_image(encode(image, mode))
            found = bundle.predict(decoded)
            with torch.no_grad():
                logits = model(bundle.preparation.transform(decoded)[None])
            np.testing.assert_allclose(found["logits"], logits.numpy(), rtol=2e-2, atol=2e-2)
            np.testing.assert_allclose(found["probabilities"], logits.softmax(1).numpy(), atol=2e-2)


@pytest.mark.parametrize(  # OpenVINO resizes 1 x 900 pixels for 35 s, ONNX Runtime for 0.2 s
    ("runtime", "size"),
    [(runtime, size) for runtime, long in (("onnx", 900), ("openvino", 20)) for size in ((1, 1), (long, 1), (1, long))],
)
def test_an_image_of_any_shape_has_an_answer(size, runtime, written):
    pytest.importorskip(runtime)
    found = open_bundle(written, runtime=runtime, threads=1).predict(Image.new("RGB", size, (200, 30, 40)))
    assert found["probabilities"].sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size", [(65_500, 2), (1, 65_500)])
def test_an_image_whose_resizing_takes_gigabytes_is_refused(size, written):
    bundle, image = open_bundle(written, threads=1), Image.new("RGB", size)
    for prepare in (bundle.predict, bundle.preparation.transform):
        with pytest.raises(
            Unreadable, match=r"^the image is too narrow: resizing would make it [\d,]+ x [\d,]+ pixels$"
        ):
            prepare(image)


def test_a_file_of_no_bytes_cannot_be_decoded():
    with pytest.raises(Unreadable, match="cannot be decoded"):
        decode_image(b"")


def test_an_image_is_turned_as_its_exif_data_say_and_16_bits_are_scaled():
    upright = Image.new("RGB", (30, 10), (200, 0, 0))
    assert decode_image(encode(upright, "CMYK")).size == (10, 30)
    grey = decode_image(encode(upright, "I;16"))
    assert np.asarray(grey).max() == np.asarray(upright.convert("L")).max() < 100


def test_the_readme_runs_in_an_empty_namespace(written, monkeypatch, capsys):
    monkeypatch.chdir(written)
    blocks = re.findall(r"```python\n(.*?)```", (written / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2 and all(len(block.splitlines()) == 3 for block in blocks)
    golden = json.loads((written / "golden.json").read_text())
    for block, graph in zip(blocks, ("onnx", "openvino"), strict=True):
        exec(compile(block, "README", "exec"), {})
        line = (written / "labels.txt").read_text().splitlines()[int(np.argmax(golden[graph]["logits"]))]
        assert capsys.readouterr().out == f"{line}\n"


def test_a_bundle_says_what_it_is(model, written):
    tree = model.hierarchy
    rows = [line.split("\t") for line in (written / "labels.txt").read_text().splitlines()]
    assert [row[0] for row in rows] == list(tree.classes) and [row[1] for row in rows] == list(tree.names)
    assert all(tree.labels(path) == (label,) for label, (*_, path) in enumerate(rows))
    assert timm.create_model(f"local-dir:{written}").pretrained_cfg["label_names"] == list(tree.classes)
    facts = json.loads((written / "bundle.json").read_text())
    assert facts["provenance"]["hierarchy_digest"] == tree.digest
    assert facts["provenance"]["labels_in_the_whole_model"] == list(model.labels)
    kept = {entry.key: entry.value for entry in onnx.load(written / "model.onnx").metadata_props}
    assert json.loads(kept["labels"]) == list(tree.classes) and json.loads(kept["input_size"]) == [3, 160, 160]
    openvino = pytest.importorskip("openvino")
    info = openvino.Core().read_model(written / "model.xml").get_rt_info("model_info").value
    assert info["labels"].split() == [name.replace(" ", "_") for name in tree.names]
    assert info["model_type"] == "Classification" and info["embedded_processing"] == "True"


def test_a_graph_that_prepares_images_otherwise_is_not_left_behind(model, images, tmp_path, monkeypatch):
    right = writing.prepend
    wrong = dataclasses.replace(PLAIN, input_size=(3, 64, 64), mean=(0.1, 0.1, 0.1))
    monkeypatch.setattr(writing, "prepend", lambda preparation, network: right(wrong, network))
    with pytest.raises(ExportError, match=r"^model.onnx on an image of 90 x 70 pixels at batch size 1 differs"):
        write_bundle(model, tmp_path / "wrong", BundleSettings(img_size=64), images=images)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_smaller_numbers_are_smaller_files_with_nearly_the_same_answers(model, images, written, tmp_path, caplog):
    wide = open_bundle(written)
    for precision, share in (("fp16", 0.75), ("int8", 0.5)):
        folder = tmp_path / precision
        write_bundle(model, folder, BundleSettings(precision=precision), images=images)
        narrow = open_bundle(folder)
        assert narrow.graph.stat().st_size < share * wide.graph.stat().st_size
        for image in images:
            expected, found = wide.predict(image)["logits"], narrow.predict(image)["logits"]
            assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    layers = json.loads((folder / "bundle.json").read_text())["layers"]
    assert layers[0]["decibels"] <= layers[-1]["decibels"] and " of model." in layers[0]["output"]
    assert not [record.message for record in caplog.records if record.name == "root"]  # where ONNX Runtime warns


def test_openvino_computes_int8_as_onnx_runtime_does(tmp_path):
    """Also 1x1 convolutions of groups of 96 channels that a split reads first, which its AMX kernel gets wrong."""
    openvino = pytest.importorskip("openvino")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.grouped = torch.nn.Conv2d(3, 576, 3, stride=2), torch.nn.Conv2d(480, 60, 1, groups=5)
            self.fc = torch.nn.Linear(156, 6)

        def forward(self, x):
            first, rest = self.stem(x).relu().split([480, 96], 1)
            logits = self.fc(torch.cat([self.grouped(first).relu(), rest], 1).mean((2, 3)))
            return logits, logits.softmax(1)

    torch.manual_seed(0)
    network = Network().eval()
    images = [np.random.default_rng(i).normal(size=(1, 3, 16, 16)).astype(np.float32) for i in range(8)]
    plain, narrow = tmp_path / "plain.onnx", tmp_path / "int8.onnx"
    convert_to_onnx(network, torch.randn(2, 3, 16, 16), plain, outputs=["logits", "probabilities"], opset=20)
    onnx.save(quantize(plain, images), narrow)
    write_openvino(plain, tmp_path / "model.xml", None, info={}, half=False, quantized=narrow)
    run = openvino.compile_model(tmp_path / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = onnxruntime.InferenceSession(narrow)
    for x in images:
        exact = network(torch.from_numpy(x))[0].detach().numpy()
        found = run([x])["logits"]
        assert np.abs(found - session.run(["logits"], {"images": x})[0]).max() < 0.1 * np.abs(exact).max()
        assert np.abs(found - exact).max() > 0
    assert (tmp_path / "model.bin").stat().st_size < 0.4 * plain.stat().st_size
    weights = [onnx.numpy_helper.to_array(each) for each in onnx.load(narrow).graph.initializer]
    largest = max(np.abs(each.astype(int)).max() for each in weights if each.dtype == np.int8)
    assert 2 * 255 * largest < 2**15  # two products, where a processor without VNNI adds them


def test_an_expert_with_a_router_says_none_of_these(images, tmp_path):
    whole = create(router=True).eval()
    torch.nn.init.normal_(whole.router.fc.weight)
    expert = whole.expert("super 01")
    assert isinstance(expert, NHL)
    write_bundle(expert, tmp_path / "routed", BundleSettings(img_size=64), images=images)
    bundle = open_bundle(tmp_path / "routed")
    with torch.no_grad():
        _, none = expert.forward_with_none(bundle.preparation.transform(images[0])[None])
    found = bundle.predict(images[0])["none_of_these"]
    np.testing.assert_allclose(found, none.numpy(), atol=1e-2)


def test_a_raw_bundle_takes_prepared_images_and_weights_come_along(model, images, tmp_path):
    write_bundle(model, tmp_path / "raw", BundleSettings(raw=True, weights=True), images=images)
    bundle = open_bundle(tmp_path / "raw")
    x = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(bundle.run(x.numpy())["logits"]), model(x), rtol=1e-4, atol=1e-4)
        again = timm.create_model(f"local-dir:{tmp_path / 'raw'}", pretrained=True).eval()
        assert torch.equal(again(x), model(x))
    assert bundle.predict(images[0])["logits"].shape == (1, 4)


@pytest.mark.slow
def test_a_torch_program_is_a_bundle_too_and_has_to_be_asked_for(model, images, tmp_path):
    write_bundle(model, tmp_path / "torch", BundleSettings(formats=("torch",), img_size=64), images=images)
    bundle = open_bundle(tmp_path / "torch", runtime="torch")
    with torch.no_grad():
        logits = model(bundle.preparation.transform(images[2])[None])
    np.testing.assert_allclose(bundle.predict(images[2])["logits"], logits.numpy(), rtol=2e-2, atol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_executorch_program_is_a_bundle_and_its_threshold_is_of_its_own_numbers(precision, model, images, tmp_path):
    pytest.importorskip("executorch", reason="executorch is not installed: pip install 'timm-nhl[executorch]'")
    settings = BundleSettings(formats=("executorch",), precision=precision, img_size=64, reject=0.5)
    write_bundle(model, tmp_path / "et", settings, images=images, own=images[:2], others=images[2:])
    bundle = open_bundle(tmp_path / "et")
    with torch.no_grad():
        logits = model(bundle.preparation.transform(images[2])[None]).numpy()
    found = bundle.predict(images[2])["logits"]
    assert np.abs(found - logits).max() < {"fp32": 0.02, "int8": 0.25}[precision] * np.abs(logits).max()
    scores = [compute_score(bundle.threshold.score, bundle.predict(image))[0] for image in images[2:]]
    assert any(score == pytest.approx(bundle.threshold.value, abs=1e-6) for score in scores)
    assert bundle.predict(Image.new("RGB", (65_500, 2)))["logits"].shape == (1, 4)


@pytest.mark.slow
def test_a_litert_graph_is_a_bundle_and_its_readme_prepares_images_as_timm_does(
    model, images, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("litert_torch", reason="litert-torch is not installed: pip install 'timm-nhl[litert]'")
    folder = tmp_path / "litert"
    write_bundle(model, folder, BundleSettings(formats=("litert",), img_size=64), images=images)
    bundle = open_bundle(folder, threads=1)
    for image in images:
        with torch.no_grad():
            logits = model(bundle.preparation.transform(image)[None]).numpy()
        np.testing.assert_allclose(bundle.predict(image)["logits"], logits, rtol=1e-3, atol=1e-3)
    monkeypatch.chdir(folder)
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "README", "exec"), names)
    golden = json.loads((folder / "golden.json").read_text())["litert"]
    lines = (folder / "labels.txt").read_text().splitlines(keepends=True)
    assert capsys.readouterr().out == lines[int(np.argmax(golden["logits"]))]
    with Image.open("golden.png") as image:
        np.testing.assert_array_equal(names["image"], bundle.preparation.crop(image.convert("RGB")))
    with zipfile.ZipFile("model.tflite") as archive:
        assert archive.read("labels.txt").decode() == "".join(lines)
    (folder / "labels.txt").write_text("".join(lines[1:]))
    with pytest.raises(BundleError, match="3 labels and a graph of 4 outputs"):
        open_bundle(folder)


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=lambda each: f"{each.crop_mode} {each.input_size}")
def test_the_readmes_lines_crop_as_timm_does(preparation):
    lines = _crop(dataclasses.asdict(preparation))
    for size in SIZES:
        pixels = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
        names = {"Image": Image, "image": Image.fromarray(pixels)}
        exec(lines, names)
        np.testing.assert_array_equal(names["image"], preparation.crop(Image.fromarray(pixels)))


def test_a_threshold_of_openvino_is_of_its_graphs_numbers(model, images, tmp_path, monkeypatch):
    asked = []
    real = writing._Writer._answer_with
    monkeypatch.setattr(
        writing._Writer, "_answer_with", lambda self, *given: (asked.append(given[0]), real(self, *given))
    )
    settings = BundleSettings(formats=("openvino",), img_size=64, reject=0.5)
    write_bundle(model, tmp_path / "b", settings, images=images, own=images[:2], others=images[2:])
    bundle = open_bundle(tmp_path / "b")
    scores = [compute_score(bundle.threshold.score, bundle.predict(image))[0] for image in images[2:]]
    assert asked == ["openvino"] and any(score == pytest.approx(bundle.threshold.value, abs=1e-5) for score in scores)
