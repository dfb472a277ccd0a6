"""Every message of an evaluation is in tests/golden/evaluate_messages.txt, to be read aloud.

After a change of wording, regenerate it with `WRITE_GOLDEN=1 pytest tests/timm_nhl/eval/test_messages.py` and read the
difference.
"""

from __future__ import annotations

import io
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import datasets
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.golden_messages import Golden
from support.trees import shape

import hierarchy
from hierarchy import HierarchyError
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from timm_nhl.cli.main import main
from timm_nhl.data import open_images
from timm_nhl.errors import NHLError
from timm_nhl.eval import (
    Classifier,
    Inference,
    estimate_difference,
    estimate_share,
    evaluate,
    join,
    judge,
    measure,
    open_classifier,
    predict,
)
from timm_nhl.export import load_model, save

pytestmark = pytest.mark.xdist_group("evaluation messages")  # what they share takes seconds to make

TREE = shape(2, 3, 6)
TWINS = hierarchy.Hierarchy.from_rows((id, "twin", *row[2:]) for id, row in zip(TREE.classes, TREE.rows, strict=True))
HERE = ["-j", "0", "--device", "cpu"]


def outcomes(classes=6, value=0.0):
    logits = torch.zeros(12, classes)
    logits[1:11] += value
    return judge(logits, torch.zeros(12, dtype=torch.int64), images=range(40, 52))


def named(*names):
    return Classifier("model", torch.nn.Identity(), names, None)


def images():
    return open_images("data", hierarchy=TREE, split="test")


def broken():
    nested = open_classifier("nested")
    with torch.no_grad():
        nested.model.head.fc.weight[2] = torch.nan
    return nested


CALLS = {  # what is wrong -> a call
    "a share without images": lambda: estimate_share(0, 0),
    "models that were asked about other images": lambda: estimate_difference([True] * 4, [True] * 5),
    "labels of another shape": lambda: judge(torch.zeros(4, 6), torch.zeros(4, 6)),
    "labels out of range": lambda: judge(torch.zeros(3, 6), torch.tensor([0, 6, -1]), images=[7, 8, 9]),
    "no batches": lambda: join([]),
    "a hierarchy of fewer classes": lambda: measure(outcomes(), TREE.at([0, 1])),
    "a logit that is not a number": lambda: join([outcomes(value=torch.nan)]),
    "two outputs of one class": lambda: named("n0000", "n0001", "n0000").along(TREE),
    "outputs by names of several classes": lambda: named("twin", "n0001").along(TWINS),
    "outputs of strangers": lambda: named("n0000", "n0009").along(TREE),
    "classes without output": lambda: named("n0000").outputs(TREE.classes),
    "broken weights": lambda: evaluate(broken(), images()),
    "a part without images": lambda: predict(open_classifier("nested"), images(), [[5]], inference=Inference()),
    "many without images": lambda: predict(open_classifier("few"), few(), [range(6)], inference=Inference()),
    "images of one channel": lambda: evaluate(open_classifier("grey").along(TREE), images()),
    "weights of another model than the config": lambda: load_model("mixed"),
}
COMMANDS = {  # what is wrong -> arguments of `timm-nhl evaluate`
    "nothing": [],
    "no data": ["nested"],
    "no such model": ["nestde", "data"],
    "weights of a model with options": [
        *["nested/model.safetensors", "data", "--model", "test_resnet_nhl", "--hierarchy", "tree.json"]
    ],
    "no such data": ["nested", "dtaa"],
    "no such split": ["nested", "data", "--split", "tset"],
    "no such split of data that a training split": ["kept/last", "data", "--split", "tset"],
    "no word of which rows were held out": ["damaged/last", "data", "--split", "validation"],
    "data without the rows that were held out": ["trained/last", "data", "--split", "validation"],
    "no such class": ["nested", "data", "--classes", "super 07"],
    "a plain model without hierarchy": ["flat", "data"],
    "a plain model that does not know its classes": ["unnamed", "data", "--hierarchy", "tree.json"],
    "names for another number of outputs": ["unnamed", "data", "--hierarchy", "tree.json", "--labels", "three.txt"],
    "labels from nowhere": ["unnamed", "data", "--hierarchy", "tree.json", "--labels", "names.txt"],
    "labels in another order": ["flat", "data", "--hierarchy", "tree.json", "--labels", "reversed.txt"],
    "a plain model compared with a plain one": ["flat", "data", "--hierarchy", "tree.json", "--flat", "flat"],
    "a plain model of other classes": ["nested", "data", "--flat", "others"],
    "data of more classes": ["expert", "data"],
    "data of bare numbers": ["nested", "numbers", "--hierarchy", "tree.json"],
    "a hierarchy without the model's classes": ["nested", "data", "--hierarchy", "cifar100"],
    "experts of too many classes": ["nested", "data", "--experts", "2", "--size", "7"],
    "an unknown device": ["nested", "data", "--device", "cdua"],
    "a GPU on a machine without one": ["nested", "data", "--device", "cuda"],
    "an image that cannot be decoded": ["nested", "broken"],
    "an image of too many pixels": ["nested", "huge"],
    "an image that a worker cannot decode": ["nested", "broken", "-j", "1", "--device", "cpu"],
    "a folder whose config is a list": ["listed", "data"],
    "a folder whose config describes no model": ["odd", "data"],
    "a crop of less than nothing": ["nested", "data", "--crop-pct", "-1"],
    "a crop of more than there is": ["nested", "data", "--crop-pct", "1.5"],
    "images of no whole patches": ["patches", "data", "--hierarchy", "tree.json", "--img-size", "50"],
    "images of no whole patches for a nested model": ["nested-patches", "data", "--img-size", "50"],
    "images of another size than a model has": ["fixed", "data", "--hierarchy", "tree.json", "--img-size", "50"],
    "a limit for no bundle": ["nested", "data", "--max-drop", "1"],
    "none of all classes": ["nested", "data", "--reject"],
    "none of all classes that have images": [
        *["nested", "data", "--reject", *(word for id in TREE.classes[:5] for word in ("--classes", id))]
    ],
    "a bundle that is none": ["nested", "data", "--bundle", "expert"],
    "predictions into no folder": ["nested", "data", "--predictions", "nowhere/it.csv"],
}
SAID = {"a measured model": ["nested", "data", "--experts", "2", "--size", "3", "--flat", "named"]}


