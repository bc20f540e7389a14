from __future__ import annotations

import math

import numpy as np
import pytest

from pixfound.scoring import bootstrap
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import average, figure, minus, plain


class Named:
    """A Resampler of clusters that have names, and (name, value) items."""

    def __init__(self, names, resamples, seed):
        self.code = {name: i for i, name in enumerate(names)}
        self.resampler = Resampler(len(self.code), resamples, seed)

    def mean(self, items):
        return self.resampler.mean(*self._columns(items))

    def median(self, items):
        return self.resampler.median(*self._columns(items))

    def _columns(self, items):
        return np.array([self.code[name] for name, _ in items], dtype=np.int32), np.array([v for _, v in items])


def width(found, level=0.95):
    low, high = found.interval(level)
    return high - low


def test_the_mean_is_over_items_not_over_clusters():
    clusters = Named(["p", "q"], resamples=100, seed=0)
    found = clusters.mean([("p", 1.0), ("p", 0.0), ("p", 0.5), ("q", 1.0)])
    assert found.value == pytest.approx(2.5 / 4)
    assert found.count == 4
    assert found.draws.shape == (100,)


def test_every_draw_is_the_mean_of_some_clusters_drawn_with_replacement():
    found = Named(["p", "q"], resamples=400, seed=0).mean([("p", 1.0), ("p", 0.0), ("p", 0.5), ("q", 1.0)])
    possible = {1.5 / 3: 1, 2.5 / 4: 2, 1.0: 1}  # p p, p q or q p, q q
    values, counts = np.unique(found.draws.round(9), return_counts=True)
    assert values.tolist() == sorted(possible)
    np.testing.assert_allclose(counts / 400, [0.25, 0.5, 0.25], atol=0.08)


def test_the_spread_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(size=50)
    items = [(str(i), value) for i, value in enumerate(values)]
    found = Named(map(str, range(50)), resamples=4000, seed=1).mean(items)
    assert found.draws.std() == pytest.approx(values.std() / math.sqrt(50), rel=0.05)
    assert found.draws.mean() == pytest.approx(found.value, abs=0.01)


def test_pairs_that_agree_make_the_interval_wider_by_the_root_of_two():
    right = np.random.default_rng(0).random(60) < 0.5
    paired = [(str(i), float(right[i])) for i in range(60) for _ in "ab"]
    single = [(f"{i}{side}", float(right[i])) for i in range(60) for side in "ab"]
    clustered = Named(dict.fromkeys(name for name, _ in paired), 4000, 0).mean(paired)
    independent = Named((name for name, _ in single), 4000, 0).mean(single)
    assert clustered.value == independent.value
    assert clustered.draws.std() / independent.draws.std() == pytest.approx(math.sqrt(2), rel=0.06)
    assert width(clustered) > 1.2 * width(independent)


