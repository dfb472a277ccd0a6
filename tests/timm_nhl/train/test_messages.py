"""Every message of `timm-nhl train` is in ../../golden/train_messages.txt, to be read aloud.

After a change of wording, write it with `WRITE_GOLDEN=1 pytest tests/timm_nhl/train/test_messages.py` and read the
difference.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import timm
import torch
from pydantic import ValidationError
from support.golden_messages import Golden
from support.training_runs import SMALL, TREE, dataset, small

from hierarchy import HierarchyError
from hierarchy.errors import DataError
from hierarchy.files import lock
from timm_nhl.cli.main import main
from timm_nhl.data import open_images
from timm_nhl.errors import NHLError
from timm_nhl.train import describe, train
from timm_nhl.train.run_dir import save_checkpoint

NESTED = ["--model", "test_resnet_nhl", "--model-kwargs", SMALL[0]]
PLAIN = ["--model", "test_resnet"]
SHORT = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "4", "--workers", "0", "--val-split", "test"]
SHORT += ["--lr", "0.01", "--device", "cpu"]


def training(*flags, data="data", out="new", model=NESTED):
    return ["train", data, *model, *SHORT, "--img-size", "32", *flags, "--out", out]


def growing(checkpoint, *flags, data="data"):
    return ["train", data, "--grow", checkpoint, *SHORT, *flags, "--out", "new"]


def finetuning(checkpoint, *flags, data="data"):
    return ["train", data, "--finetune", checkpoint, *SHORT, *flags, "--out", "new"]


COMMANDS = {  # what is wrong -> arguments of `timm-nhl`
    "no data": ["train", "--out", "new"],
    "no folder": ["train", "data"],
    "an unknown flag": training("--epoch", "2"),
    "a number that is text": training("--epochs", "many"),
    "an unknown choice": training("--sched", "cosin"),
    "numbers out of range": training("--epochs", "0", "--img-size", "-32", "--mixup-prob", "1.5", "--scale", "0", "2"),
    "a number that is not finite": training("--lr", "nan"),
    "a dataset that does not exist": training(data="dtaa"),
    "a split that does not exist": training("--val-split", "tset"),
    "labels that the hierarchy does not have": training("--hierarchy", "imagenet100"),
    "classes that the hierarchy does not have": training("--classes", "super 01", "--classes", "super 09"),
    "no hierarchy": training("--classes", "super 01", data="bare"),
    "no hierarchy for a plain model with classes": training("--classes", "super 01", data="bare", model=PLAIN),
    "labels without an order": training(data="named", model=PLAIN),
    "splits that number their classes differently": training(data="swapped", model=PLAIN),
    "a class that only one split has": training(data="longer", model=PLAIN),
    "nothing to evaluate": training(data="empty"),
    "nothing to learn from": training(data="vacant"),
    "an image that cannot be decoded": training(data="broken"),
    "an unknown model": training("--model", "test_resnt_nhl"),
    "an unknown tag of a model": training("--model", "resnet50_nhl.a4_in1k"),
    "an unknown preset": training("--preset", "publised", model=NESTED),
    "two presets": training("--preset", "edge", "--model-kwargs", "preset=published", model=NESTED),
    "a preset of a plain model": training("--preset", "edge", model=PLAIN),
    "model arguments without values": training("--model-kwargs", "split"),
    "model arguments that do not exist": training("--model-kwargs", "splits=2"),
    "model arguments that the data decide": training("--model-kwargs", "num_classes=7 in_chans=1"),
    "no pretrained weights": training("--pretrained", "--model", "lcnet_035_nhl"),
    "options of nested models for a plain one": training("--freeze-trunk", "--trunk-lr-scale", "0.1", model=PLAIN),
    "two sources of the trunk": training("--pretrained", "--trunk-from", "plain"),
    "a trunk that does not exist": training("--trunk-from", "plian"),
    "a trunk of another backbone": training("--trunk-from", "plain", "--model", "test_convnext_nhl"),
    "a trunk of another image size": training("--trunk-from", "positions", "--model", "test_vit_nhl"),
    "a learning rate for a frozen trunk": training("--freeze-trunk", "--trunk-lr-scale", "0.1"),
    "checkpointing that the model lacks": training("--grad-checkpointing", model=["--model", "selecsls42"]),
    "growing with the model's own settings": growing("done/last", "--drop", "0.1", "--img-size", "32"),
    "growing what does not exist": growing("doen/last"),
    "growing a plain model": growing("plain"),
    "growing by nothing": growing("done/last"),
    "growing without a hierarchy": growing("done/last", data="bare"),
    "fine-tuning with other settings of the model": finetuning("done/last", "--classes", "super 01", "--drop", "0.1"),
    "fine-tuning what does not exist": finetuning("doen/last"),
    "fine-tuning on other classes": finetuning("others"),
    "fine-tuning on other classes, without a hierarchy": finetuning("others", data="bare"),
    "fine-tuning what does not name its outputs": finetuning("nameless", data="bare"),
    "fine-tuning a plain model with a frozen trunk": finetuning("plain", "--freeze-trunk", "--router-weight", "2"),
    "growing and fine-tuning": growing("done/last", "--finetune", "done/last"),
    "an unknown optimizer": training("--opt", "adamv"),
    "an optimizer of second derivatives": training("--opt", "adahessian"),
    "optimizer arguments out of range": training("--opt", "adamw", "--opt-kwargs", "betas=0.9,1.5"),
    "too few optimizer arguments": training("--opt", "adan", "--opt-kwargs", "betas=0.9,0.99"),
    "a schedule of no warm-up": training("--sched", "rsqrt"),
    "a cache of a trunk that changes": training("--cache", "features", "--router"),
    "a cache that is too small": training("--freeze-trunk", "--cache", "features", "--cache-gb", "1e-9"),
    "a cache in no folder": training("--freeze-trunk", "--cache", "plain/config.json"),
    "a cache of numbers that are too large": training(
        *["--freeze-trunk", "--cache", "features", "--trunk-from", "overflowing"]
    ),
    "a trial of one class": training("--try", "--classes", "n0000"),
    "a trial of several processes": training("--try"),
    "a trial in a folder that cannot be created": training("--try", out="plain/config.json/new"),
    "views without a cache": training("--cache-views", "2"),
    "a share with a split": training("--val-share", "0.1"),
    "nothing to hold out": ["train", "single", *NESTED, "--out", "new"],
    "a decay longer than the training": training("--sched", "wsd", "--epochs", "9", "--decay-epochs", "30"),
    "a cool-down without an end": training("--sched", "constant", "--cooldown-epochs", "2"),
    "pairs of an odd batch": training("--mixup", "0.2", "--batch-size", "5"),
    "a range upside down": training("--scale", "1", "0.5"),
    "an unknown policy": training("--aa", "rnad"),
    "a batch larger than the data": training("--batch-size", "30"),
    "a batch of one value": training("--batch-size", "1"),
    "a device that does not exist": training("--device", "cdua"),
    "synchronised norms on the CPU": training("--sync-bn"),
    "an unknown compiler": training("--torchcompile", "inducter"),
    "a teacher of other classes": training("--teacher", "others"),
    "a teacher of fewer classes": training("--teacher", "plain", "--classes", "super 01"),
    "a teacher of another order": training("--teacher", "reversed"),
    "a teacher that does not name its classes": training("--teacher", "nameless"),
    "a teacher that is not a model": training("--teacher", "data"),
    "a teacher that is truncated": training("--teacher", "half"),
    "a folder of other settings": training("--lr", "0.02", "--epochs", "2", "--workers", "1", out="done"),
    "a folder of another dataset": training(data="bare", out="done", model=PLAIN),
    "a folder of something else": training(out="plain"),
    "a folder that cannot be created": training(out="plain/config.json/new"),
    "a truncated checkpoint": training(out="short"),
    "a loss that is not finite": training("--lr", "1e30", "--log-interval", "2", out="nan"),
}
WRITES = ("an image that cannot be decoded", "a batch of one value")  # found after the folder was created
ENVIRONMENT = {"a trial of several processes": {"RANK": "0", "WORLD_SIZE": "2"}}  # as torchrun sets it
STARTED = (*WRITES, "a folder that cannot be created", "a loss that is not finite")  # after the choices


def train_while_locked():
    with lock("stopped/.lock", busy="nothing"):
        train(small("data", "stopped"))


UNSPLIT = ["train", "unsplit", *NESTED, "--img-size", "32", "--workers", "0", "--device", "cpu", "--out", "new"]
CHOICES = {  # what is left open -> arguments; the lines before the first epoch
    "a warm-up longer than the training": training("--warmup-epochs", "5"),
    "everything but the epochs": [*UNSPLIT, "--epochs", "1"],
    "no evaluation": [*UNSPLIT, "--epochs", "1", "--batch-size", "4", "--opt", "sgd", "--val-share", "0"],
}
CALLS = {  # what is wrong -> a call
    "settings of other types": lambda: small("", epochs="two", scale=0.5, aa=9, mean=(0.5, "x", 0.5)),
    "an image that is missing": lambda: open_images("broken", hierarchy=TREE, split="train")[1],
    "two trainings in one folder": train_while_locked,
    "a checkpoint in a folder that does not exist": lambda: save_checkpoint(Path("nowhere/resume.pt"), {}),
}
SAID = {  # what is done -> arguments; the first line on stderr
    "a finished training": training(out="done"),
    "a stopped training": training("--epochs", "2", out="stopped"),
}


def save_datasets(folder):
    """Datasets that are wrong in every way."""
    from datasets import ClassLabel, Dataset, DatasetDict, Image, Value

    data = DatasetDict.load_from_disk(dataset(folder / "data"))
    train, test, features = data["train"], data["test"], data["train"].features
    bytes_ = [{"bytes": b"\x89PNG\r\n\x1a\n", "path": None}, None] * 13
    broken = Dataset.from_dict({"image": bytes_, "label": train["label"]}, features=features)
    strings = type(features)({"image": Image(), "label": Value("string")})
    swapped, longer = (
        test.cast_column("label", ClassLabel(names=list(ids)))
        for ids in (TREE.classes[::-1], (*TREE.classes, "stranger"))
    )
    for name, parts in {
        "bare": data,
        "empty": {"train": train, "test": test.select([])},
        "vacant": {"train": train.select([]), "test": test},
        "broken": {"train": broken, "test": test},
        "named": data.map(lambda row: {"label": "x"}, features=strings),
        "swapped": {"train": train, "test": swapped},
        "longer": {"train": train, "test": longer},
        "unsplit": {"train": train},
        "single": {"train": train.select([0])},
    }.items():
        DatasetDict(parts).save_to_disk(str(folder / name), num_shards=dict.fromkeys(parts, 1))
    for name in ("empty", "vacant", "broken", "unsplit", "single"):
        shutil.copy(folder / "data" / "hierarchy.json", folder / name)


def save_models(folder):
    """Saved models that do not fit the data."""
    plain, overflowing, five = (timm.create_model("test_resnet", num_classes=count) for count in (6, 6, 5))
    torch.nn.init.constant_(overflowing.conv1[0].weight, 1e9)
    for name, model, names in (
        ("positions", timm.create_model("test_vit"), None),
        ("plain", plain, TREE.classes),
        ("overflowing", overflowing, TREE.classes),
        ("others", plain, [*TREE.classes[:-1], "stranger"]),
        ("reversed", plain, TREE.classes[::-1]),
        ("nameless", plain, None),
        ("half", five, None),
    ):
        config = {"label_names": list(names)} if names else {}
        timm.models.save_for_hf(model, str(folder / name), model_config=config, safe_serialization=True)
    weights = folder / "half" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-999])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, models and trainings."""
    folder = tmp_path_factory.mktemp("files")
    save_datasets(folder)
    save_models(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(small("data", "done", epochs=1))
        shutil.copytree("done", "short")
        checkpoint = Path("short/resume.pt")
        checkpoint.write_bytes(checkpoint.read_bytes()[:-9999])
        train(small("data", "stopped"))
        state = torch.load("stopped/resume.pt", weights_only=True)
        save_checkpoint(Path("stopped/resume.pt"), {**state, "rows": state["rows"][:1]})
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    """Works in the folder, and sees to it that nothing in it changes but what a test resumes."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def times():
        files = [
            path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "stopped"
        ]
        return {path: path.stat().st_mtime_ns for path in files}

    before = times()
    yield
    for name in ("new", "nan", "features"):
        shutil.rmtree(folder / name, ignore_errors=True)
    assert times() == before


def answer(arguments, monkeypatch, capsys):
    """Exit code, stdout and the lines on stderr of the command."""
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, [line for line in err.splitlines() if line.strip()]


def all_cases():
    tables = {"timm-nhl": COMMANDS, "python": CALLS, "said": SAID, "chosen": CHOICES}
    return [f"{kind}: {case}" for kind, table in tables.items() for case in table]


GOLDEN = Golden("train_messages.txt", all_cases)
pytestmark = pytest.mark.xdist_group("train_messages")  # the folder takes seconds to make


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_refuses_bad_input_in_one_line_and_writes_nothing(case, folder, monkeypatch, capsys):
    for name, value in ENVIRONMENT.get(case, {}).items():
        monkeypatch.setenv(name, value)
    code, out, lines = answer(COMMANDS[case], monkeypatch, capsys)
    if case in STARTED:
        assert lines[0].startswith("chosen for ")
        lines = lines[-1:]
    assert (code, out, len(lines)) == (2, "", 1), lines
    assert lines[0].startswith("error: ")
    assert not (folder / "new").exists() or case in WRITES
    GOLDEN.compare(f"timm-nhl: {case}", lines[0].removeprefix("error: "))


@pytest.mark.parametrize("case", CALLS)
def test_calls_refuse_bad_input_in_one_line(case):
    with pytest.raises((NHLError, HierarchyError, ValidationError)) as caught:
        CALLS[case]()
    error = caught.value
    GOLDEN.compare(f"python: {case}", describe(error) if isinstance(error, ValidationError) else str(error))


@pytest.mark.parametrize("case", SAID)
def test_the_command_says_what_it_does(case, monkeypatch, capsys):
    code, out, lines = answer(SAID[case], monkeypatch, capsys)
    assert code == 0 and out == f"{SAID[case][-1]}\n"
    GOLDEN.compare(f"said: {case}", lines[0])


@pytest.mark.parametrize("case", CHOICES)
def test_the_command_says_what_it_chooses_and_why(case, monkeypatch, capsys):
    code, _, lines = answer(CHOICES[case], monkeypatch, capsys)
    assert code == 0 and lines[-1].startswith("epoch 1")
    GOLDEN.compare(f"chosen: {case}", " / ".join(line.strip() for line in lines[:-1]))


def test_only_the_first_process_of_torchrun_reports_an_error(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert answer(COMMANDS["an unknown model"], monkeypatch, capsys) == (2, "", [])


def test_an_image_that_cannot_be_read_is_reported_with_its_row():
    with pytest.raises(DataError, match=r"^broken train row 0: the image cannot be decoded$"):
        open_images("broken", hierarchy=TREE, split="train")[0]
