"""The published cost table, counted on the meta device: the statements in benchmarks/RESULTS.md."""

from __future__ import annotations

import pytest
from table1 import ROWS, count_costs, count_matching_cells

from timm_nhl.presets import choose_shape

DEFAULT = choose_shape(None).strides


def test_seven_of_eight_cells_match_by_default_and_all_with_the_stride_one_level_earlier():
    assert DEFAULT == (1, 1, 2)
    assert count_matching_cells(DEFAULT) == 7
    assert count_matching_cells((1, 2, 1)) == 8


def test_the_default_matches_the_published_resnet50_and_the_expert_of_convnextv2():
    resnet, convnext = ROWS
    for total, published in (
        (count_costs(resnet, DEFAULT)[0], resnet.nhl),
        (count_costs(convnext, DEFAULT)[1], convnext.expert),
    ):
        assert total.params / 1e6 == pytest.approx(published[0], rel=0.015)
        assert total.macs / 1e9 == pytest.approx(published[1], rel=0.01)


def test_the_cell_that_does_not_match_is_known():
    full, _ = count_costs(ROWS[1], DEFAULT)
    assert full.macs / 1e9 == pytest.approx(17.87, abs=0.01)
    assert full.params / 1e6 == pytest.approx(ROWS[1].nhl[0], rel=0.005)
