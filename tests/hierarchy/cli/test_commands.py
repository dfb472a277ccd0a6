"""Every command runs as a process of its own; what the commands do is tested in this process, room by room."""

import subprocess
import sys

import pytest
from support.images import PETS, image_rows
from typer.main import get_command

from hierarchy import save
from hierarchy.cli.main import app

RUNS = {  # command -> arguments, and a part of stdout
    "show": (["pets.json", "--depth", "1"], "mammals (3)"),
    "check": (["pets.json", "--most", "1"], "--most 0 prints all"),
    "score": (["pets.json", "pets.json"], "4 of 4 classes covered"),
    "senses": (["pets.txt", "--out", "senses.csv"], "senses.csv: 4 classes, 0 unsure, 0 unknown"),
    "labels": (["pets.json", "--format", "yolo"], 'names:\n  0: "n1"'),
    "report": (["pets.json", "--out", "page.html"], "page.html"),
    "explain": (["pets.json", "tabby"], "mammals/cats"),
    "edit": (["pets.json", "rename", "mammals/cats", "felines", "--by", "Ada"], "felines"),
    "review": (["pets.json", "--diff"], "nothing"),
    "dataset": (["stats", "pets", "pets.json"], "mammals"),
    "wordnet": (["install", "--help"], "--dir"),
    "generate": (["--help"], "SOURCE"),
}


SLOW = {"check", "report", "explain"}  # they open WordNet


@pytest.mark.parametrize(
    "command", [pytest.param(command, marks=[pytest.mark.slow] * (command in SLOW)) for command in RUNS]
)
def test_every_command_runs_as_a_process(command, tmp_path):
    save(PETS, tmp_path / "pets.json")
    (tmp_path / "pets.txt").write_text("\n".join(PETS.names), encoding="utf-8")
    if command == "dataset":
        image_rows([0, 1, 2, 3], list(PETS.classes)).save_to_disk(tmp_path / "pets")
    arguments, part = RUNS[command]
    words = [sys.executable, "-m", "hierarchy", command, *arguments]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1) if command == "check" else done.returncode == 0, done.stderr
    assert part in done.stdout


def test_no_command_is_left_out():
    assert set(RUNS) == set(get_command(app).commands)
