"""Tests that share what is dear to make run in one process."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("groups")
def test_the_scheduler_sees_groups(request):
    """With pytest 9.2, pytest-xdist 3.8 lost them without a word: what a group shares was made in each process."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("all tests run in one process")
    assert request.node.nodeid.endswith("@groups")
