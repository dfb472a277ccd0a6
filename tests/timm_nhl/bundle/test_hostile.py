"""Files that somebody made to do harm: each is refused in a sentence, and nothing in it runs.

Graphs have the right SHA-256 in bundle.json here, as whoever changes them would see to.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import shutil
import struct

import numpy as np
import onnx
import pytest
from PIL import Image
from support.small_models import create

from hierarchy.dataset import Unreadable
from timm_nhl.bundle import BundleSettings, open_bundle, write_bundle
from timm_nhl.bundle.runner import digest_graphs
from timm_nhl.data import decode_image
from timm_nhl.errors import BundleError, CheckpointError
from timm_nhl.export import load_model, save

pytestmark = pytest.mark.xdist_group("bundle")


class Runs:
    """A pickle of it makes a folder when it is read."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


PICKLE = pickle.dumps(Runs())


def keep(name, share):
    def change(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return change


def put(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def read_elsewhere(place):
    """Weights that an ONNX file wants from another file."""

    def change(folder):
        network = onnx.load(folder / "model.onnx")
        weight = next(each for each in network.graph.initializer if len(each.dims) == 4)
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)
        onnx.save(network, folder / "model.onnx")

    return change


def drop_a_label(folder):
    lines = (folder / "labels.txt").read_text().splitlines(keepends=True)
    (folder / "labels.txt").write_text("".join(lines[1:]))


GRAPHS = {  # what is wrong -> what does it, the runtime, and what the message says
    "half of an ONNX file": (keep("model.onnx", 0.5), "onnx", "model.onnx' cannot be opened"),
    "a pickle as an ONNX file": (put("model.onnx", PICKLE), "onnx", "model.onnx' cannot be opened"),
    "ONNX weights in /etc": (read_elsewhere("/etc/passwd"), "onnx", "External data path"),
    "ONNX weights above": (read_elsewhere("../../../../../etc/passwd"), "onnx", "External data path"),
    "labels for another ONNX file": (drop_a_label, "onnx", "3 labels and a graph of 4 outputs"),
    "no .bin": (lambda folder: (folder / "model.bin").unlink(), "openvino", "is not the file that was exported"),
    "half of a .bin": (keep("model.bin", 0.5), "openvino", "model.xml' cannot be opened"),
    "an XML file that never closes": (put("model.xml", b"<a>" * 200_000), "openvino", "model.xml' cannot be opened"),
    "labels for another XML file": (drop_a_label, "openvino", "3 labels and a graph of 4 outputs"),
    "labels that are no text": (put("labels.txt", bytes(range(256))), "onnx", "not UTF-8"),
    "a bundle.json of brackets": (put("bundle.json", b"[" * 200_000), None, "nested too deeply"),
    "a bundle.json of digits": (put("bundle.json", b'{"format": 1%s}' % (b"0" * 9999)), None, "too many digits"),
}


def sign(folder):
    try:
        facts = json.loads((folder / "bundle.json").read_text())
    except (ValueError, RecursionError):
        return
    (folder / "bundle.json").write_text(json.dumps({**facts, "sha256": digest_graphs(folder)}))


@pytest.mark.parametrize("case", GRAPHS)
def test_a_hostile_graph_is_refused(case, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bundle"
    shutil.copytree(written, folder)
    change, runtime, said = GRAPHS[case]
    change(folder)
    if case != "no .bin":
        sign(folder)
    with pytest.raises(BundleError, match=said):
        open_bundle(folder, runtime=runtime)
    assert not (tmp_path / "ran").exists()


def test_entities_of_an_xml_file_are_not_expanded(written, tmp_path):
    """Ten names, each ten times the one before: a gigabyte, if they were."""
    folder = tmp_path / "bundle"
    shutil.copytree(written, folder)
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    text = (folder / "model.xml").read_text()
    head = f'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "lol">{entities}]>'
    text = head + text[text.index("<net") :].replace('name="timm-nhl"', 'name="&j;"', 1)
    (folder / "model.xml").write_text(text)
    sign(folder)
    pixels = Image.new("RGB", (70, 60))
    found, wanted = (open_bundle(each, runtime="openvino").predict(pixels)["logits"] for each in (folder, written))
    np.testing.assert_array_equal(found, wanted)


def tensors(header, content=b"1234"):
    """A safetensors file with a header that may lie."""
    return put("model.safetensors", struct.pack("<Q", len(header)) + header + content)


def config(**changes):
    def change(folder):
        own = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**own, **changes}))

    return change


