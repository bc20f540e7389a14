from __future__ import annotations

import math

import numpy as np
import pytest

from pixfound.scoring.estimates import Estimate, harmonic, larger
from pixfound.scoring.figures import better

NAN = float("nan")


def estimate(value, draws=(), count=1):
    return Estimate(value, count, lambda: np.array(draws, dtype=np.float64))


def test_intervals_are_the_central_quantiles():
    found = estimate(0.5, np.linspace(0, 1, 101))
    assert found.interval(0.9) == pytest.approx((0.05, 0.95))
    assert found.interval(0.5) == pytest.approx((0.25, 0.75))


def test_draws_without_a_value_are_left_out_of_the_interval():
    assert estimate(1.0, [NAN, 1.0, NAN, 1.0]).interval(0.95) == (1.0, 1.0)
    assert all(map(math.isnan, estimate(NAN, [NAN, NAN]).interval(0.95)))


@pytest.mark.parametrize(
    ("a", "b", "s"), [(0.5, 0.5, 0.5), (0.2, 0.6, 0.3), (1.0, 1.0, 1.0), (0.0, 0.7, 0.0), (0.0, 0.0, 0.0)]
)
def test_harmonic_by_hand(a, b, s):
    found = harmonic(estimate(a, [a, b], 3), estimate(b, [b, b], 2))
    assert found.value == pytest.approx(s)
    assert found.draws == pytest.approx([s, b])
    assert found.count == 2
    if a and b:
        assert found.value == pytest.approx(2 / (1 / a + 1 / b))


def test_harmonic_needs_both():
    assert math.isnan(harmonic(estimate(NAN), estimate(0.5)).value)
    assert math.isnan(harmonic(estimate(0.5), estimate(NAN)).value)


def test_larger_draw_by_draw():
    found = larger(estimate(0.4, [0.2, 0.6], 3), estimate(0.5, [0.5, 0.5], 2))
    assert found.value == 0.5
    assert found.draws.tolist() == [0.5, 0.6]
    assert larger(estimate(NAN, [NAN], 0), estimate(0.5, [0.1], 2)).value == 0.5
    assert math.isnan(larger(estimate(NAN, [NAN], 0), estimate(NAN, [NAN], 0)).value)


def test_what_was_not_scored_is_never_the_better():
    a, b = np.array([0.5, 0.5, 0.6, NAN, 0.1, NAN]), np.array([0.6, 0.5, 0.5, 0.1, NAN, NAN])
    assert better(a, b).tolist() == [False, False, True, False, True, False]
    assert [bool(better(x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)] == better(a, b).tolist()