def few():
    return open_images("few-data", hierarchy=TREE, split="test")


def huge():
    """A small PNG whose header says that it is 20,000 pixels wide and high."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", 20_000, 20_000)  # behind the signature, a length and the kind IHDR
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data, models, and models that are wrong in every way."""
    made = tmp_path_factory.mktemp("evaluation")

    def data(labels, name):
        images = [Image.new("RGB", (32, 32), (9 * number, 99, 200)) for number in range(len(labels))]
        features = datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(TREE.classes))}
        )
        rows = datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)
        datasets.DatasetDict(test=rows).save_to_disk(str(made / name), num_shards={"test": 1})

    def plain(name, classes, model="test_resnet", **options):
        model = timm.create_model(model, **options)
        config = {"label_names": list(classes)} if classes else {}
        timm.models.save_for_hf(model, str(made / name), model_config=config, safe_serialization=True)

    data([0, 1, 2, 3, 4, 0, 1, 2, 3, 4], "data")
    rows = datasets.load_from_disk(str(made / "data"))
    features = rows["test"].features
    rows.cast_column("label", datasets.Value("int64")).save_to_disk(str(made / "numbers"))
    for name, content in {"broken": b"\x89PNG\r\n\x1a\n", "huge": huge()}.items():
        images = [{"bytes": content, "path": None}] * 3
        rows = datasets.Dataset.from_dict({"image": images, "label": [0, 1, 2]}, features=features)
        datasets.DatasetDict(test=rows).save_to_disk(str(made / name))
    data([], "few-data")
    torch.manual_seed(0)
    nested = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2)
    patches = timm.create_model("test_vit_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2)
    expert = nested.expert("super 00")
    for name, model in {"nested": nested, "few": nested, "expert": expert, "nested-patches": patches}.items():
        save(model, made / name)
    rows_of = {"trained": {"split": "test", "rows": [98, 99]}, "kept": {"split": "test", "rows": [8, 9]}}
    for name, held_out in {**rows_of, "damaged": {"split": "test"}}.items():
        (made / name).mkdir()
        (made / name / "held_out.json").write_text(json.dumps(held_out))
        save(nested, made / name / "last")
    plain("flat", TREE.classes, num_classes=6)
    plain("named", TREE.names, num_classes=6)
    plain("unnamed", None, num_classes=6)
    plain("patches", TREE.classes, model="test_vit", num_classes=6)
    plain("fixed", TREE.classes, model="convit_tiny", num_classes=6)
    plain("others", [*TREE.classes[:5], "stranger"], num_classes=6)
    plain("grey", TREE.classes, num_classes=6, in_chans=1)
    plain("mixed", TREE.classes, num_classes=6)
    state = load_file(made / "mixed" / "model.safetensors")
    save_file({f"other.{name}": value for name, value in state.items()}, made / "mixed" / "model.safetensors")
    hierarchy.save(TREE, made / "tree.json")
    (made / "listed").mkdir()
    (made / "listed" / "config.json").write_text("[]")
    (made / "odd").mkdir()
    (made / "odd" / "config.json").write_text('{"architecture": "test_resnet", "num_classes": "six"}')
    (made / "reversed.txt").write_text("\n".join(reversed(TREE.classes)))
    (made / "three.txt").write_text("n0000\nn0001\nn0002\n")
    return made


@pytest.fixture(autouse=True)
def _there(files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = sorted(files.rglob("*"))
    yield
    assert sorted(files.rglob("*")) == before


def answer(arguments, monkeypatch, capsys):
    """Exit code, stdout and the lines on stderr of the command."""
    monkeypatch.setattr(
        sys, "argv", ["timm-nhl", "evaluate", *arguments, *(HERE if "--device" not in arguments else [])]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err.splitlines()


def test_a_damaged_note_of_held_out_rows_matters_to_the_held_out_rows_alone(monkeypatch, capsys):
    code, out, _ = answer(["damaged/last", "data", "--split", "test"], monkeypatch, capsys)
    assert code == 0 and "top-1" in out


def all_cases():
    tables = {"python": CALLS, "timm-nhl evaluate": COMMANDS}
    return [f"{kind}: {case}" for kind, table in tables.items() for case in table]


GOLDEN = Golden("evaluate_messages.txt", all_cases)


@pytest.mark.parametrize("case", CALLS)
def test_calls_refuse_bad_input_in_one_line(case):
    with pytest.raises((NHLError, HierarchyError)) as caught:
        CALLS[case]()
    GOLDEN.compare(f"python: {case}", str(caught.value))


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_refuses_bad_input_in_one_line(case, monkeypatch, capsys):
    if "cuda" in COMMANDS[case] and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, out, lines = answer(COMMANDS[case], monkeypatch, capsys)
    lines = [line for line in lines if not re.fullmatch(r" *[\d.]+ s  .*", line)]  # networks that were run before
    assert (code, out, len(lines)) == (2, "", 1), lines
    assert lines[0].startswith("error: ")
    GOLDEN.compare(f"timm-nhl evaluate: {case}", lines[0].removeprefix("error: ").replace(str(Path.cwd()), "FOLDER"))


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["table", "json"])
def test_predictions_that_cannot_be_written_do_not_take_the_numbers_along(flags, monkeypatch, capsys):
    name = f"{'long' * 99}.csv"
    code, out, lines = answer(["nested", "data", "--predictions", name, *flags], monkeypatch, capsys)
    assert code == 2 and ("top1" if flags else "top-1, %") in out
    assert lines[1:] == [f"error: cannot write '{name}': file name too long; name a file in a writable folder"]


def test_nothing_is_run_where_predictions_have_no_folder(monkeypatch, capsys):
    code, out, lines = answer(["nested", "data", "--predictions", "nowhere/it.csv"], monkeypatch, capsys)
    assert (code, out, len(lines)) == (2, "", 1)  # no network says how long it took


def test_bare_numbers_are_given_names_as_the_message_says(files, tmp_path, monkeypatch, capsys):
    (tmp_path / "names.txt").write_text("\n".join(TREE.classes))
    words = ["dataset", "label", "numbers", "tree.json", "--names", tmp_path / "names.txt", "--out", tmp_path / "named"]
    monkeypatch.setattr(sys, "argv", ["hierarchy", *map(str, words)])
    assert run(app) == 0
    code, out, _ = answer(["nested", str(tmp_path / "named")], monkeypatch, capsys)
    assert code == 0 and "top-1, %" in out


@pytest.mark.parametrize("case", SAID)
def test_the_command_prints_only_the_time_of_each_network_to_stderr(case, monkeypatch, capsys):
    code, out, lines = answer(SAID[case], monkeypatch, capsys)
    assert code == 0 and "top-1, %" in out
    assert [re.sub(r"^ *\d+\.\d", "0.0", line) for line in lines] == ["0.0 s  nested", "0.0 s  named"]
