"""What several tests share: WordNet, opened once, and class lists made on the spot."""

from __future__ import annotations

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
