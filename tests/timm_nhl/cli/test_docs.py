"""What the docs and examples say, runs."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from dataclasses import fields

import pytest
from sklearn.datasets import load_digits
from sklearn.utils import Bunch
from support import ROOT

from timm_nhl.cli.main import main
from timm_nhl.converting import Conversion
from timm_nhl.train import Settings

TEXT = "".join(
    (ROOT / "docs" / name).read_text()
    for name in ("reference/models.md", "how-to/evaluate.md", "how-to/grow.md", "how-to/plan.md")
)
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
COSTS = re.findall(r"^\$ (timm-nhl (?:cost|plan) .*)", TEXT.replace("\\\n", " "), flags=re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_docs_runs(block):
    exec(compile(block, "docs", "exec"), {})


@pytest.mark.parametrize("line", COSTS)
def test_a_count_of_the_docs_runs(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, capsys.readouterr().err


def test_the_blocks_of_the_page_on_training_train(tmp_path, monkeypatch):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "train.md").read_text(), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    few = {name: digits[name][:300] for name in ("images", "target")}
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: Bunch(**few))
    exec(compile(block, "docs/how-to/train.md", "exec"), {})
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3


def test_the_blocks_of_the_page_on_export_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "deploy.md").read_text(), flags=re.DOTALL
    ):
        exec(compile(block, "docs/how-to/deploy.md", "exec"), {})


def test_the_page_on_training_names_flags_that_are():
    flags = set(re.findall(r"`(--[a-z-]+)", (ROOT / "docs" / "how-to" / "train.md").read_text()))
    known = {"--" + field.name.replace("_", "-") for field in fields(Settings)} | {"--try", "--split", "--seed"}
    assert len(flags) > 20 and flags <= known


def test_the_page_on_converting_names_flags_that_are():
    flags = set(re.findall(r"(--[a-z][a-z-]+)", (ROOT / "docs" / "how-to" / "convert.md").read_text()))
    known = {"--" + field.name.replace("_", "-") for command in (Conversion, Settings) for field in fields(command)}
    slurms = {"--array", "--parsable", "--dependency", "--wrap"}
    others = {*slurms, "--nproc-per-node", "--no-python", "--split"}  # torchrun's, evaluate's
    others |= {"--superclasses", "--groups"}  # generate's
    assert len(flags) > 8 and flags <= known | others


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    example = ROOT / "examples" / "shark_expert.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(tmp_path)])
    runpy.run_path(str(example), run_name="__main__")
    assert "hammerhead" in capsys.readouterr().out
