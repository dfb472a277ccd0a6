"""Every command of "Five classes on a Raspberry Pi" runs, in order, on a small folder of photos."""

from __future__ import annotations

import re
import shlex
import sys

import numpy as np
import pytest
from PIL import Image
from support import ROOT

from hierarchy.cli.main import main as hierarchy_main
from timm_nhl.cli.main import main

PAGE = (ROOT / "docs" / "how-to" / "raspberry-pi.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)", PAGE.replace("\\\n", " "), flags=re.MULTILINE)
CLASSES = ("apple", "banana", "cat", "dog", "hammer", "orange", "saw", "screwdriver")
SMALLER = {
    "--epochs 60": "--epochs 2 --warmup-epochs 0 --batch-size 16 --img-size 32 --workers 0",
    "--max-drop 1.0": "--max-drop 100 -j 0",
}


def make_photos(folder):
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 8)):
        for place, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 90, (40, 50, 3)) + 20 * np.array([place, 7 - place, place % 3])
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / name / f"{number}.png")


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_order(tmp_path, monkeypatch, capsys):
    make_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # so that paths stay whole
    assert len(COMMANDS) == 6
    for line in COMMANDS:
        for long, short in SMALLER.items():
            line = line.replace(long, short)
        words = shlex.split(line)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            (hierarchy_main if words[0] == "hierarchy" else main)()
        said = capsys.readouterr()
        assert not ended.value.code, (line, said.err)
    assert "photos/validation/apple/0.png" in said.out
