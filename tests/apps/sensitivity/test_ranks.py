from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixfound.apps.sensitivity.ranks import kendall, spearman, stability

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


def test_by_hand() -> None:
    assert kendall([1, 2, 3, 4], [1, 2, 3, 4]) == spearman([1, 2, 3, 4], [1, 2, 3, 4]) == 1
    assert kendall([1, 2, 3, 4], [4, 3, 2, 1]) == spearman([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert math.isnan(kendall([1, 1], [1, 2]))
    assert math.isnan(spearman([1, 1], [1, 2]))


@settings(deadline=None)
@given(PAIRS)
def test_as_scipy_has_it(pairs: list[tuple[int, int]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    x, y = zip(*pairs, strict=True)
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic)
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_the_winner_changes() -> None:
    found = stability([[3, 2, 1], [3, 2, 1], [1, 2, 3]])
    assert found["winner_changes"] == pytest.approx(2 / 3)
    assert found["kendall"] == pytest.approx((1 - 1 - 1) / 3)
    assert (found["variations"], found["ranked"]) == (3, 3)
    assert stability([[1, 1], [1, 0]])["winner_changes"] == 0  # a tie shares its place
    assert stability([[1, 2]])["kendall"] is None


def test_what_is_not_scored_ranks_nothing() -> None:
    assert stability([[3, 2, 1], [math.nan, 2, 1], [3, 2, 1]])["variations"] == 2
    assert stability([[math.nan, 1]])["kendall"] is None
