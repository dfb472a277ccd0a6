"""The README and the transcript in docs/how-to/build.md run, their outputs are real, and links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

README = ROOT / "README.md"
BUILD = ROOT / "docs" / "how-to" / "build.md"


def blocks(kind: str, page: Path = README) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def transcript() -> list[tuple[str, str]]:
    """Commands after "$ ", and the output below each."""
    return [
        (command, output)
        for block in blocks("text", BUILD)
        for command, output in re.findall(r"^\$ (.*?)\n(.*?)(?=^\$ |\Z)", block, re.DOTALL | re.MULTILINE)
    ]


@pytest.mark.slow
@pytest.mark.xdist_group("imagenet_run")
@pytest.mark.parametrize(("command", "shown"), transcript())
def test_the_transcript_shows_the_real_output(command, shown, imagenet_run, tmp_path):
    words = shlex.split(command)
    assert words[0] == "hierarchy"
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "in1k.json").symlink_to(imagenet_run[0])
    (tmp_path / "data").symlink_to(README.parent / "data")
    run = subprocess.run(
        [sys.executable, "-m", "hierarchy", *words[1:]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == shown


def test_the_python_blocks_run_and_their_comments_are_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        names: dict[str, object] = {}
        for line in block.splitlines():
            code, _, comment = line.partition("  #")
            if comment.strip().startswith("(") and "=" not in code:
                assert eval(code, names) == eval(comment), line
            else:
                exec(code, names)


def test_the_two_commands_are_targets_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def list_anchors(page: Path) -> set[str]:
    """What links to the headings of a page end in."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "RESULTS.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_linked_images_and_pages_exist(page):
    for link in re.findall(r"\]\((?!http)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in list_anchors(target), link


def test_a_wrong_output_would_be_noticed():
    assert len(transcript()) >= 3
    assert all(shown for _, shown in transcript())
