"""`timm-nhl run`: scripts of timm's parts get the nested models, the right labels, and the installed timm."""

from __future__ import annotations

import json
import sys
import textwrap

import datasets
import pytest
import timm
import torch
from PIL import Image
from support import TESTS
from support.golden_messages import Golden
from support.trees import shape

import hierarchy
from timm_nhl.cli.main import main
from timm_nhl.export import load, save

pytestmark = pytest.mark.xdist_group("scripts")  # what they share takes seconds to make

VALIDATE = TESTS / "support" / "validating.py"
SORTED = shape(2, 3, 6)
TREE = SORTED.at([4, 0, 5, 2, 1, 3])  # its labels are not in the order of sorted ids
COUNTS = dict(zip(SORTED.classes, (1, 2, 3, 4, 5, 6), strict=True))  # id -> images of it


def image_folder(path, folder_of):
    """As many images of each class as `COUNTS` says, each class in a folder of its own."""
    for id, count in COUNTS.items():
        folder = path / folder_of[id]
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (32, 32), (20 * number, 90, 90)).save(folder / f"{id}-{number}.png")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Image folders by id, by name and by neither; models that always answer one class."""
    made = tmp_path_factory.mktemp("run")
    ids = TREE.classes
    image_folder(made / "by-id", {id: id for id in ids})
    image_folder(made / "by-name", dict(zip(ids, TREE.names, strict=True)))
    image_folder(made / "strange", {id: f"folder {id}" for id in ids})
    named = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(SORTED.classes))})
    images = [Image.new("RGB", (32, 32))] * 6
    for name, features in (("named", named), ("numbers", named | {"label": datasets.Value("int64")})):
        rows = datasets.Dataset.from_dict({"image": images, "label": range(6)}, features=datasets.Features(features))
        (made / name).mkdir()
        rows.to_parquet(made / name / "train.parquet")
    torch.manual_seed(0)
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2)
    with torch.no_grad():
        model.get_classifier().weight.zero_()
        model.get_classifier().bias.copy_(torch.arange(6.0))  # one class always wins
    save(model, made / "model")
    save(model.expert([ids[1], ids[4]]), made / "expert")
    hierarchy.save(TREE, made / "tree.json")
    return made


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Runs `timm-nhl` in that folder; gives exit code, stdout and stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["timm-nhl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def winner(model):
    """The id of the class that a model always answers."""
    model = load(model)
    with torch.no_grad():
        return model.hierarchy.classes[model(torch.zeros(1, 3, 32, 32)).argmax()]


def validated(command, model, data, *options, flags=()):
    words = (
        "--data-dir",
        data,
        "--split",
        "none",
        "--model",
        f"local-dir:{model}",
        "--device",
        "cpu",
        "--img-size",
        32,
    )
    code, out, err = command("run", *flags, VALIDATE, *words, *options)
    return code, json.loads(out) if code == 0 else None, err


@pytest.mark.parametrize("data", ["by-id", "by-name"])
def test_images_are_measured_against_the_class_they_are_of(command, data):
    code, found, err = validated(command, "model", data)
    assert code == 0, err
    # sorted folders would give the number of images of another class
    assert found["top1"] == pytest.approx(COUNTS[winner("model")]) and sum(map(len, [found["images"]])) == 21
    assert err == f"{data}: taking labels from the model's hierarchy, not from timm's sorted class names\n"


def test_an_expert_is_measured_on_the_images_of_its_classes(command):
    code, found, err = validated(command, "expert", "by-id")
    assert code == 0, err
    known = load("expert").hierarchy.classes
    assert len(found["images"]) == sum(COUNTS[id] for id in known)
    assert found["top1"] == pytest.approx(COUNTS[winner("expert")])
    assert err.endswith("leaving out 4 classes that the hierarchy does not have\n")


def test_labels_in_the_order_of_the_hierarchy_are_left_alone(command, tmp_path):
    torch.manual_seed(0)
    save(timm.create_model("test_resnet_nhl", hierarchy=SORTED, widths=(8, 4, 4), expansion=2), tmp_path / "model")
    code, _, err = validated(command, tmp_path / "model", "by-id")
    assert (code, err) == (0, "")


def test_labels_are_trusted_where_the_user_says_so(command):
    code, found, err = validated(command, "model", "strange", flags=["--trust-labels"])
    assert (code, err) == (0, "")
    assert found["top1"] == pytest.approx(COUNTS[SORTED.classes[TREE.classes.index(winner("model"))]])


SCRIPTS = {  # what is wrong -> a script
    "classes that are not in the hierarchy": """
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        create_dataset("", root="strange")""",
    "classes without names": """
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        create_dataset("hfds/./numbers", split="train")""",
    "a class map in another order": """
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        create_dataset("", root="by-id", class_map={f"n000{number}": number for number in range(6)})""",
    "a dataset that is opened before the model is made": """
        create_dataset("", root="by-id")
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")""",
    "a dataset of torchvision": """
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        create_dataset("torch/image_folder", root="by-id", split="none")""",
}


GOLDEN = Golden("run_messages.txt", lambda: list(SCRIPTS))


def script(text):
    return "import timm\nfrom timm.data import create_dataset\n" + textwrap.dedent(text)


def test_labels_of_a_hugging_face_data_set_are_paired(command, tmp_path):
    (tmp_path / "it.py").write_text(
        script("""
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        print([label for _, label in create_dataset("hfds/./named", split="train")])""")
    )
    code, out, err = command("run", tmp_path / "it.py")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1]) == [TREE.classes.index(id) for id in SORTED.classes]


@pytest.mark.parametrize("case", SCRIPTS)
def test_labels_that_cannot_be_paired_are_refused_in_one_line(case, command, tmp_path):
    (tmp_path / "it.py").write_text(script(SCRIPTS[case]))
    code, out, err = command("run", tmp_path / "it.py")
    assert code == 2 and out == ""
    GOLDEN.compare(case, err.splitlines()[-1].removeprefix("error: "))


def test_scripts_that_scripts_start_find_the_models_and_the_labels(command, tmp_path):
    """As timm's bulk_runner.py starts them."""
    (tmp_path / "child.py").write_text(
        script("""
        import sys
        timm.create_model("test_resnet_nhl", hierarchy="tree.json")
        print(sys.argv[1:], [label for _, label in create_dataset("", root="by-id")])""")
    )
    (tmp_path / "bulk.py").write_text(
        "import os, subprocess, sys\n"
        "words = [os.getenv('PYTHON_EXEC', sys.executable), '-u', sys.argv[1], '--model', 'test_resnet_nhl']\n"
        "print(subprocess.check_output(words, text=True), end='')\n"
    )
    code, out, err = command("run", tmp_path / "bulk.py", tmp_path / "child.py")
    assert code == 0, err
    wanted = [TREE.classes.index(id) for id, count in COUNTS.items() for _ in range(count)]
    assert out == f"['--model', 'test_resnet_nhl'] {wanted}\n"


def test_scripts_get_their_arguments_and_the_modules_next_to_them(command, tmp_path):
    (tmp_path / "script.py").write_text(
        "import sys, timm, beside\n"
        "if __name__ == '__main__':\n"
        "    print(sys.argv[1:], timm.is_model('resnet50_nhl'), beside.here)\n"
    )
    (tmp_path / "beside.py").write_text("here = 'found'\n")
    assert command("run", tmp_path / "script.py", "--model", "x")[1] == "['--model', 'x'] True found\n"
