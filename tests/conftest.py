"""What several tests share: WordNet, opened once, and class lists made on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hierarchy.classes import ClassList
from hierarchy.wordnet import WordNet


@pytest.fixture(scope="session")
def wordnet() -> WordNet:
    """WordNet 3.0; `hierarchy wordnet install` puts it where this finds it."""
    return WordNet()


@pytest.fixture(scope="session")
def named():
    """Makes classes of names alone, each its own id."""
    return lambda *names: ClassList(names, names, ("",) * len(names), "a test")


@pytest.fixture(scope="session")
def imagenet_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, int]:
    """The hierarchy of ImageNet-1k by the documented command: the file, seconds, and peak bytes."""
    out = tmp_path_factory.mktemp("in1k") / "in1k.json"
    start = time.monotonic()
    run = subprocess.Popen([sys.executable, "-m", "hierarchy.generate", "imagenet-1k", "--out", str(out)])
    _, status, used = os.wait4(run.pid, 0)
    assert status == 0
    return out, time.monotonic() - start, used.ru_maxrss * 1024
