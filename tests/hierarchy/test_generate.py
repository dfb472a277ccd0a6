"""The main job on real input, and the shipped files as what their commands give."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest
from support import TESTS

import hierarchy
from hierarchy.checks import read_reference, score
from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.generate import Settings
from hierarchy.io import folder, read, shipped
from hierarchy.review import Paths, hold_lock
from hierarchy.sources import read_classes

REFERENCES = TESTS / "references"


def command(words, cwd=None, check=True):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd, check=check)


def golden_tree(made):
    """Compares a tree with the golden one, which WRITE_GOLDEN=1 writes; read the difference as a person would."""
    groups = {}
    for name, place in sorted(zip(made.names, made.groups, strict=True), key=lambda row: row[::-1]):
        groups.setdefault("/".join(place), []).append(name)
    text = "".join(f"{path}: {', '.join(names)}\n" for path, names in groups.items())
    golden = TESTS / "golden" / "cifar100_tree.txt"
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs the command `hierarchy` in this process: exit code, stdout, stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hierarchy", *map(str, words)])
        return (run(app), *capsys.readouterr())

    return call


@pytest.mark.slow
@pytest.mark.xdist_group("imagenet_run")
def test_imagenet_has_every_id_exactly_once_within_two_gibibytes(imagenet_run):
    out, peak = imagenet_run
    made = hierarchy.load(out)
    assert made.classes == read_classes("imagenet-1k").ids
    assert len(set(made.classes)) == 1000
    assert made.sizes == (20, 200, 1000)
    assert peak < 2 * 2**30


@pytest.mark.slow
@pytest.mark.xdist_group("imagenet_run")
def test_dogs_birds_and_reptiles_are_kept_apart(imagenet_run):
    made = hierarchy.load(imagenet_run[0])
    homes = {
        kind: {made.groups[label][0] for label in labels}
        for kind, labels in {"dogs": range(151, 269), "birds": range(7, 25), "snakes": range(52, 69)}.items()
    }
    assert all(len(home) == 1 for home in homes.values()), homes
    assert len(set.union(*homes.values())) == 3


@pytest.mark.xdist_group("wordnet")
def test_names_alone_recover_cifars_superclasses(tmp_path, call):
    out = tmp_path / "cifar.json"
    assert call("generate", "cifar-100", "--superclasses", "20", "--out", out)[0] == 0
    made = hierarchy.load(out)
    assert made.sizes[0] == 20
    result = score(made, read_reference(str(REFERENCES / "cifar100_superclasses.json")))
    assert result.covered == 100
    assert result.superclass_ari.value >= 0.60 and result.superclass_ami.value >= 0.70
    assert abs(result.superclass_ari.random) < 0.05
    golden_tree(made)
    found = json.loads(out.with_suffix(".findings.json").read_text())
    assert found and {"kind", "node", "message", "severity", "evidence", "edit"} <= set(found[0])
    provenance = read(out).provenance
    assert provenance["command"] == "python -m hierarchy.generate cifar-100 --superclasses 20"
    assert provenance["wordnet"] == "3.0" and provenance["versions"]["timm"]


@pytest.mark.parametrize("name", shipped())
def test_every_class_of_a_shipped_file_is_decided_and_the_file_says_by_whom_and_how(name):
    provenance = read(name).provenance
    review = provenance["review"]
    assert review["reviewed"] == review["classes"] == len(hierarchy.load(name))
    assert review["one_by_one"] + review["together"] == review["reviewed"]  # those together stayed where they were
    assert provenance["reviewed_by"] == ["a language model (no person yet)"]
    assert provenance["proposed_by"] == "clustering of class embeddings (hierarchy.generate)"


@pytest.mark.parametrize("name", shipped())
def test_shipped_nodes_have_children_even_sizes_and_names_that_say_something(name):
    tree = hierarchy.load(name)
    assert min(Counter(tree.groups).values()) >= 2
    assert min(Counter(tree.parents(2)).values()) >= 2
    words = {word for path in tree.nodes(2) for word in re.findall(r"\w+", path)}
    assert not words & {"others", "other", "misc", "miscellaneous", "things", "objects", "devices", "items", "stuff"}
    largest = max(Counter(tree.ancestors(1)).values())
    assert largest <= {"imagenet1k": 118, "imagenet100": 21, "cifar100": 6}[name]  # the 118 are the dogs


def test_the_shipped_ones_have_the_published_shapes():
    assert hierarchy.load("imagenet1k").sizes == (20, 200, 1000)
    assert hierarchy.load("imagenet100").sizes == (7, 23, 100)
    assert hierarchy.load("cifar100").sizes == (20, 40, 100)


def test_imagenet100_is_cmcs_list_in_its_order():
    assert list(hierarchy.load("imagenet100").classes) == (folder("data") / "imagenet100_cmc.txt").read_text().split()


def test_the_summary_can_be_read_by_a_script(tmp_path):
    names = tmp_path / "pets.txt"
    names.write_text("beagle\ncollie\ntabby\nsiamese cat\ngoldfish\ncarp\nparrot\ncanary\n")
    out = tmp_path / "pets.json"
    printed = command(["-m", "hierarchy.generate", str(names), "--out", str(out), "--json"])  # the real command
    summary = json.loads(printed.stdout)
    assert summary["classes"] == 8 and summary["digest"] == hierarchy.load(out).digest
    assert "embedding" in printed.stderr


@pytest.mark.parametrize("name", shipped())
def test_labels_are_in_the_sorted_order_of_ids_unless_the_source_numbers_its_classes(name):
    """timm's scripts number the folders of an image folder in sorted order; CMC's list has an order of its own."""
    classes = hierarchy.load(name).classes
    assert (list(classes) == sorted(classes)) == (name != "imagenet100")


def test_the_command_in_the_provenance_can_be_pasted():
    assert Settings("my classes.txt").command == "python -m hierarchy.generate 'my classes.txt'"


def test_a_csv_gets_a_provenance_file_and_never_replaces_its_source(tmp_path, call):
    names = tmp_path / "pets.csv"
    names.write_text("name\nbeagle\ncollie\ntabby\nsiamese cat\n")
    command(["-m", "hierarchy.generate", str(names), "--out", str(tmp_path / "tree.csv")])
    assert json.loads((tmp_path / "tree.csv.provenance.json").read_text())["classes"] == 4
    refused = command(["-m", "hierarchy.generate", str(names), "--out", str(names)], check=False)
    assert refused.returncode == 2 and "it is the source; choose another name" in refused.stderr
    assert names.read_text().startswith("name\nbeagle")


NAMES = "name\nbeagle\ncollie\ntabby\nsiamese cat\ngoldfish\ncarp\nparrot\ncanary\n"


@pytest.fixture
def generate(tmp_path, monkeypatch, call):
    """Runs `hierarchy generate pets.csv` with further words, in a folder with that file: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.csv").write_text(NAMES)
    return lambda *words: call("generate", "pets.csv", *words)


