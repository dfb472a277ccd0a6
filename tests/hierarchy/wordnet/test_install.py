"""Installing WordNet: the first way that brings all of version 3.0 wins, and what fails leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hierarchy.cli.console import run
from hierarchy.cli.main import app
from hierarchy.errors import OutputError, WordNetMissing
from hierarchy.wordnet import install as wordnet_install
from hierarchy.wordnet.index import NAME
from hierarchy.wordnet.install import FILES, default_target, install_wordnet

FROM_NLTK, FROM_DEBIAN = wordnet_install._from_nltk, wordnet_install._from_debian


@pytest.fixture(scope="module")
def data():
    """The folder of the data files that NLTK finds here."""
    from nltk.data import find

    try:
        return Path(str(find("corpora/wordnet")))
    except LookupError:
        pytest.skip("WordNet is not installed here")


@pytest.fixture(scope="module")
def copy(data, tmp_path_factory):
    """A folder as the system's packages have it: all files but `lexnames`."""
    folder = tmp_path_factory.mktemp("dict")
    for name in FILES:
        (folder / name).symlink_to(data / name)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """No network and no copy but that of WNSEARCHDIR; the other ways fail as without a network."""

    def no_downloader(scratch):
        raise WordNetMissing("cannot reach its index")

    def no_debian(scratch):
        raise WordNetMissing("apt-get is not installed")

    monkeypatch.setattr(wordnet_install, "_from_nltk", no_downloader)
    monkeypatch.setattr(wordnet_install, "_from_debian", no_debian)
    monkeypatch.setattr(wordnet_install, "SYSTEM_FOLDERS", ("/nowhere/wordnet",))
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.delenv("WNHOME", raising=False)


def broken(copy, folder, *, without=(), instead=()):
    """A copy that lacks files or has others."""
    folder.mkdir()
    for name in FILES:
        if name not in without:
            (folder / name).symlink_to(copy / name)
    for name, text in instead:
        (folder / name).unlink()
        (folder / name).write_bytes(text)
    return folder


