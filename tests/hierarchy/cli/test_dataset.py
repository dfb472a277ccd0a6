"""`hierarchy dataset`: what the commands write and print, what they refuse, and their memory on 1.3 million rows.

golden/dataset_messages.txt has all messages; after a change, regenerate it with WRITE_GOLDEN=1 and read the difference.
"""

import contextlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from support import ROOT
from support.golden_messages import Golden
from support.images import PETS, image_file, image_rows
from support.watched import WATCHED
from typer.main import get_command

from hierarchy import Hierarchy, load, save
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.dataset import FORMS, export, label, open_data, split
from hierarchy.errors import HierarchyError
from hierarchy.io import read

pytestmark = pytest.mark.xdist_group("dataset commands")
PAGE = ROOT / "docs" / "how-to" / "datasets.md"
IDS = list(PETS.classes)


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs `hierarchy dataset` in this process; gives exit code, stdout and stderr without progress."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hierarchy", "dataset", *arguments])
        code = run(app)
        out, err = capsys.readouterr()
        return code, out, [line for line in err.splitlines() if not re.match(r" +\d+\.\d s  ", line)]

    return call


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Datasets good and bad, made once."""
    root = tmp_path_factory.mktemp("originals")
    with contextlib.chdir(root):
        make_datasets(root)
    return root


@pytest.fixture
def folder(originals, tmp_path, tmp_path_factory, monkeypatch):
    """A copy of all datasets in the current folder."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    shutil.copytree(originals, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def make_datasets(root):
    save(PETS, "pets.json")
    twins = Hierarchy.from_rows([*PETS.rows, ("n5", "beagle", "mammals", "dogs")])
    save(twins, "twins.json")
    good = image_rows([0, 1, 2, 3, 0, 1, 0, 3, 1, 0], IDS)
    good.save_to_disk("good")
    label(good, PETS).save_to_disk("labelled")
    datasets.DatasetDict(train=good, test=good.select([1])).save_to_disk("two")
    image_rows(["tabby", "beagle"]).save_to_disk("names")
    image_rows(["tabby", "lion", "lion", "cobra", "tabbi"]).save_to_disk("unknowns")
    image_rows(["n1", "tabby", "n2"]).save_to_disk("both")
    image_rows(["tabbi"]).save_to_disk("unknown")
    image_rows([0, None, 2, None, None], IDS).save_to_disk("null")
    numbers = image_rows([0, 1, 2], IDS).cast_column("label", datasets.Value("int64"))
    numbers.save_to_disk("numbers")
    numbers.rename_column("label", "score").cast_column("score", datasets.Value("float32")).save_to_disk("scores")
    numbers.add_column("other", [7, -1, 0]).save_to_disk("others")
    good.add_column("superclass", ["furry"] * 10).save_to_disk("taken")
    good.remove_columns("image").save_to_disk("bare")
    good.remove_columns("label").save_to_disk("unlabelled")
    good.rename_column("label", "fine").add_column("coarse", [0] * 10).class_encode_column("coarse").save_to_disk(
        "two labels"
    )
    good.add_column("mask", good.cast_column("image", datasets.Image(decode=False))["image"]).cast_column(
        "mask", datasets.Image()
    ).save_to_disk("masks")
    image_rows([0, 1], ["a b", "a:b"]).save_to_disk("colon")
    image_rows([0, 1, 2], IDS, price=[1.5, float("nan"), None]).save_to_disk("prices")
    images = [
        {"bytes": image_file(0), "path": None},
        {"bytes": image_file(1)[:45], "path": None},
        {"bytes": b"x", "path": None},
    ]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    torn = datasets.Dataset.from_dict({"image": images, "label": ["n1", "n2", None]}, features=features)
    torn.save_to_disk("torn")
    gone = datasets.Dataset.from_dict({"image": [f"{root}/{i}.png" for i in range(3)], "label": ["n1"] * 3})
    gone = gone.cast_column("image", datasets.Image())
    about = {b"huggingface": json.dumps({"info": {"features": gone.features.to_dict()}}).encode()}
    pq.write_table(gone.data.table.replace_schema_metadata(about), "gone.parquet")
    Path("1.png").write_bytes(image_file(1))
    good.select([]).save_to_disk("empty", num_shards=1)
    Path("broken").mkdir()
    Path("broken/state.json").write_text("{")
    Path("nothing").mkdir()
    Path("bad.parquet").write_bytes(b"PAR1")
    for place in (
        "mixed/train/n1",
        "mixed/test",
        "deep/data/train/n1",
        "deep/data/test/n1",
        "odd/train/n1",
        "odd/hold-out/n1",
    ):
        Path(place).mkdir(parents=True)
        Path(place, "1.png").write_bytes(image_file(0))
    Path("tables").mkdir()
    for name in ("cats", "dogs"):
        good.to_parquet(f"tables/{name}.parquet")
    Path("names.txt").write_text("n1\nn2\nn3\n")
    Path("none.txt").write_text("")
    Path("letters.txt").write_text("n1\nn2\nn3\nn4\nn5\n")


