"""The command starts in a process of its own, and parses its arguments before it imports torch."""

from __future__ import annotations

import json
import subprocess
import sys

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


def test_the_command_runs_as_a_module(tmp_path):
    words = [sys.executable, "-m", "timm_nhl", "cost", "test_resnet_nhl", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["nhl"]["macs"] and not done.stderr
