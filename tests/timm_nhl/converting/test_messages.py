"""Every message of `timm-nhl convert` and `merge` is in ../../golden/convert_messages.txt, to be read aloud.

After a change of wording, write it with `WRITE_GOLDEN=1 pytest tests/timm_nhl/converting/test_messages.py` and read the
difference.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import pytest
import timm
import torch
from datasets import DatasetDict
from safetensors.torch import save_file
from support.flat import converting, save_flat
from support.golden_messages import Golden
from support.small_models import create
from support.training_runs import SMALL, TREE, dataset

import hierarchy
from timm_nhl.cli.main import main
from timm_nhl.converting import convert
from timm_nhl.export import save


def command(*flags, model="flat", data="data", out="new"):
    return [
        *["convert", model, data, "--out", out, "--val-split", "test", "--workers", "0", "--device", "cpu"],
        *["--model-kwargs", SMALL[0], "--batch-size", "8", "--epochs", "1", "--views", "1", *flags],
    ]


def without_split(words):
    """The same without --val-split and its value."""
    place = words.index("--val-split")
    return words[:place] + words[place + 2 :]


COMMANDS = {  # what is wrong -> arguments of `timm-nhl`
    "no data": ["convert", "flat", "--out", "new"],
    "a model that does not exist": command(model="falt"),
    "a timm model that does not exist": command(model="resnt50"),
    "a timm model without weights": command("--labels", "names.txt", model="lcnet_035"),
    "weights of a timm model without classes": command("--weights", "names.txt", model="test_resnet"),
    "weights that do not exist": command("--weights", "no.pth", "--labels", "names.txt", model="test_resnet"),
    "weights of a saved model": command("--weights", "names.txt"),
    "a nested model": command(model="nested"),
    "a step that does not exist": command("--steps", "init,destil"),
    "steps in another order": command("--steps", "distil,init"),
    "two choices of classes": command("--classes", "super 00", "--shard", "1/2"),
    "a class that does not exist": command("--classes", "super 07"),
    "a part that does not exist": command("--shard", "3/2"),
    "more parts than superclasses": command("--shard", "1/3"),
    "parts of one superclass": command("--shard", "1/2", model="alone", data="bare"),
    "numbers out of range": command("--epochs", "0", "--temperature", "0"),
    "classes that nothing teaches": command("--no-labels", model="half"),
    "images of classes that the model does not have": command(model="half_alone", data="bare"),
    "a shape that does not exist": command("--preset", "egde"),
    "options that the model does not have": command("--model-kwargs", "widhts=8,4,4"),
    "an image size that does not fit": command("--img-size", "33", model="patches"),
    "a trunk of other channels": command("--model-kwargs", "in_chans=1"),
    "a fit of group norms": command("--model-kwargs", "norm=group"),
    "a split without images": command(data="empty"),
    "images without labels": command(data="unlabelled"),
    "too few images to hold some out": without_split(command(data="few")),
    "a loss that is not finite": command("--lr", "1e30", "--steps", "init,distil", "--batch-size", "4", out="nan"),
    "labels of another number of outputs": command("--labels", "names.txt", model="test_resnet"),
    "a timm model that does not name its classes": command(model="test_resnet"),
    "a folder of another conversion": command("--shard", "2/2", out="done"),
    "a fit after distillation": command("--steps", "init,fit", out="distilled"),
    "nothing to merge": ["merge", "done", "--out", "new"],
    "merging what was not converted": ["merge", "done", "nested", "--out", "new"],
    "merging a part with itself": ["merge", "done", "done", "--out", "new"],
    "merging parts of other teachers": ["merge", "done", "other", "--out", "new"],
    "merging a part whose hierarchy was changed": ["merge", "done", "edited", "--out", "new"],
}
STARTED = (  # after what is said at the start
    "parts of one superclass",
    "images of classes that the model does not have",
    "a loss that is not finite",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Data, flat models, and parts that do not fit together."""
    made = tmp_path_factory.mktemp("conversion")
    dataset(made / "data")
    dataset(made / "bare")
    (made / "bare" / "hierarchy.json").unlink()
    splits = DatasetDict.load_from_disk(str(made / "data"))
    for name, parts in {
        "empty": {"train": splits["train"], "test": splits["test"].select([])},
        "unlabelled": {name: part.remove_columns("label") for name, part in splits.items()},
        "few": {"train": splits["train"].select([list(splits["train"]["label"]).index(0)])},
    }.items():
        DatasetDict(parts).save_to_disk(str(made / name), num_shards=dict.fromkeys(parts, 1))
    save_flat(made / "flat")
    save_flat(made / "alone", hierarchy=None)
    save_flat(made / "half", classes=TREE.classes[:3])
    save_flat(made / "half_alone", classes=TREE.classes[:3], hierarchy=None)
    save_flat(made / "patches", name="test_vit", img_size=32)
    torch.manual_seed(0)
    save(create(hierarchy=TREE), made / "nested")
    (made / "names.txt").write_text("\n".join(TREE.classes))
    save_file(timm.create_model("test_resnet").state_dict(), made / "timm.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        for name in ("done", "other"):
            convert(converting("flat", "data", name, shard="1/2", steps="init", epochs=1, views=1))
        convert(converting("flat", "data", "distilled", steps="init,distil", epochs=1, views=1))
    settings = made / "other" / "settings.json"
    content = json.loads(settings.read_text())
    content["facts"]["teacher"] = 64 * "0"
    settings.write_text(json.dumps(content))
    shutil.copytree(made / "done", made / "edited")
    hierarchy.save(TREE.at(range(5)), made / "edited" / "hierarchy.json")
    return made


GOLDEN = Golden("convert_messages.txt", lambda: list(COMMANDS))


@pytest.mark.parametrize("case", COMMANDS)
def test_the_message_is_the_golden_one(case, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pretrained = replace(timm.models.get_pretrained_cfg("test_resnet"), file="timm.safetensors")  # as if downloaded
    monkeypatch.setitem(timm.models._registry._model_pretrained_cfgs, "test_resnet", pretrained)
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *COMMANDS[case]])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    if case in STARTED:
        lines = lines[-1:]
    assert (ended.value.code, len(lines)) == (2, 1), lines
    assert lines[0].startswith("error: ")
    GOLDEN.compare(case, lines[0].removeprefix("error: "))
    assert not (files / "new").exists()