@pytest.mark.parametrize("out", ["data/../pets.csv", "link.csv", "here/pets.csv"])
def test_the_source_is_never_replaced_whatever_it_is_called(out, generate, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "here").symlink_to(tmp_path)
    (tmp_path / "link.csv").symlink_to("pets.csv")
    code, printed, err = generate("--out", out)
    assert (code, printed) == (2, "") and "it is the source; choose another name" in err
    assert (tmp_path / "pets.csv").read_text() == NAMES


def test_a_default_name_that_is_a_link_to_the_source_does_not_replace_it_either(generate, tmp_path):
    (tmp_path / "pets.json").symlink_to("pets.csv")
    assert "it is the source; choose another name" in generate()[2]
    assert (tmp_path / "pets.csv").read_text() == NAMES


def test_all_files_are_next_to_the_target_of_a_link(generate, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.json").symlink_to("elsewhere/tree.json")
    code, out, _ = generate("--out", "link.json")
    assert code == 0 and out.startswith(f"{tmp_path / 'elsewhere' / 'tree.json'}: ")
    made = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert made == ["tree.evidence.json", "tree.findings.json", "tree.json", "tree.proposal.json"]
    assert (tmp_path / "link.json").is_symlink() and {path.name for path in tmp_path.glob("link*")} == {"link.json"}


def test_nothing_is_generated_while_a_reviewer_holds_the_lock(generate, tmp_path):
    assert generate("--out", "tree.json")[0] == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with hold_lock(Paths.of(tmp_path / "tree.json"), "Ada"):
        code, out, err = generate("--out", "tree.json", "--superclasses", "2")
        assert (code, out) == (2, "") and "'tree.json' is being reviewed by Ada (process " in err
        assert "reading classes" not in err  # at once
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "tree.lock").write_text("{}")  # as a crash leaves it
    assert generate("--out", "tree.json", "--superclasses", "2")[0] == 0
    assert not (tmp_path / "tree.lock").exists()
