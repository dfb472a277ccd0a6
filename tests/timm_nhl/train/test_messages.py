"""Every message of a training to a user stands in ../golden/train_messages.txt, to be read aloud.

After a change of wording, write it anew with `WRITE_GOLDEN=1 pytest tests/nhl/test_train_messages.py`, and read the
difference.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import timm
import torch
from support.golden_messages import Golden
from support.training_runs import SMALL, TREE, dataset, small

from hierarchy import HierarchyError
from hierarchy.errors import DataError
from hierarchy.files import lock
from timm_nhl.cli.main import main
from timm_nhl.data.images import open_images
from timm_nhl.errors import NHLError
from timm_nhl.train.config import Settings
from timm_nhl.train.config_check import check
from timm_nhl.train.loop import train
from timm_nhl.train.run_dir import write_state

NESTED = ["--model", "test_resnet_nhl", "--model-kwargs", SMALL[0]]
PLAIN = ["--model", "test_resnet"]
SHORT = ["--img-size", "32", "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "4", "--workers", "0"]
SHORT += ["--val-split", "test", "--device", "cpu", "--lr", "0.01"]


def training(*flags, data="data", out="new", model=NESTED):
    return ["train", data, *model, *SHORT, *flags, "--out", out]


def growing(checkpoint, data="data"):
    return ["train", data, "--grow", checkpoint, *SHORT[2:], "--out", "new"]  # the model decides the size of images


COMMANDS = {  # what is wrong -> arguments of `timm-nhl`
    "no data": ["train", "--out", "new"],
    "no folder": ["train", "data"],
    "no such data": training(data="dtaa"),
    "a model that is not": training("--model", "test_resnt_nhl"),
    "a model of no such tag": training("--model", "resnet50_nhl.a4_in1k"),
    "a split that is not": training("--val-split", "tset"),
    "classes that the hierarchy has not": training("--hierarchy", "imagenet100"),
    "classes that are not": training("--classes", "super 01, super 09"),
    "no hierarchy": training("--level-loss", "0.1,0.1", "--classes", "super 01", data="bare"),
    "no hierarchy for a plain model with classes": training("--classes", "super 01", data="bare", model=PLAIN),
    "labels in no order": training(data="named", model=PLAIN),
    "sizes that cannot be": training("--epochs", "0", "--batch-size", "0", "--img-size", "-32", "--mixup-prob", "1.5"),
    "a number that is none": training("--lr", "nan"),
    "lists that are none": training("--level-loss", "0.1;0.2", "--scale", "small"),
    "lists of another length": training("--level-loss", "0.1", "--branch-lr-scale", "1,2"),
    "a choice that is not": training("--sched", "cosin"),
    "an optimizer that is not": training("--opt", "adamv"),
    "a warm-up without end": training("--warmup-epochs", "5"),
    "pairs of an odd batch": training("--mixup", "0.2", "--batch-size", "5"),
    "a crop upside down": training("--scale", "1,0.5"),
    "a nested model's options for a plain one": training("--freeze-trunk", "--trunk-lr-scale", "0.1", model=PLAIN),
    "two trunks": training("--pretrained", "--trunk-from", "plain"),
    "checkpoints that are not": training("--trunk-from", "plian", "--teacher", "nobody"),
    "a trunk of another backbone": training("--trunk-from", "plain", "--model", "test_convnext_nhl"),
    "options that are none": training("--model-kwargs", "split"),
    "options that the model has not": training("--model-kwargs", "splits=2"),
    "a model without weights": training("--pretrained", "--model", "lcnet_035_nhl"),
    "a policy that is not": training("--aa", "rnad"),
    "a schedule that cannot be": training("--sched", "wsd", "--decay-epochs", "3"),
    "a batch of more than all": training("--batch-size", "30"),
    "nothing to evaluate": training(data="empty"),
    "a device that is not": training("--device", "cdua"),
    "a teacher of fewer classes": training("--teacher", "plain", "--classes", "super 01"),
    "a teacher of other classes": training("--teacher", "others"),
    "a teacher that does not know its classes": training("--teacher", "nameless"),
    "a teacher that is none": training("--teacher", "data"),
    "a teacher that is broken": training("--teacher", "half"),
    "an image that cannot be decoded": training(data="broken"),
    "growing with settings that the model decides": training("--grow", "done/last", "--drop", "0.1"),
    "growing what is not there": growing("doen/last"),
    "growing a plain model": growing("plain"),
    "growing by nothing": growing("done/last"),
    "growing along no hierarchy": growing("done/last", data="bare"),
    "another training's folder": training("--lr", "0.02", "--epochs", "2", "--workers", "1", out="done"),
    "another data set's folder": training(data="bare", out="done", model=PLAIN),
    "a folder of something else": training(out="plain"),
    "a state cut short": training(out="short"),
    "settings that are none": ["train", "data", "--config", "plain/config.json", "--out", "new"],
    "settings that are not there": ["train", "data", "--config", "settings.json", "--out", "new"],
    "a loss that is no number": training("--lr", "1e30", "--log-interval", "2", out="nan"),
    "splits that number their classes differently": training(data="swapped", model=PLAIN),
    "a class that only one split has": training(data="longer", model=PLAIN),
    "an optimizer of second derivatives": training("--opt", "adahessian"),
    "betas that cannot be": training("--opt", "adamw", "--opt-betas", "0.9,1.5"),
    "betas that are too few": training("--opt", "adan", "--opt-betas", "0.9,0.99"),
    "clipping by branches": training("--clip-grad", "0.1", "--clip-mode", "agc"),
    "a schedule without an end": training("--sched", "constant", "--cooldown-epochs", "2"),
    "a schedule of no warm-up": training("--sched", "rsqrt"),
    "a schedule of no time between decays": training("--sched", "step", "--decay-epochs", "0"),
    "a rate of what is frozen": training("--freeze-trunk", "--trunk-lr-scale", "0.1"),
    "a compiler that is not": training("--torchcompile", "inducter"),
    "checkpointing that the model has not": training("--grad-checkpointing", model=["--model", "selecsls42"]),
    "options that the data decide": training("--model-kwargs", "num_classes=7 in_chans=1"),
    "a batch of one value": training("--batch-size", "1"),
    "a folder that cannot be made": training(out="plain/config.json/new"),
    "a trunk for images of another size": training("--trunk-from", "positions", "--model", "test_vit_nhl"),
    "a flag that is not": training("--epoch", "2"),
}


def train_beside_another():
    """Trains in a folder that another process has locked."""
    ready, told = os.pipe()
    other = os.fork()
    if other == 0:
        with lock("held/.lock", busy="held"):
            os.write(told, b".")
            signal.pause()
    try:
        os.read(ready, 1)
        train(small("data", epochs=1, model_kwargs=SMALL, val_split="test"), out=Path("held"))
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


CALLS = {  # what is wrong -> a call
    "settings that are not": lambda: Settings.of("data", eopchs=2, rate=1),
    "settings of other types": lambda: check(small("data", epochs="2", amp=1, scale=0.5, aa=9, mean=(0.5, "x", 0.5))),
    "settings of no data": lambda: Settings.from_dict({"model": {}}),
    "an image that is not there": lambda: open_images("broken", hierarchy=TREE, split="train")[1],
    "two trainings in one folder": train_beside_another,
    "a state into no folder": lambda: write_state(Path("nowhere/resume.pt"), {}),
}
SAID = {  # what is done -> arguments; what stands on stderr beside epochs
    "a finished training": training(out="done"),
    "a stopped training": training(out="stopped"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data and checkpoints that are wrong in every way."""
    from datasets import ClassLabel, Dataset, DatasetDict, Image, Value

    folder = tmp_path_factory.mktemp("files")
    data = DatasetDict.load_from_disk(dataset(folder / "data"))
    data.save_to_disk(str(folder / "bare"))
    DatasetDict({"train": data["train"], "test": data["test"].select([])}).save_to_disk(
        str(folder / "empty"), num_shards={"train": 1, "test": 1}
    )
    shutil.copy(folder / "data" / "hierarchy.json", folder / "empty")
    shutil.copytree(folder / "data", folder / "broken")
    features = data["train"].features
    pictures = [{"bytes": b"\x89PNG\r\n\x1a\n", "path": None}, None] * 13
    broken = Dataset.from_dict({"image": pictures, "label": data["train"]["label"]}, features=features)
    DatasetDict({"train": broken, "test": data["test"]}).save_to_disk(str(folder / "broken-new"))
    shutil.rmtree(folder / "broken")
    (folder / "broken-new").rename(folder / "broken")
    shutil.copy(folder / "data" / "hierarchy.json", folder / "broken")
    names = data.map(
        lambda row: {"label": "x"}, features=features.__class__({"image": Image(), "label": Value("string")})
    )
    names.save_to_disk(str(folder / "named"))
    for name, ids in (("swapped", TREE.classes[::-1]), ("longer", (*TREE.classes, "stranger"))):
        other = data["test"].cast_column("label", ClassLabel(names=list(ids)))
        DatasetDict({"train": data["train"], "test": other}).save_to_disk(str(folder / name))
    timm.models.save_for_hf(timm.create_model("test_vit"), str(folder / "positions"), safe_serialization=True)
    plain = timm.create_model("test_resnet", num_classes=6)
    labels = {"plain": TREE.classes, "others": [*TREE.classes[:-1], "stranger"], "nameless": None, "half": None}
    for name, classes in labels.items():
        model = plain if name != "nameless" else timm.create_model("test_resnet", num_classes=5)
        config = {"label_names": list(classes)} if classes else {}
        timm.models.save_for_hf(model, str(folder / name), model_config=config, safe_serialization=True)
    weights = folder / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-999])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = small("data", epochs=1, model_kwargs=SMALL, val_split="test")
        for name in ("done", "stopped", "held", "short"):
            train(done, out=Path(name))
        state = torch.load("stopped/resume.pt", weights_only=True)
        state["progress"]["step"] -= 1
        for name in ("stopped", "held"):
            write_state(Path(name, "resume.pt"), state)
        Path("short/resume.pt").write_bytes(Path("short/resume.pt").read_bytes()[:-9999])
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield
    for path in (folder / "new", folder / "nan"):
        shutil.rmtree(path, ignore_errors=True)
    assert {path: path.read_bytes() for path in before if "stopped" not in path.parts} == {
        path: content for path, content in before.items() if "stopped" not in path.parts
    }


