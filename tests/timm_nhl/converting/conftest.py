"""What conversions share: data, a flat network, and what it gives for the data, computed once."""

from __future__ import annotations

import pytest
from support.flat import save_flat
from support.training_runs import dataset


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="package")
def flat(tmp_path_factory):
    return save_flat(tmp_path_factory.mktemp("flat") / "model")


@pytest.fixture(scope="package")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))
