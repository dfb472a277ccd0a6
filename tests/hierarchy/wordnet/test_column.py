"""The sheet of senses: unedited it changes nothing, an edited row is certain, a wrong one is an error with its line."""

from __future__ import annotations

import json
import sys

import pytest
from support.golden_messages import Golden

from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.errors import HierarchyError
from hierarchy.sources import ClassList
from hierarchy.wordnet import Confidence, find_senses, senses_to_sheet

NAMES = ("mouse", "keyboard", "credit score", "lion", "xyzzy", "bass (fish)", 'a, "b"')
CLASSES = ClassList(NAMES, NAMES, ("",) * len(NAMES), "names.txt")


@pytest.fixture(scope="module")
def chosen(wordnet):
    return find_senses(CLASSES, wordnet)


@pytest.fixture
def sheet(chosen, tmp_path, monkeypatch):
    """A sheet in the current folder, and a function that replaces text in it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "senses.csv"
    path.write_text(senses_to_sheet(CLASSES, chosen.meanings, chosen.wordnet), encoding="utf-8")

    def change(*pairs):
        text = path.read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new, 1)
        path.write_text(text, encoding="utf-8")
        return find_senses(CLASSES, chosen.wordnet, sheet="senses.csv")

    return change


def test_an_unedited_sheet_changes_nothing(sheet, chosen):
    assert sheet() == chosen


def test_what_a_person_writes_is_exact_and_all_else_stays(sheet, chosen):
    mouse = chosen.meanings[0].wnid
    found = sheet((f"mouse,mouse,{mouse}", "mouse,mouse,n03793489"))
    assert found.meanings[0].wnid == "n03793489" and found.meanings[0].confidence is Confidence.EXACT
    assert found.definitions[0].startswith("a hand-operated electronic device")
    assert found.meanings[1:] == chosen.meanings[1:]


def test_a_sense_may_be_named_as_nltk_names_it_and_an_unknown_name_may_get_one(sheet, chosen):
    mouse = chosen.meanings[0].wnid
    found = sheet(
        (f"mouse,mouse,{mouse}", "mouse,mouse,mouse.n.04"), ("xyzzy,xyzzy,,", "xyzzy,xyzzy,magic_trick.n.01,")
    )
    assert [meaning.confidence for meaning in (found.meanings[0], found.meanings[4])] == [Confidence.EXACT] * 2
    assert found.meanings[0].wnid == "n03793489"


def test_a_guess_can_be_confirmed_or_deleted(sheet, chosen):
    score = chosen.meanings[2]
    assert score.confidence is Confidence.HEAD and not chosen.definitions[2]
    confirmed = sheet((f"{score.wnid},no", f"{score.wnid},yes"))
    assert confirmed.meanings[2].confidence is Confidence.EXACT and confirmed.definitions[2]
    deleted = sheet((f"{score.wnid},yes", ",no"))
    assert not deleted.meanings[2] and not deleted.definitions[2]


def test_rows_and_columns_may_be_left_out(chosen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "senses.csv").write_text("sense;id\nn02330245;mouse\n\n", encoding="utf-8")
    found = find_senses(CLASSES, chosen.wordnet, sheet="senses.csv")
    assert found.meanings[0].wnid == "n02330245" and found.meanings[1:] == chosen.meanings[1:]


WRONG = {
    "a sense that is not there": "id,sense\nlion,n02129166\n",
    "a sense of a class that WordNet lacks": "id,sense\nxyzzy,n1\n",
    "a number that the word has not": "id,sense\nmouse,mouse.n.9\n",
    "a verb": "id,sense\nlion,run.v.01\n",
    "an unknown id": "id,sense\nliom,n02129165\n",
    "an id twice": "id,sense\nlion,n02129165\nlion,n02129165\n",
    "no column sense": "id,name\nlion,lion\n",
    "an empty file": "",
    "too many fields": "id,sense\nlion,n02129165,x\n",
    "an open quote": 'id,sense\nlion,"n02129165\n',
}
GOLDEN = Golden("senses_messages.txt", lambda: list(WRONG))


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_sheet_is_one_sentence_with_the_line(case, chosen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "senses.csv").write_text(WRONG[case], encoding="utf-8")
    with pytest.raises(HierarchyError) as error:
        find_senses(CLASSES, chosen.wordnet, sheet="senses.csv")
    GOLDEN.compare(case, str(error.value))


def test_the_commands_write_the_sheet_and_use_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["hierarchy", *words])
        code = run(app)
        return code, *capsys.readouterr()

    (tmp_path / "names.txt").write_text("mouse\nlion\ntiger\ntable\nxyzzy\n", encoding="utf-8")
    assert call("senses", "names.txt")[:2] == (0, "senses.csv: 5 classes, 0 unsure, 1 unknown\n")
    code, _, err = call("senses", "names.txt")  # it may hold a person's work
    assert code == 2 and err.startswith("error: cannot write 'senses.csv': it exists; give --senses senses.csv to keep")
    text = (tmp_path / "senses.csv").read_text(encoding="utf-8")
    (tmp_path / "senses.csv").write_text(
        text.replace("mouse,mouse,n02330245", "mouse,mouse,n03793489"), encoding="utf-8"
    )
    assert call("senses", "names.txt", "--senses", "senses.csv")[0] == 0
    assert "mouse,mouse,n03793489,yes" in (tmp_path / "senses.csv").read_text(encoding="utf-8")
    assert call("generate", "names.txt", "--senses", "senses.csv", "--out", "tree.json")[0] == 0
    provenance = json.loads((tmp_path / "tree.json").read_text(encoding="utf-8"))["provenance"]
    assert provenance["command"].endswith("--senses senses.csv") and provenance["settings"]["senses"] == "senses.csv"
    assert "electronic device" in call("explain", "tree.json", "mouse", "--senses", "senses.csv")[1]
    assert call("check", "tree.json", "--senses", "senses.csv")[0] == 0