def answer(arguments, monkeypatch, capsys):
    """Exit code, stdout and the lines on stderr of the command."""
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, [line for line in err.splitlines() if line.strip()]


def all_cases():
    tables = {"timm-nhl": COMMANDS, "python": CALLS, "said": SAID}
    return [f"{kind}: {case}" for kind, table in tables.items() for case in table]


GOLDEN = Golden("train_messages.txt", all_cases)


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_refuses_bad_input_in_one_line_and_writes_nothing(case, folder, monkeypatch, capsys):
    code, out, lines = answer(COMMANDS[case], monkeypatch, capsys)
    assert (code, out, len(lines)) == (2, "", 1), lines
    assert lines[0].startswith("error: ")
    assert not (folder / "new").exists() or case in ("an image that cannot be decoded", "a batch of one value")
    GOLDEN.compare(f"timm-nhl: {case}", lines[0].removeprefix("error: "))


@pytest.mark.parametrize("case", CALLS)
def test_calls_refuse_bad_input_in_one_line(case):
    with pytest.raises((NHLError, HierarchyError)) as caught:
        CALLS[case]()
    GOLDEN.compare(f"python: {case}", str(caught.value))


@pytest.mark.parametrize("case", SAID)
def test_the_command_says_what_it_does(case, monkeypatch, capsys):
    code, out, lines = answer(SAID[case], monkeypatch, capsys)
    assert code == 0 and out == f"{SAID[case][-1]}\n"
    GOLDEN.compare(f"said: {case}", lines[0])


def test_an_image_that_cannot_be_read_is_told_with_its_row():
    with pytest.raises(DataError, match=r"^broken train row 0: an image that cannot be decoded$"):
        open_images("broken", hierarchy=TREE, split="train")[0]


@pytest.mark.parametrize("message", GOLDEN.messages().values(), ids=GOLDEN.messages())
def test_messages_are_one_lower_case_sentence_without_a_machine_in_it(message):
    assert not re.match(r"[A-Z][a-z]", message)
    assert not message.endswith(".")
    assert "/tmp" not in message and "Errno" not in message


def test_the_golden_file_has_no_message_of_a_case_that_is_gone():
    assert list(GOLDEN.messages()) == all_cases()
