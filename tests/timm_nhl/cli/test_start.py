"""The command starts in a process of its own, and parses its arguments before it imports torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import timm

COMMANDS = ("cost", "train", "evaluate", "expert", "export", "run")


def test_help_needs_neither_torch_nor_timm():
    code = (  # one process for all: what one command imports, the next ones have, and the first is named
        "import sys\n"
        "from timm_nhl.cli.main import main\n"
        f"for words in ([], *([name] for name in {COMMANDS})):\n"
        "    sys.argv = ['timm-nhl', *words, '--help']\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "    heavy = {'torch', 'timm', 'numpy', 'PIL', 'datasets', 'scipy', 'sklearn'} & {*sys.modules}\n"
        "    assert not heavy, (words, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("", *COMMANDS):
        assert " ".join(["Usage: timm-nhl", *name.split(), "["]) in done.stdout


@pytest.mark.xdist_group("fresh")
def test_the_command_runs_as_a_module(fresh, tmp_path):
    done = fresh.run_module("timm_nhl", "cost", "test_resnet_nhl", "--json", folder=tmp_path)
    assert json.loads(done.out)["nhl"]["macs"] and (done.code, done.err) == (0, "")


@pytest.mark.xdist_group("fresh")
def test_a_script_in_a_checkout_of_timm_gets_the_installed_timm(fresh, tmp_path):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise ImportError('the checkout')\n")
    (tmp_path / "train.py").write_text("import timm; print(timm.is_model('resnet50_nhl'))\n")
    done = fresh.run_module("timm_nhl", "run", "train.py", folder=tmp_path)
    assert (done.code, done.out) == (0, "True\n")
    assert f"using the installed timm {timm.__version__}, not the one next to train.py\n" in done.err
