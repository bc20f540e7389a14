"""The benchmark of how work is shared, at its smallest."""

from __future__ import annotations

import pytest
from experiments.speed.sharing import lengths, measure_sharing, slowest_over_mean


def test_lengths_differ_widely_and_dealing_them_out_is_uneven() -> None:
    drawn = lengths(48)
    assert max(drawn) == 160 and sorted(drawn)[24] < 20
    assert slowest_over_mean([sum(drawn[0::2]), sum(drawn[1::2])]) > 1.2
    assert slowest_over_mean([2.0, 2.0]) == 1.0
    assert slowest_over_mean([1.0, 3.0]) == 1.5


def test_the_figure_is_a_ratio_against_the_baseline() -> None:
    row = measure_sharing(repeats=1, batches=24)
    assert 1 <= row["ours"] < 1.25
    assert row["ratio"] == pytest.approx(row["ours"] / row["baseline"])
    assert row["higher_is_better"] is False and " vs " in row["name"]
