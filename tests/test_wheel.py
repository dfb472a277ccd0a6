"""What is installed is whole: data, prompts and the page travel inside the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from support import ROOT


@pytest.mark.network
def test_the_wheel_carries_data_prompts_and_the_page_and_loads_from_them(tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name.removeprefix("hierarchy/_shipped/") for name in zipfile.ZipFile(wheel).namelist()}
    tracked = subprocess.run(
        ["git", "ls-files", "data", "prompts"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(tracked.stdout.split()) <= inside
    assert {"hierarchy/checks/report_page.html", "hierarchy/py.typed", "timm_nhl/py.typed"} <= inside
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    code = "import hierarchy; print(hierarchy.__file__, len(hierarchy.load('imagenet1k')))"
    run = subprocess.run(  # -S: without site-packages, so with the standard library alone
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path / "installed",
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [str(tmp_path / "installed" / "hierarchy" / "__init__.py"), "1000"]
