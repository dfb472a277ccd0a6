"""What several tests share: WordNet, opened once, and class lists made on the spot."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings
from support.watched import WATCHED

from hierarchy.sources import ClassList
from hierarchy.wordnet import WordNet

pytest.register_assert_rewrite("support.golden_messages")  # so that a message that differs is shown

# Tests share their processors, so examples count and milliseconds do not.
settings.register_profile("shared", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

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
def imagenet_run(tmp_path_factory):
    """The hierarchy of ImageNet-1k by the documented command: the file, and peak bytes."""
    out = tmp_path_factory.mktemp("in1k") / "in1k.json"
    words = ["-c", WATCHED, "hierarchy.generate", "imagenet-1k", "--out", str(out)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", done.stderr)  # of this process; ru_maxrss would include the parent's
    return out, int(peak) * 1024