MODELS = {
    "half of the weights": (keep("model.safetensors", 0.5), "cannot be read as weights"),
    "no byte of weights": (put("model.safetensors", b""), "cannot be read as weights"),
    "a pickle as weights": (put("model.safetensors", PICKLE), "cannot be read as weights"),
    "a header of exabytes": (put("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}"), "header too large"),
    "a tensor beyond the end": (
        tensors(b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}'),
        "cannot be read as weights",
    ),
    "tensors that share bytes": (
        tensors(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        ),
        "cannot be read as weights",
    ),
    "a shape below zero": (
        tensors(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'),
        "cannot be read as weights",
    ),
    "another model's tensors": (
        tensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
        "weights of another model",
    ),
    "half of a config": (keep("config.json", 0.5), "is not a model config"),
    "a config of brackets": (put("config.json", b"[" * 200_000), "is not a model config"),
    "a config that is no text": (put("config.json", bytes(range(256))), "is not a model config"),
    "a config of another program": (put("config.json", b'{"architecture": "BertModel"}'), "'BertModel', which timm"),
    "an architecture that is a path": (config(architecture="../../etc/passwd"), "passwd', which timm"),
    "more outputs than memory": (
        put("config.json", b'{"architecture": "test_resnet", "num_classes": 99999999999999}'),
        "describes no model that timm builds",
    ),
    "outputs in words": (
        put("config.json", b'{"architecture": "test_resnet", "num_classes": "many"}'),
        "describes no model that timm builds",
    ),
    "settings that timm does not have": (
        put("config.json", b'{"architecture": "test_resnet", "x": 1}'),
        "describes no model that timm builds",
    ),
    "a list of settings": (
        put("config.json", b'{"architecture": "test_resnet", "pretrained_cfg": [1]}'),
        "describes no model that timm builds",
    ),
    "a checkpoint elsewhere": (config(model_args={"checkpoint_path": "/etc/passwd"}), "model"),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "saved"
    save(create(), folder)
    return folder


@pytest.mark.parametrize("case", MODELS)
def test_a_hostile_model_is_refused(case, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved, tmp_path / "model")
    change, said = MODELS[case]
    change(tmp_path / "model")
    with pytest.raises(CheckpointError, match=said):
        load_model(tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def encode(form, image=None, **options):
    file = io.BytesIO()
    (image or Image.new("RGB", (40, 30), (200, 30, 40))).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [encode("JPEG")[:200], encode("PNG")[:60], encode("GIF")[:20], encode("WEBP")[:30], PICKLE, b"<svg/>"],
    ids=["half a JPEG", "half a PNG", "half a GIF", "half a WebP", "a pickle", "an SVG"],
)
def test_an_image_that_is_none_is_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Unreadable, match="cannot be decoded"):
        decode_image(content)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "executorch"])
def test_labels_that_do_not_fit_are_refused_by_each_runtime(runtime, model, images, tmp_path):
    pytest.importorskip(runtime)
    folder = tmp_path / "bundle"
    write_bundle(model, folder, BundleSettings(formats=(runtime,), img_size=64), images=images)
    assert open_bundle(folder, runtime=runtime).labels
    drop_a_label(folder)
    with pytest.raises(BundleError, match="3 labels and a graph of 4 outputs"):
        open_bundle(folder, runtime=runtime)
