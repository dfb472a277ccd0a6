"""`timm-nhl predict`: a bundle and the model it was made from say the same of files; what cannot be read is listed."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys

import numpy as np
import pytest
import timm
from PIL import Image

from hierarchy import Hierarchy
from timm_nhl.bundle import open_bundle
from timm_nhl.cli.main import main
from timm_nhl.export import save

pytestmark = pytest.mark.xdist_group("bundle")


@pytest.fixture(scope="module")
def folder(model, written, tmp_path_factory):
    """A saved expert, its bundle, and a folder of images, two of which cannot be read."""
    place = tmp_path_factory.mktemp("predict")
    save(model, place / "expert")
    shutil.copytree(written, place / "bundle")
    photos = place / "photos"
    (photos / "below").mkdir(parents=True)
    with Image.open(place / "bundle" / "golden.png") as image:
        image.save(photos / "a.png")
        image.convert("CMYK").save(photos / "below" / "b.JPG", "JPEG")
        image.convert("P").save(photos / "c.gif", save_all=True, append_images=[image.convert("P")] * 2)
    (photos / "broken.jpg").write_bytes((photos / "below" / "b.JPG").read_bytes()[:2000])
    (photos / "bomb.png").write_bytes(bomb())
    (photos / "notes.txt").write_text("no image")
    return place


def bomb() -> bytes:
    """The beginning of a PNG of 100,000 x 100,000 pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def predict(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["timm-nhl", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return ended.value.code or 0, said.out, said.err


def test_a_bundle_and_its_model_say_the_same_and_list_what_cannot_be_read(folder, monkeypatch, capsys):
    answers = []
    for source in ("bundle", "expert"):
        code, out, err = predict(monkeypatch, capsys, folder / source, folder / "photos", "--form", "json", "--top", 2)
        assert code == 1
        listed = err.splitlines()
        assert listed[0].endswith("bomb.png: the image has more pixels than Pillow decodes")
        assert listed[1].endswith("broken.jpg: the image cannot be decoded")
        assert listed[2] == "2 images of 5 cannot be read"
        answers.append([json.loads(line) for line in out.splitlines()])
    bundle, model = answers
    assert [each["image"].rpartition("/")[2] for each in bundle] == ["a.png", "b.JPG", "c.gif"]
    for one, other in zip(bundle, model, strict=True):
        assert [each["path"] for each in one["classes"]] == [each["path"] for each in other["classes"]]
        probabilities = [[each["probability"] for each in found["classes"]] for found in (one, other)]
        np.testing.assert_allclose(*probabilities, atol=5e-3)
        assert one["none_of_these"] is None


def test_a_bundle_with_a_threshold_says_none_of_these(folder, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder / "bundle", tmp_path / "strict")
    facts, file = json.loads((tmp_path / "strict" / "bundle.json").read_text()), folder / "photos" / "a.png"
    largest = max(json.loads((tmp_path / "strict" / "golden.json").read_text())["onnx"]["logits"])
    for value, accepted in ((largest - 0.1, True), (largest + 0.1, False)):
        chosen = {"score": "largest logit", "value": value, "false_accepts": 0.05, "kept": 0.9, "area": 0.9}
        facts["reject"] = {**chosen, "images": [100, 100]}
        (tmp_path / "strict" / "bundle.json").write_text(json.dumps(facts))
        said = {
            form: predict(monkeypatch, capsys, tmp_path / "strict", file, "--form", form)[1]
            for form in ("json", "csv", "table")
        }
        assert json.loads(said["json"])["accepted"] is accepted
        assert next(csv.DictReader(io.StringIO(said["csv"])))["accepted"] == str(accepted).lower()
        assert (" none of these " in said["table"].splitlines()[-2]) is not accepted


def test_the_golden_image_has_the_golden_answer_in_every_form(folder, monkeypatch, capsys):
    bundle = open_bundle(folder / "bundle")
    golden = json.loads((folder / "bundle" / "golden.json").read_text())["onnx"]
    best = bundle.labels[int(np.argmax(golden["logits"]))]
    file = folder / "bundle" / "golden.png"
    code, out, _ = predict(monkeypatch, capsys, folder / "bundle", file, "--form", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and len(rows) == 4 and rows[0]["id"] == best.id and rows[0]["path"] == best.path
    assert float(rows[0]["probability"]) == pytest.approx(max(golden["probabilities"]), abs=1e-4)
    _, out, _ = predict(monkeypatch, capsys, folder / "bundle", file)
    assert best.name in out

    class Stdin:
        buffer = io.BytesIO(file.read_bytes())

    monkeypatch.setattr(sys, "stdin", Stdin)
    _, out, _ = predict(monkeypatch, capsys, folder / "bundle", "-", "--form", "json")
    assert json.loads(out)["classes"][0]["id"] == best.id


def test_the_table_has_paths_where_classes_have_several_groups(folder, tmp_path, monkeypatch, capsys):
    one = timm.create_model("test_resnet_nhl", hierarchy=Hierarchy.flat(["cat", "dog"]))
    save(one, tmp_path / "one")
    file = folder / "photos" / "a.png"
    shown = ["path" in predict(monkeypatch, capsys, of, file)[1] for of in (folder / "bundle", tmp_path / "one")]
    assert shown == [True, False]