OUT = ["--out", "out"]
BAD = {  # what is wrong -> arguments of `hierarchy dataset`
    "no such source": ["stats", "zzz", "pets.json"],
    "an unreachable dataset on the Hub": ["stats", "nobody/nothing", "pets.json"],
    "a saved folder that is broken": ["stats", "broken", "pets.json"],
    "an empty folder": ["stats", "nothing", "pets.json"],
    "parquet that is broken": ["stats", "bad.parquet", "pets.json"],
    "images at different depths": ["stats", "mixed", "pets.json"],
    "splits further down": ["stats", "deep", "pets.json"],
    "a folder that cannot be a split": ["stats", "odd", "pets.json"],
    "parquet of unclear splits": ["stats", "tables", "pets.json"],
    "no such split": ["stats", "two", "pets.json", "--split", "tset"],
    "a split of a dataset without splits": ["stats", "good", "pets.json", "--split", "train"],
    "no such hierarchy": ["label", "good", "missing.json", *OUT],
    "no label column": ["stats", "unlabelled", "pets.json"],
    "several label columns": ["stats", "two labels", "pets.json"],
    "a missing column": ["stats", "good", "pets.json", "--column", "labels"],
    "a column missing in each split": ["stats", "two", "pets.json", "--column", "labels"],
    "a column of fractions": ["stats", "scores", "pets.json", "--column", "score"],
    "a column of images": ["stats", "good", "pets.json", "--column", "image"],
    "numbers without names": ["label", "numbers", "pets.json", *OUT],
    "names for strings": ["label", "names", "pets.json", "--names", "names.txt", *OUT],
    "a wrong number of names": ["label", "good", "pets.json", "--names", "letters.txt", *OUT],
    "no names": ["label", "numbers", "pets.json", "--names", "none.txt", *OUT],
    "numbers out of range": ["label", "others", "pets.json", "--column", "other", "--names", "names.txt", *OUT],
    "null labels": ["label", "null", "pets.json", *OUT],
    "unknown classes": ["label", "unknowns", "pets.json", *OUT],
    "one unknown class": ["label", "unknown", "pets.json", *OUT],
    "a name of two classes": ["label", "names", "twins.json", *OUT],
    "two names of one class": ["label", "both", "pets.json", *OUT],
    "a level column of another kind": ["label", "taken", "pets.json", *OUT],
    "bad images": ["label", "torn", "pets.json", "--check-images", *OUT],
    "missing image files": ["label", "gone.parquet", "pets.json", *OUT],
    "a list of bad rows in a missing folder": ["stats", "null", "pets.json", "--bad-rows", "no/bad.csv"],
    "an image column without a check": ["label", "good", "pets.json", "--image", "image", *OUT],
    "a dataset without images": ["label", "bare", "pets.json", "--check-images", *OUT],
    "output that exists": ["label", "good", "pets.json", "--out", "two"],
    "output in a missing folder": ["label", "good", "pets.json", "--out", "no/out"],
    "output below a file": ["label", "good", "pets.json", "--out", "names.txt/out"],
    "a subset without classes": ["subset", "good", "pets.json", *OUT],
    "a subset of an unknown class": ["subset", "good", "pets.json", "--classes", "tabbi", *OUT],
    "split without parts": ["split", "good", *OUT],
    "split without a share": ["split", "good", "--part", "train", "--part", "test=x", *OUT],
    "split with a repeated part": ["split", "good", "--part", "train=0.5", "--part", "train=0.5", *OUT],
    "shares above 1": ["split", "good", "--part", "train=0.8", "--part", "test=0.3", *OUT],
    "a share of 0": ["split", "good", "--part", "train=1.0", "--part", "test=0", *OUT],
    "split a dataset with splits": ["split", "two", "--part", "train=0.8", "--part", "test=0.2", *OUT],
    "split bad rows": ["split", "null", "--part", "train=0.8", "--part", "test=0.2", *OUT],
    "a bad name of a part": ["split", "good", "--part", "a/b=0.8", "--part", "test=0.2", *OUT],
    "an unknown form": ["export", "good", "--form", "tar", *OUT],
    "export without images": ["export", "bare", "--form", "parquet", *OUT],
    "export with two image columns": ["export", "masks", "--form", "parquet", *OUT],
    "export one of two image columns": ["export", "masks", "--form", "parquet", "--image", "image", *OUT],
    "export an unknown image column": ["export", "good", "--form", "parquet", "--image", "images", *OUT],
    "export names as numbers": ["export", "names", "--form", "webdataset", *OUT],
    "export a class with a colon": ["export", "colon", "--form", "image-folder", *OUT],
    "export NaN": ["export", "prices", "--form", "webdataset", *OUT],
    "export bad images": ["export", "torn", "--form", "parquet", *OUT],
    "a stream by two processes": ["export", "good", "--form", "parquet", "--streaming", "--num-proc", "2", *OUT],
    "an empty stream": ["stats", "empty", "pets.json", "--streaming"],
}
CALLS = {  # the same for calls from Python
    "label a stream and check it": lambda: label(open_data("good", streaming=True), PETS, check=lambda part: []),
    "split a stream": lambda: split(open_data("good", streaming=True), {"a": 1.0}),
    "split into nothing": lambda: split(open_data("good"), {}),
    "splits with different numbers": lambda: label(
        datasets.DatasetDict(a=image_rows([0], ["n1", "n2"]), b=image_rows([0], ["n2", "n1"])), PETS
    ),
    "streams with different numbers": lambda: label(
        datasets.IterableDatasetDict(
            a=image_rows([0], ["n1", "n2"]).to_iterable_dataset(), b=image_rows([0], ["n2", "n1"]).to_iterable_dataset()
        ),
        PETS,
    ),
    "a bad row of a stream": lambda: list(label(open_data("null", streaming=True), PETS)),
    "many bad rows": lambda: label(image_rows([0, None] * 120, IDS), PETS),
    "an unknown form": lambda: export(open_data("good"), "out", form="tar"),
}


