"""What several tests share: WordNet, opened once, and class lists made on the spot."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.watched import WATCHED

from hierarchy.sources import ClassList
from hierarchy.wordnet import WordNet

pytest.register_assert_rewrite("support.golden_messages")  # so that a message that differs is shown

# A shell that starts pytest in the background has it ignore Ctrl-C, and so would the commands that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    words = ["hierarchy.generate", "imagenet-1k", "--out", str(out)]
    start = time.monotonic()
    run = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=True)
    seconds = time.monotonic() - start
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", run.stderr)  # of this process; ru_maxrss would count the parent's, too
    return out, seconds, int(peak) * 1024
