"""The command starts in a process of its own, and parses its arguments before it imports torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

COMMANDS = ("cost", "train", "evaluate", "expert", "export", "run")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_needs_neither_torch_nor_timm(command):
    code = (
        "import sys; sys.argv = ['timm-nhl', *sys.argv[1:]]\n"
        "from timm_nhl.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'timm', 'numpy', 'PIL', 'datasets', 'scipy', 'sklearn'} & {*sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: timm-nhl" in done.stdout


def test_the_command_runs_as_a_module(tmp_path):
    words = [sys.executable, "-m", "timm_nhl", "cost", "test_resnet_nhl", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["nhl"]["macs"] and not done.stderr