def all_cases():
    return [*BAD, *(f"python: {case}" for case in CALLS)]


GOLDEN = Golden("dataset_messages.txt", all_cases)


def test_bad_input_is_refused_in_one_line_and_nothing_is_written(folder, command):
    before = sorted(folder.rglob("*"))
    for case, arguments in BAD.items():
        code, out, err = command(*arguments)
        assert (code, out, len(err)) == (2, "", 1), (case, err)
        assert err[0].startswith("error: ")
        GOLDEN.compare(case, err[0].removeprefix("error: "))
        assert sorted(folder.rglob("*")) == before, case
    for case, call in CALLS.items():
        with pytest.raises(HierarchyError) as caught:
            call()
        GOLDEN.compare(f"python: {case}", str(caught.value))
        assert sorted(folder.rglob("*")) == before, case


def test_all_bad_rows_are_listed_in_a_file(folder, command):
    image_rows([0, None] * 120 + [1], IDS).save_to_disk("many")
    many = "split,row,fault\n" + "".join(f",{row},no label\n" for row in range(1, 240, 2))
    for words in (
        ["label", "many", "pets.json", *OUT],
        ["subset", "many", "pets.json", "--classes", "carp", *OUT],
        ["stats", "many", "pets.json"],
        ["split", "many", "--part", "train=1", *OUT],
        ["export", "many", "--form", "parquet", *OUT],
    ):
        Path("bad.csv").unlink(missing_ok=True)
        assert command(*words, "--bad-rows", "bad.csv")[0] == 2
        assert Path("bad.csv").read_text() == many, words
    assert command("stats", "torn", "pets.json", "--check-images", "--bad-rows", "bad.csv")[0] == 2
    assert Path("bad.csv").read_text().splitlines() == [
        "split,row,fault",
        ",1,cannot decode the image",
        ",2,cannot decode the image",
        ",2,no label",
    ]
    assert command("stats", "good", "pets.json", "--bad-rows", "bad.csv")[0] == 0
    assert Path("bad.csv").read_text() == "split,row,fault\n"