def test_pairs_of_which_one_is_right_leave_nothing_to_chance():
    found = Named(map(str, range(9)), 200, 0).mean([(str(i), v) for i in range(9) for v in (0.0, 1.0)])
    assert found.interval(0.95) == (0.5, 0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """200 data sets of 40 pairs whose members share a scene; the true mean is 0.3."""
    rng = np.random.default_rng(7)
    clusters = Named(map(str, range(40)), 400, 0)
    covered = {0.95: 0, 0.8: 0}
    for _ in range(200):
        scene = rng.random(40) < 0.3
        items = [
            (str(i), float(scene[i] if rng.random() < 0.5 else rng.random() < 0.3)) for i in range(40) for _ in "ab"
        ]
        found = clusters.mean(items)
        for level in covered:
            low, high = found.interval(level)
            covered[level] += low <= 0.3 <= high
    assert 0.90 <= covered[0.95] / 200 <= 0.985
    assert 0.72 <= covered[0.8] / 200 <= 0.87


def test_the_same_draws_for_every_figure_and_every_seed_its_own():
    items = [(str(i), float(i % 3 == 0)) for i in range(20)]
    clusters = Named(map(str, range(20)), 200, 5)
    np.testing.assert_array_equal(clusters.mean(items).draws, clusters.mean(items[::-1]).draws)
    np.testing.assert_allclose(clusters.mean([(n, 1 - v) for n, v in items]).draws, 1 - clusters.mean(items).draws)
    np.testing.assert_array_equal(clusters.mean(items).draws, Named(map(str, range(20)), 200, 5).mean(items).draws)
    assert (clusters.mean(items).draws != Named(map(str, range(20)), 200, 6).mean(items).draws).any()


def test_of_nothing_there_is_no_mean():
    for clusters in (Named([], 100, 0), Named(["p"], 100, 0)):
        found = clusters.mean([])
        assert math.isnan(found.value)
        assert found.count == 0
        assert all(map(math.isnan, found.interval(0.95)))


def test_a_single_cluster_has_an_interval_of_no_width():
    assert Named(["p"], 100, 0).mean([("p", 0.25), ("p", 0.75)]).interval(0.95) == (0.5, 0.5)


def test_figures_asked_for_together_or_alone_have_the_same_draws():
    items = [[(name, float(i % (k + 2))) for i, name in enumerate("pqrs")] for k in range(3)]
    together, alone = Named("pqrs", 100, 5), Named("pqrs", 100, 5)
    waiting = [together.mean(values) for values in items]
    for found, values in zip(waiting, items, strict=True):
        np.testing.assert_allclose(found.draws, alone.mean(values).draws, rtol=1e-12)


def test_differences_and_averages_keep_the_pairing_of_the_draws():
    clusters = Named("pqrs", 300, 0)
    a = clusters.mean([(name, i / 4) for i, name in enumerate("pqrs")])
    b = clusters.mean([(name, i / 4 + 0.1) for i, name in enumerate("pqrs")])
    assert minus(b, a).interval(0.95) == (pytest.approx(0.1), pytest.approx(0.1))
    both = average([a, b])
    assert both.value == pytest.approx(a.value + 0.05)
    np.testing.assert_allclose(both.draws, a.draws + 0.05)
    assert both.count == 8


def test_an_average_over_something_unscored_is_unscored():
    clusters = Named("pq", 100, 0)
    assert math.isnan(average([clusters.mean([("p", 1.0)]), clusters.mean([])]).value)
    assert math.isnan(average([]).value)


def test_a_figure_is_json_with_nulls_for_what_is_unknown():
    clusters = Named("pq", 100, 0)
    assert figure(clusters.mean([]), 0.95) == {"value": None, "low": None, "high": None, "count": 0}
    assert figure(clusters.mean([("p", 1.0), ("q", 1.0)]), 0.95) == {"value": 1.0, "low": 1.0, "high": 1.0, "count": 2}


def test_a_median_s_draws_are_the_medians_of_the_resamples() -> None:
    """Each resample written out: the values of a cluster as often as it was drawn."""
    values = [("a", 0.9), ("a", 0.1), ("b", 0.4), ("c", 0.7), ("c", 0.2), ("d", 0.4)]
    resampler = Named(["a", "b", "c", "d", "empty"], 300, seed=4)
    estimate = resampler.median(values)
    drawn = np.random.default_rng(4).multinomial(5, np.full(5, 0.2), size=300)
    for times, draw in zip(drawn, estimate.draws, strict=True):
        often = dict(zip("abcd", times[:4], strict=True))
        sample = [value for cluster, value in values for _ in range(often[cluster])]
        assert draw == pytest.approx(np.median(sample)) if sample else np.isnan(draw)
    assert estimate.value == pytest.approx(0.4)
    assert estimate.count == 6


def test_a_median_of_nothing_is_unknown() -> None:
    estimate = Named(["a"], 100, seed=0).median([])
    assert np.isnan(estimate.value)
    assert np.isnan(estimate.draws).all()


@pytest.mark.parametrize(("resamples", "figures"), [(1, 1), (3, 7), (250, 5)])
def test_what_is_made_in_blocks_is_what_is_made_at_once(resamples, figures, monkeypatch):
    """Other blocks: the same figures."""
    rng = np.random.default_rng(0)
    items = [(rng.integers(0, 30, 90), values) for k in range(9) for values in (rng.random(90), rng.random(90) < 0.5)]
    whole, bounded = Resampler(30, 250, 3), Resampler(30, 250, 3)
    expected = [whole.mean(*item).draws for item in items]
    medians = whole.median(*items[0]).draws
    monkeypatch.setattr(bootstrap, "_ROWS", resamples)
    monkeypatch.setattr(bootstrap, "_DRAWN", 2 * resamples)
    monkeypatch.setattr(bootstrap, "_FIGURES", figures)
    found = [bounded.mean(*item) for item in items]
    for one, draws in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.draws, draws, rtol=1e-12)
    np.testing.assert_array_equal(bounded.median(*items[0]).draws, medians)


def test_the_draws_written_out():
    """Totals and counts of the clusters, as often as numpy's multinomial draws them."""
    clusters = np.array([0, 0, 2, 3, 3, 3])
    values = np.array([0.25, -1.5, 1e9, 3.0, 0.1, 300.0])
    found = Resampler(5, 150, 8).mean(clusters, values)
    times = np.random.default_rng(8).multinomial(5, np.full(5, 0.2), size=150)[:, clusters]
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found.draws, (times * values).sum(axis=1) / times.sum(axis=1))


def test_a_sum_is_added_up_in_order():
    """As a plain loop does it, which is not what np.sum does."""
    values = np.random.default_rng(1).random(5000)
    total = 0.0
    for value in values.tolist():
        total += value
    found = Resampler(5000, 100, 0).mean(np.arange(5000), values)
    assert found.value == total / 5000 != values.sum() / 5000


def test_names_are_numbered_as_they_come():
    found, number = numbered(["b", None, "b", "a"])
    assert (found.tolist(), number) == ([0, 1, 0, 2], 3)
    assert numbered([])[1] == 0


def test_a_tree_of_figures_becomes_json():
    clusters = Named("pq", 100, 0)
    tree = {"a": clusters.mean([("p", 1.0), ("q", 1.0)]), "b": {"c": 3, "d": None}}
    assert plain(tree, 0.95) == {
        "a": {"value": 1.0, "low": 1.0, "high": 1.0, "count": 2},
        "b": {"c": 3, "d": None},
    }
