"""The index of WordNet's nouns: what NLTK says of every noun, made once, and made elsewhere where data is read-only."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import zipfile

import pytest
from nltk.corpus import wordnet as nltk_wordnet

from hierarchy.errors import WordNetMissing
from hierarchy.wordnet import database, datafiles, index
from hierarchy.wordnet.datafiles import READ, find_data, search_path
from hierarchy.wordnet.index import NAME, open_index

LICENCE = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  \n"
SMALL = {  # three nouns in the form of the data files
    "data.noun": LICENCE
    + "00000100 03 n 01 entity 0 001 ~ 00000200 n 0000 | that which exists\n"
    + '00000200 05 n 02 dog 0 domestic_dog 1 001 @ 00000100 n 0000 | a pet; "the dog barked"\n'
    + "00000300 15 n 01 Rex 0 001 @i 00000200 n 0000 | a dog's name; kings\n",
    "index.noun": LICENCE
    + "dog n 1 1 @ 1 1 00000200  \ndomestic_dog n 1 1 @ 1 0 00000200  \nentity n 1 1 ~ 1 1 00000100  \n"
    + "rex n 1 1 @ 1 0 00000300  \n",
    "noun.exc": "doggen dog\n",
    "cntlist.rev": "dog%1:05:00:: 1 42\n",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An `nltk_data` folder with three nouns, the only one that is looked at, and a cache of its own."""
    data = tmp_path / "nltk_data" / "corpora" / "wordnet"
    data.mkdir(parents=True)
    for name, text in SMALL.items():
        (data / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(datafiles, "search_path", lambda: [str(tmp_path / "elsewhere"), str(tmp_path / "nltk_data")])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return data


def read(monkeypatch):
    """The three nouns as WordNet gives them."""
    monkeypatch.setattr(database, "_reader", open_index)
    wordnet = database.WordNet()
    assert [wordnet.senses(word) for word in ("dogs", "Domestic  dog", "doggen", "cat", "")] == [
        ("n00000200",), ("n00000200",), ("n00000200",), (), ()
    ]  # fmt: skip
    dog = wordnet.synset("n00000200")
    assert (dog.words, dog.gloss, dog.field, dog.uses) == (("dog", "domestic dog"), "a pet", "animal", (42, 0))
    assert wordnet.paths("n00000300") == (("n00000100", "n00000200", "n00000300"),)
    assert [wordnet.depth(f"n00000{number}00") for number in (1, 2, 3)] == [1, 2, 3]
    assert [round(wordnet.information(f"n00000{number}00"), 3) for number in (1, 2, 3)] == [0, 0.369, 1]
    return wordnet


def test_every_noun_is_as_nltk_reads_it(wordnet):
    drawn = random.Random(0).sample(list(nltk_wordnet.all_synsets("n")), 500)
    for theirs in drawn:
        ours = wordnet.synset(f"n{theirs.offset():08}")
        above = theirs.hypernyms() + theirs.instance_hypernyms()
        assert ours.words == tuple(word.replace("_", " ") for word in theirs.lemma_names())
        assert ours.gloss == theirs.definition()
        assert sorted(ours.hypernyms) == sorted(f"n{synset.offset():08}" for synset in above)  # NLTK's are a set
        assert ours.field == theirs.lexname().removeprefix("noun.")
        assert ours.uses == tuple(lemma.count() for lemma in theirs.lemmas())
        assert wordnet.depth(ours.wnid) == 1 + theirs.max_depth()


def test_every_word_has_the_senses_that_nltk_finds(wordnet):
    words = random.Random(0).sample(sorted(nltk_wordnet.all_lemma_names("n")), 1500)
    plurals = [f"{word}s" for word in words[:500]] + [f"{word[:-1]}ies" for word in words[500:700]]
    irregular = ["wolves", "mice", "Women", "glasses", "children", "axes", "buses", "boxes", "dice", "xyzzys", "s", ""]
    for word in (*words, *plurals, *irregular):
        theirs = dict.fromkeys(f"n{synset.offset():08}" for synset in nltk_wordnet.synsets(word, pos="n"))
        assert wordnet.senses(word.replace("_", " ")) == tuple(theirs), word


def test_data_is_looked_for_where_nltk_looks(monkeypatch):
    code = "from hierarchy.wordnet.datafiles import search_path; a = search_path();"
    code += " import nltk.data as theirs; print(a == theirs.path)"
    environment = {**os.environ, "NLTK_DATA": os.pathsep.join(("~/mine", "/theirs"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "True\n"
    monkeypatch.setattr("nltk.data.path", ["/chosen"])  # by a program
    assert search_path() == ["/chosen"]


def test_the_index_is_made_once_beside_the_data(home, monkeypatch):
    read(monkeypatch)
    assert sorted(path.name for path in home.iterdir()) == sorted((*READ, NAME))
    monkeypatch.setattr(index, "_fill", None)
    read(monkeypatch)


def test_other_data_and_a_broken_index_make_a_new_one(home, monkeypatch):
    (home / NAME).write_bytes(b"SQLite format 3\0 broken")
    read(monkeypatch)
    (home / "data.noun").write_text(SMALL["data.noun"].replace("a pet", "a loyal pet"), encoding="utf-8")
    with open_index() as connection:
        assert connection.execute("select gloss from synsets where offset = 200").fetchone() == ("a loyal pet",)


def test_a_zip_as_nltk_downloads_it_is_read_too(home, monkeypatch):
    with zipfile.ZipFile(home.with_suffix(".zip"), "w") as archive:
        for name in READ:
            archive.write(home / name, f"wordnet/{name}")
    shutil.rmtree(home)
    read(monkeypatch)
    assert sorted(path.name for path in home.parent.iterdir()) == [NAME, "wordnet.zip"]


def test_read_only_data_is_indexed_in_the_cache_and_else_in_memory(home, tmp_path, monkeypatch):
    def only(allowed):
        def replacing(place):
            if allowed is None or not place.is_relative_to(allowed):
                raise PermissionError(13, "Permission denied")
            return original(place)

        return replacing

    original = index.replacing
    monkeypatch.setattr(index, "replacing", only(None))
    read(monkeypatch)  # in memory
    assert not any(path.suffix == ".sqlite" for path in tmp_path.rglob("*"))
    monkeypatch.setattr(index, "replacing", only(tmp_path / "cache"))
    read(monkeypatch)
    assert [path.parent.parent.name for path in tmp_path.rglob("*.sqlite")] == ["cache"]
    monkeypatch.setattr(index, "_fill", None)
    read(monkeypatch)


def test_processes_that_make_the_index_at_once_do_not_disturb_each_other(home):
    code = (
        "import sys; from hierarchy.wordnet import WordNet, datafiles;"
        f"datafiles.search_path = lambda: [{str(home.parent.parent)!r}];"
        "print(WordNet().synset('n00000200').gloss)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in started] == ["a pet\n"] * 4
    assert sorted(path.name for path in home.iterdir()) == sorted((*READ, NAME))


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("data.noun", SMALL["data.noun"].replace("3.0", "3.1"), "is WordNet 3.1, but the ids of ImageNet need 3.0"),
        ("data.noun", "half", "is no WordNet, but the ids of ImageNet need 3.0"),
        (
            "data.noun",
            LICENCE + "00000100 03 n 01 ent",
            r"is damaged \(.*\); delete it and run `hierarchy wordnet install`",
        ),
        ("index.noun", LICENCE + "dog n", "is damaged"),
    ],
)
def test_data_that_cannot_be_used_is_an_error_with_its_folder(home, name, text, message):
    (home / name).write_text(text, encoding="utf-8")
    with pytest.raises(WordNetMissing, match=message) as error:
        open_index()
    assert repr(str(home)) in str(error.value)
    assert not (home / NAME).exists()


def test_without_data_the_error_says_how_to_install_it(home):
    (home / "noun.exc").unlink()
    with pytest.raises(WordNetMissing, match=r"^WordNet is not installed; run `hierarchy wordnet install`$"):
        find_data()
