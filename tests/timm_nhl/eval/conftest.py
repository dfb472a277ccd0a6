"""What tests of evaluation share; `folder` is a fixture of each file."""

from __future__ import annotations

import sys

import pytest

from timm_nhl.cli.main import main


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Runs `timm-nhl` in that folder and gives what it says on stdout."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["timm-nhl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    return run
