"""The published cost table: what RESULTS.md says of it, counted on the meta device."""

from __future__ import annotations

import inspect
import sys

import pytest
from support import ROOT

import timm_nhl

sys.path.insert(0, str(ROOT / "benchmarks"))
from table1 import ROWS, held, ours

DEFAULT = inspect.signature(timm_nhl.NHL).parameters["strides"].default


def test_seven_of_eight_cells_hold_by_default_and_all_with_the_stride_a_level_earlier():
    assert DEFAULT == (1, 1, 2)
    assert held(DEFAULT) == 7
    assert held((1, 2, 1)) == 8


def test_the_default_gives_the_published_resnet50_and_the_expert_of_convnextv2():
    resnet, convnext = ROWS
    for total, published in ((ours(resnet, DEFAULT)[0], resnet.nhl), (ours(convnext, DEFAULT)[1], convnext.expert)):
        assert total.params / 1e6 == pytest.approx(published[0], rel=0.015)
        assert total.macs / 1e9 == pytest.approx(published[1], rel=0.01)


def test_the_cell_that_does_not_hold_is_known():
    full, _ = ours(ROWS[1], DEFAULT)
    assert full.macs / 1e9 == pytest.approx(17.87, abs=0.01)
    assert full.params / 1e6 == pytest.approx(ROWS[1].nhl[0], rel=0.005)