def test_a_local_copy_is_installed_and_reported(offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    said = []
    place = install_wordnet(tmp_path / "new" / "nltk_data", progress=said.append)
    assert place == tmp_path / "new" / "nltk_data" / "corpora" / "wordnet"
    assert said == [
        "NLTK's downloader failed (cannot reach its index)",
        f"installed WordNet 3.0 from the system's WordNet in {place}",
    ]
    assert sorted(path.name for path in place.iterdir()) == sorted((*FILES, "lexnames"))
    assert not any(path.is_symlink() for path in place.iterdir())
    assert [path.name for path in place.parent.iterdir()] == ["wordnet"]


def test_what_is_installed_is_what_nltk_reads_here_to_the_byte(offline, copy, data, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    place = install_wordnet(tmp_path)
    for name in (*FILES, "lexnames"):
        assert (place / name).read_bytes() == (data / name).read_bytes(), name


def test_anybody_may_read_what_was_installed(offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    old = os.umask(0o022)
    try:
        place = install_wordnet(tmp_path)
    finally:
        os.umask(old)
    assert place.stat().st_mode & 0o777 == 0o755
    assert (place / "data.noun").stat().st_mode & 0o777 == 0o644


def test_a_second_call_does_nothing(offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    place = install_wordnet(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    monkeypatch.delenv("WNSEARCHDIR")
    said = []
    assert install_wordnet(tmp_path, progress=said.append) == place
    assert said == [f"WordNet is already in {place}"]
    assert {path: path.stat().st_mtime_ns for path in place.iterdir()} == before


def test_wnhome_names_a_copy_too(offline, copy, tmp_path, monkeypatch):
    (tmp_path / "WordNet-3.0").mkdir()
    (tmp_path / "WordNet-3.0" / "dict").symlink_to(copy)
    monkeypatch.setenv("WNHOME", str(tmp_path / "WordNet-3.0"))
    assert install_wordnet(tmp_path / "data").is_dir()


def test_a_partial_installation_is_completed(offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    half = tmp_path / "corpora" / "wordnet"
    half.mkdir(parents=True)
    (half / "data.noun").write_text("half")
    assert install_wordnet(tmp_path) == half
    assert sorted(path.name for path in half.iterdir()) == sorted((*FILES, "lexnames"))
    assert (half / "data.noun").stat().st_size > 1_000_000
    assert [path.name for path in half.parent.iterdir()] == ["wordnet"]


OTHER = "{folder} is not WordNet 3.0, which the ids of ImageNet need"


@pytest.mark.parametrize(
    ("without", "instead", "reason"),
    [
        (("index.sense", "cntlist.rev"), (), "{folder} lacks index.sense, cntlist.rev"),
        (("data.noun",), (), "no data.noun in /nowhere/wordnet, WNSEARCHDIR or WNHOME"),
        (
            (),
            [("data.noun", b"  1 WordNet 3.1 Copyright 2011 by Princeton University.\n")],
            OTHER,
        ),
        ((), [("data.noun", b"\xff\xfe" * 5000)], OTHER),
        ((), [("data.noun", b"")], OTHER),
    ],
    ids=["files missing", "nouns missing", "another version", "no text", "empty"],
)
def test_a_bad_copy_is_refused_and_leaves_nothing(without, instead, reason, offline, copy, tmp_path, monkeypatch):
    folder = broken(copy, tmp_path / "bad", without=without, instead=instead)
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    said = []
    with pytest.raises(WordNetMissing) as caught:
        install_wordnet(tmp_path / "data", progress=said.append)
    reason = reason.format(folder=folder)
    assert str(caught.value) == (
        "cannot install WordNet (NLTK's downloader: cannot reach its index;"
        f" the system's WordNet: {reason}; Debian's packages: apt-get is not installed);"
        " set WNSEARCHDIR to a copy of it"
    )
    assert said[1] == f"the system's WordNet failed ({reason})"
    assert not [path for path in (tmp_path / "data").rglob("*") if path.name != "corpora"]


def test_after_a_bad_copy_the_next_way_is_tried(offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(broken(copy, tmp_path / "bad", without=["index.verb"])))
    monkeypatch.setattr(wordnet_install, "_from_debian", lambda scratch: copy)
    said = []
    place = install_wordnet(tmp_path / "data", progress=said.append)
    assert said[1].startswith("the system's WordNet failed (")
    assert said[2] == f"installed WordNet 3.0 from Debian's packages in {place}"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_amid_copying_leaves_nothing_or_the_old(error, offline, copy, tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    old = tmp_path / "corpora" / "wordnet"
    old.mkdir(parents=True)
    (old / "data.noun").write_text("old")
    copied = []

    def fail_at_third(source, target):
        copied.append(source)
        if len(copied) == 3:
            raise error

    monkeypatch.setattr(shutil, "copyfile", fail_at_third)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else WordNetMissing):
        install_wordnet(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [
        "corpora/wordnet/data.noun"
    ]
    assert (old / "data.noun").read_text() == "old"
    assert [path.name for path in old.parent.iterdir()] == ["wordnet"]


def test_whatever_the_downloader_raises_the_next_way_is_tried(offline, copy, tmp_path, monkeypatch):
    import nltk.downloader

    class Broken:
        def __init__(self, **options):
            pass

        def download(self, *names, **options):
            raise SyntaxError("not well-formed (invalid token)")

    monkeypatch.setattr(wordnet_install, "_from_nltk", FROM_NLTK)
    monkeypatch.setattr(nltk.downloader, "Downloader", Broken)
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    said = []
    install_wordnet(tmp_path, progress=said.append)
    assert said[0] == ("NLTK's downloader failed (SyntaxError: not well-formed (invalid token))")
    assert said[1].startswith("installed WordNet 3.0 from the system's WordNet")


def test_the_last_line_of_a_program_is_the_reason(offline, tmp_path, monkeypatch):
    def fail(scratch):
        code = "import sys; sys.exit('E: first\\nE: Unable to locate package wordnet-base')"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    monkeypatch.setattr(wordnet_install, "_from_debian", fail)
    with pytest.raises(WordNetMissing, match="Debian's packages: E: Unable to locate package wordnet-base"):
        install_wordnet(tmp_path)


def test_a_place_that_cannot_be_made_is_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for way in ("_from_nltk", "_from_system", "_from_debian"):
        monkeypatch.setattr(wordnet_install, way, None)
    with pytest.raises(OutputError, match=r"^cannot install WordNet in '.*': not a directory; give --dir a writable"):
        install_wordnet(tmp_path / "file" / "nltk_data")


def test_the_default_folder_is_one_where_nltk_looks():
    from nltk.data import path

    assert str(default_target()) in path


def test_the_command_installs_into_a_folder(offline, copy, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WNSEARCHDIR", str(copy))
    monkeypatch.setattr(sys, "argv", ["hierarchy", "wordnet", "install", "--dir", str(tmp_path / "data")])
    assert run(app) == 0
    assert f"installed WordNet 3.0 from the system's WordNet in {tmp_path / 'data'}" in capsys.readouterr().out
    place = tmp_path / "data" / "corpora" / "wordnet"
    assert (place / "lexnames").is_file() and (place / NAME).is_file()


def test_the_command_fails_in_one_line(offline, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hierarchy", "wordnet", "install", "--dir", str(tmp_path / "data")])
    assert run(app) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: cannot install WordNet (NLTK's downloader: ")
    assert err.count("\n") == 1


@pytest.mark.network
@pytest.mark.slow
def test_debians_packages_hold_what_nltk_needs(offline, data, tmp_path, monkeypatch):
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip("apt-get and dpkg are not here")
    monkeypatch.setattr(wordnet_install, "_from_debian", FROM_DEBIAN)
    said = []
    try:
        place = install_wordnet(tmp_path, progress=said.append)
    except WordNetMissing as error:
        pytest.skip(f"no package registry can be reached: {error}")
    assert said[-1] == f"installed WordNet 3.0 from Debian's packages in {place}"
    assert all((place / name).read_bytes() == (data / name).read_bytes() for name in ("data.noun", "lexnames"))
