"""How the tests of timm_nhl run: few examples, no deadline, the same random numbers each time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, settings
from support.fresh import Server

import timm_nhl  # noqa: F401 - registers the models

settings.register_profile(
    "nhl", deadline=None, max_examples=6, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nhl")
torch.set_num_threads(1)  # small models gain nothing from threads, and several test processes share the cores


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def fresh():
    """Runs programs in fresh processes. Importing torch takes seconds: tests share the server, in one xdist group."""
    with Server() as server:
        yield server
