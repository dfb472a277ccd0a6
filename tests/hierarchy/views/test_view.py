"""The nearest rows of vectors."""

from __future__ import annotations

import numpy as np

from hierarchy.views import find_nearest, unit_rows, view


def test_nearest_rows_are_those_of_all_products_and_ties_go_to_the_lower_index(monkeypatch):
    rows = unit_rows(np.random.default_rng(0).normal(size=(90, 6)))
    rows[50:60] = rows[:10]
    similar = (rows @ rows.T).round(6) - 10 * np.eye(len(rows))
    slow = np.argsort(-similar, axis=1, kind="stable")[:, :5]
    found, products = find_nearest(rows, 5)
    assert (found == slow).all() and np.allclose(products, np.take_along_axis(similar, slow, 1), atol=1e-6)
    monkeypatch.setattr(view, "ALL_PAIRS", 10)  # candidates in single precision
    monkeypatch.setattr(view, "BLOCK", 32)
    again, products = find_nearest(rows, 5)
    assert (again == slow).all() and np.allclose(products, np.take_along_axis(similar, slow, 1), atol=1e-6)