def test_a_full_disk_is_reported_and_nothing_is_left(folder):
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)); "
    code = limited + "from hierarchy.cli.main import main; main()"
    words = ["dataset", "export", "two", "--form", "parquet", "--out", "out"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "error: cannot write 'out': file too large; free some disk space"
    assert not list(folder.glob("*out*"))


# What is written


def test_a_dataset_goes_all_the_way(folder, command):
    assert command("label", "good", "pets.json", "--out", "all")[:2] == (0, "all\n")
    assert load("all/hierarchy.json") == PETS
    code, out, _ = command(
        "subset", "all", "pets.json", "--classes", "mammals/cats", "--classes", "beagle", "--out", "few"
    )
    assert (code, out) == (0, "few\n")
    few = datasets.load_from_disk("few")
    small = PETS.subset("n1", "n3", "n4")
    assert few.features["label"].names == list(small.classes)
    saved = json.loads(Path("few/hierarchy.json").read_text())
    assert load(saved) == small
    assert saved["provenance"]["old_to_new_label"] == [[0, 0], [2, 1], [3, 2]]
    assert saved["provenance"]["of"] == PETS.digest
    assert shlex.split(saved["provenance"]["command"])[:4] == ["hierarchy", "dataset", "subset", "all"]
    code, out, err = command("split", "few", "--part", "train=0.5", "--part", "test=0.5", "--out", "parts")
    assert (code, out, err) == (0, "parts\n", ["classes with fewer rows than parts, missing in some: n3 (1)"])
    assert load("parts/hierarchy.json") == small
    assert datasets.load_from_disk("parts").num_rows == {"train": 4, "test": 3}
    code, out, err = command("stats", "parts", "parts/hierarchy.json", "--json", "--html", "page.html")
    assert code == 0
    found = json.loads(out)
    assert found["levels"]["groups"]["images"]["train"] == {"mammals/cats": 3, "mammals/dogs": 1}
    assert found["missing"] == {"test": ["n3"]}
    assert '"images":[' in Path("page.html").read_text(encoding="utf-8")
    for form in ("image-folder", "parquet"):
        assert command("export", "parts", "--form", form, "--out", form)[0] == 0
        code, out, err = command("stats", form, f"{form}/hierarchy.json", "--json", "--streaming")
        assert (code, json.loads(out)["splits"]) == (0, found["splits"]), err
    assert sorted(path.name for path in Path("image-folder/train").iterdir()) == ["n1", "n3", "n4"]


def test_a_dataset_without_a_hierarchy_can_be_split(folder, command):
    assert command("split", "good", "--part", "a=0.5", "--part", "b=0.5", "--seed", "3", "--out", "out")[0] == 0
    about = json.loads(Path("out/provenance.json").read_text())
    assert (about["seed"], about["shares"]) == (3, {"a": 0.5, "b": 0.5})
    first = datasets.load_from_disk("out").with_format("arrow")
    assert command("split", "good", "--part", "a=0.5", "--part", "b=0.5", "--seed", "3", "--out", "again")[0] == 0
    again = datasets.load_from_disk("again").with_format("arrow")
    assert all(first[name][:].equals(again[name][:]) for name in "ab")


def test_a_class_source_names_numbers(folder, command):
    assert command("label", "numbers", "pets.json", "--names", "names.txt", "--num-proc", "2", "--out", "out")[0] == 0
    assert list(datasets.load_from_disk("out")["group"]) == [1, 0, 1]
    image_rows([0, 1, 1], IDS[:2]).cast_column("label", datasets.Value("int64")).save_to_disk("binary")
    Path("two.txt").write_text("n1\nn2\n")  # fewer than a hierarchy needs
    assert command("label", "binary", "pets.json", "--names", "two.txt", "--out", "two classes")[0] == 0


@pytest.mark.parametrize("more", [[], ["--streaming"]])
@pytest.mark.parametrize("form", FORMS)
def test_an_export_includes_the_hierarchy_of_its_source(form, more, folder, command):
    save(PETS, "labelled/hierarchy.json")
    words = ["export", "labelled", "--form", form, *more, "--out", "out"]
    assert command(*words)[0] == 0
    saved = read("out/hierarchy.json")
    assert saved.hierarchy == PETS
    assert saved.provenance["form"] == form
    assert shlex.split(saved.provenance["command"]) == ["hierarchy", "dataset", *words]
    assert command("export", "good", *words[2:-1], "without")[0] == 0
    assert not list(Path("without").rglob("*.json"))


def test_the_table_of_statistics(folder, command):
    code, out, _ = command("stats", "two", "pets.json")
    assert code == 0
    assert out == TABLE


TABLE = """\
                 nodes  missing    least     most    ratio  evenness
superclasses         2        0        4        7      1.8     0.946
groups               3        0        2        5      2.5     0.943
classes              4        0        1        4      4.0     0.912

      images       train        test  node
          11          10           1  all
           4           3           1    fish
           4           3           1      carps
           7           7           0    mammals
           5           5           0      cats
           2           2           0      dogs

test: no images of 3 classes: tabby (n1), siamese (n3), beagle (n4)
"""


def test_an_expert_without_images_is_saved_and_read_again(folder, command):
    assert command("subset", "names", "pets.json", "--classes", "carp", "--num-proc", "2", "--out", "out")[0] == 0
    data = datasets.load_from_disk("out")
    assert (data.num_rows, data.features["label"].names) == (0, ["n2"])
    assert command("label", "out", "out/hierarchy.json", "--out", "again")[0] == 0
    assert datasets.load_from_disk("again").column_names == ["image", "label", "superclass", "group"]


# The page


def test_the_commands_and_the_code_of_the_page_run(folder, command, monkeypatch):
    (folder / "page").mkdir()
    monkeypatch.chdir(folder / "page")
    text = PAGE.read_text(encoding="utf-8")
    names = ["aquarium_fish", "shark", "ray", "tiger", "lion"]
    image_rows([0, 1, 2, 3, 4] * 8, names).rename_column("label", "fine_label").save_to_disk("photos")
    shown = re.findall(r"^    (hierarchy dataset .*(?:\\\n.*)*)", text, re.MULTILINE)
    assert len(shown) >= 7
    for line in shown:
        words = shlex.split(line.replace("\\\n", " "), comments=True)
        code, _, err = command(*words[2:])
        assert code == 0, (line, err)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    small = load("cifar100").subset("fish/sharks and rays", "lion")
    assert datasets.load_from_disk("parts")["train"].features["fine_label"].names == list(small.classes)


def test_the_page_has_every_command_and_flag_and_no_other():
    text = PAGE.read_text(encoding="utf-8")
    commands = get_command(app).commands["dataset"].commands
    flags = {flag for one in commands.values() for option in one.params for flag in option.opts if flag[:2] == "--"}
    assert flags == set(re.findall(r"--[a-z][a-z-]*", text))
    assert all(f"`{name}`" in text for name in commands)


# The cost


@pytest.mark.slow
def test_commands_on_1300000_rows_take_less_than_2_gib(tmp_path):
    tree = load("imagenet1k")
    numbers = np.random.default_rng(0).integers(0, 1000, 1_300_000)
    features = datasets.Features({"label": datasets.ClassLabel(names=list(tree.classes))})
    datasets.Dataset.from_dict({"label": numbers}, features=features).save_to_disk(tmp_path / "in")
    peaks = []
    for words in (
        "label in imagenet1k --out labelled",
        "subset labelled imagenet1k --classes dogs --classes birds --out few",
        "stats labelled imagenet1k --html page.html",
        "split labelled --part train=0.8 --part validation=0.1 --part test=0.1 --out parts",
    ):
        words = ["hierarchy", "dataset", *words.split()]
        done = subprocess.run(
            [sys.executable, "-c", WATCHED, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stderr)
        peaks.append(int(peak) * 1024)
    assert max(peaks) < 2 * 2**30
    parts = datasets.load_from_disk(str(tmp_path / "parts"))
    assert sum(parts.num_rows.values()) == len(numbers)
    small = np.array(tree.labels("dogs", "birds"))
    expected = np.searchsorted(small, numbers[np.isin(numbers, small)])
    found = datasets.load_from_disk(str(tmp_path / "few")).with_format("numpy")["label"][:]
    assert np.array_equal(found, expected)
