"""Comparisons against a slow, plain reading of the same definitions, and under no difference."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist, mean, stdev
from typing import Any

import numpy as np
import pytest

from pixfound.apps.compare.figures import FIGURES, figures
from pixfound.apps.compare.pairing import pair
from pixfound.apps.compare.runs import Unit, contestants
from pixfound.apps.compare.significance import Difference, Settings, compare, holm, permutation
from tests.support.run_folder import item, write_run

Lines = Sequence[Mapping[str, Any]]


def random_lines(rng: random.Random, pairs: int, paired: bool, skill: float = 0.5) -> list[dict[str, Any]]:
    lines = []
    for number in range(2 * pairs):
        answers = (rng.random() < skill, rng.random() < skill)
        ious = (round(rng.random(), 3), round(min(1.0, rng.random() + skill / 3), 3))
        lines += item(str(number), str(number // 2) if paired else None, answers, {"row": ious})
    return lines


def plain(lines: Lines, unit: Unit) -> dict[str, float]:
    """The six figures by their definitions, one loop for each."""
    pairs = sorted({line["pair_id"] for line in lines} - {None})
    ids = sorted({line["example_id"] for line in lines})
    correct = {(x["example_id"], x["kind"]): x["correct"] for x in lines if x["row"] is None}
    iou = {(x["example_id"], x["kind"]): x["iou"] for x in lines if x["row"] is not None}
    members = {p: sorted({x["example_id"] for x in lines if x["pair_id"] == p}) for p in pairs}

    def share(good: Mapping[str, bool]) -> float:
        if unit == "item":
            return mean(float(good[i]) for i in ids)
        return mean(float(all(good[i] for i in members[p])) for p in pairs)

    a = share({i: correct[i, "open"] for i in ids})
    a_dagger = share({i: correct[i, "choice"] for i in ids})
    m, m_dagger = mean(iou[i, "open"] for i in ids), mean(iou[i, "ground"] for i in ids)
    answer, mask = "open" if a > a_dagger else "choice", "open" if m > m_dagger else "ground"
    joint = share({i: correct[i, answer] and iou[i, mask] > 0.5 for i in ids})
    x, y = max(a, a_dagger), max(m, m_dagger)
    s = 2 / (1 / x + 1 / y) if x and y else 0.0
    return {"A": a, "A_dagger": a_dagger, "M": m, "M_dagger": m_dagger, "S": s, "joint": joint}


def by_cluster(lines: Lines) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["pair_id"] or line["example_id"], []).append(line)
    return found


def all_swaps(one: Lines, two: Lines, unit: Unit) -> dict[str, float]:
    """Exact p-values: every way to swap the two in whole clusters."""
    first, second = by_cluster(one), by_cluster(two)
    seen = {name: abs(v) for name, v in subtract(plain(two, unit), plain(one, unit)).items()}
    hits = dict.fromkeys(seen, 0)
    ways = list(itertools.product((False, True), repeat=len(first)))
    for way in ways:
        a = [x for swap, c in zip(way, first, strict=True) for x in (second if swap else first)[c]]
        b = [x for swap, c in zip(way, first, strict=True) for x in (first if swap else second)[c]]
        for name, value in subtract(plain(b, unit), plain(a, unit)).items():
            hits[name] += abs(value) >= seen[name] - 1e-9
    return {name: count / len(ways) for name, count in hits.items()}


def subtract(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {name: a[name] - b[name] for name in a}


def compared(folder: Path, one: Lines, two: Lines, unit: Unit, **settings: Any) -> dict[str, Difference]:
    rows = contestants([str(write_run(folder / "a", one, unit)), str(write_run(folder / "b", two, unit))], [])
    return compare(pair(*rows, unit, 0.5), Settings(**settings))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("unit", ["pair", "item"])
def test_values_and_exact_p_values(seed: int, unit: Unit, tmp_path: Path) -> None:
    rng = random.Random(seed)
    paired = unit == "pair" or seed % 2 == 0
    number = 4 if paired else 2
    one, two = (random_lines(rng, number, paired, skill) for skill in (0.5, 0.8))
    found = compared(tmp_path, one, two, unit)
    first, second = plain(one, unit), plain(two, unit)
    exact = all_swaps(one, two, unit)
    for name in FIGURES:
        assert found[name].exact
        assert found[name].first == pytest.approx(first[name])
        assert found[name].second == pytest.approx(second[name])
        assert found[name].value == pytest.approx(second[name] - first[name])
        assert found[name].p == pytest.approx(exact[name]), name


def test_random_permutations_come_near_the_exact_ones() -> None:
    rng = np.random.default_rng(0)
    sums = rng.random((2, 12, 8))
    counts = np.full(8, 12.0)
    exact, every = permutation(sums, counts, 2**12, 0)
    drawn, some = permutation(sums, counts, 2**12 - 1, 0)
    assert every
    assert not some
    assert np.abs(exact - drawn).max() < 0.03
    assert np.array_equal(drawn, permutation(sums, counts, 2**12 - 1, 0)[0]), "the seed decides"


def test_effect_sizes_of_a_mean_are_those_of_its_clusters(tmp_path: Path) -> None:
    rng = random.Random(5)
    one, two = random_lines(rng, 15, True), random_lines(rng, 15, True, 0.9)
    found = compared(tmp_path, one, two, "pair")
    for name, kind in (("M", "open"), ("M_dagger", "ground")):
        change = []
        for p in range(15):
            ious = [
                [x["iou"] for x in lines if x["pair_id"] == str(p) and x["row"] and x["kind"] == kind]
                for lines in (one, two)
            ]
            change.append(mean(ious[1]) - mean(ious[0]))
        assert found[name].d_z == pytest.approx(mean(change) / stdev(change))
        error = stdev(change) / math.sqrt(15)
        z = NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(0.8)
        assert found[name].detectable == pytest.approx(z * error)
        assert (found[name].wins, found[name].losses) == (sum(c > 0 for c in change), sum(c < 0 for c in change))
        assert found[name].low < found[name].value < found[name].high
        assert found[name].high - found[name].low == pytest.approx(2 * 1.96 * error, rel=0.15)


@pytest.mark.parametrize("seed", [8, 9])
def test_the_effect_size_of_s_is_that_of_its_jackknife(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    both = random_lines(rng, 12, True), random_lines(rng, 12, True, 0.9)
    found = compared(tmp_path, *both, "pair")["S"]
    whole = [plain(lines, "pair") for lines in both]
    prompts = [(max("A", "A_dagger", key=w.get), max("M", "M_dagger", key=w.get)) for w in whole]  # type: ignore[arg-type]

    def change(without: str | None) -> float:
        """The difference without one pair, under the prompts that are better over all pairs."""
        left = [plain([x for x in lines if x["pair_id"] != without], "pair") for lines in both]
        one, two = (2 / (1 / w[a] + 1 / w[m]) for w, (a, m) in zip(left, prompts, strict=True))
        return two - one

    values = [12 * change(None) - 11 * change(str(p)) for p in range(12)]
    assert found.d_z == pytest.approx(mean(values) / stdev(values))
    assert (found.wins, found.losses, found.ties, found.odds) == (None,) * 4


@pytest.mark.parametrize(
    ("made", "record", "p"),
    [
        (("gbbb", "ggbg"), (2, 0, 2), 0.5),  # two pairs can be swapped in four ways, two of which are as extreme
        (("gbbg", "ggbb"), (1, 1, 2), 1.0),
        (("gggg", "bbbb"), (0, 4, 0), 0.125),
    ],
)
def test_the_joint_score_by_pair(made: tuple[str, str], record: tuple[int, int, int], p: float, tmp_path: Path) -> None:
    """Letters mark pairs: both members answered by letter and grounded, or one of them not."""
    good, half = ((False, True), {"row": (0.2, 0.9)}), ((False, True), {"row": (0.2, 0.3)})
    lines = [
        [
            x
            for n, c in enumerate(text)
            for i in "01"
            for x in item(f"{n}{i}", str(n), *(half if c + i == "b1" else good))
        ]
        for text in made
    ]
    joint = compared(tmp_path, *lines, "pair")["joint"]
    assert (joint.first, joint.second) == tuple(text.count("g") / 4 for text in made)
    assert (joint.wins, joint.losses, joint.ties) == record
    assert joint.odds == (record[0] / record[1] if record[1] else None)
    assert joint.p == p


def test_two_of_the_same_do_not_differ(tmp_path: Path) -> None:
    lines = random_lines(random.Random(1), 10, True)
    for found in compared(tmp_path, lines, lines, "pair").values():
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
        assert found.d_z is None
        assert found.detectable == 0


def test_unscored_items_are_left_out_of_both(tmp_path: Path) -> None:
    one = [*item("0", "p", (True, True), {"row": (0.5, 0.6)}), *item("1", "p", (True, None), {"row": (None, 0.8)})]
    two = [*item("0", "p", (False, True), {"row": (0.1, 0.2)}), *item("1", "p", (True, True), {"row": (0.9, 0.4)})]
    one += [*item("2", "q", (True, True), {"row": (0.3, 0.3)}), *item("3", "q", (True, True), {"row": (0.3, 0.3)})]
    two += [*item("2", "q", (True, True), {"row": (0.3, 0.3)}), *item("3", "q", (True, True), {"row": (0.3, 0.3)})]
    rows = contestants([str(write_run(tmp_path / "a", one)), str(write_run(tmp_path / "b", two))], [])
    paired = pair(*rows, "pair", 0.5)
    assert paired.unscored["A_dagger"] == 1, "a pair of which one answer is unscored"
    assert paired.unscored["M"] == 1
    found = compare(paired, Settings())
    assert found["A_dagger"].clusters == 1
    assert found["M"].first == pytest.approx((0.5 + 0.3 + 0.3) / 3)
    assert found["M"].second == pytest.approx((0.1 + 0.3 + 0.3) / 3)
    assert found["M_dagger"].first == pytest.approx((0.6 + 0.8 + 0.3 + 0.3) / 4)


def test_nothing_scored_is_no_figure() -> None:
    means = np.array([np.nan, 0.5, np.nan, 0.5, np.nan, np.nan, np.nan, 0.25])
    assert figures(means)[4:].tolist() == [0.5, 0.25]
    assert np.isnan(figures(means)[[0, 2]]).all()


@pytest.mark.parametrize("continuous", [True, False])
def test_p_values_where_there_is_no_difference(continuous: bool) -> None:
    """Two rows alike on correlated pairs: p <= q in a share q of all trials; in fewer where many results are equal."""
    rng, trials = np.random.default_rng(7), 400
    found = []
    for trial in range(trials):
        own = rng.random((2, 25, 8))
        shared = rng.random((1, 25, 8))  # what makes a cluster easy for both
        sums = shared + own if continuous else ((shared < 0.5) + (own < 0.5)).astype(float)
        found.append(permutation(sums, np.full(8, 50.0), 199, trial)[0])
    values = np.array(found)
    for q in (0.05, 0.1, 0.25, 0.5, 0.75):
        share = (values <= q).mean(axis=0)
        noise = 3.5 * math.sqrt(q * (1 - q) / trials)
        assert (share < q + noise).all(), (q, share)
        assert (share > q - noise).all() or not continuous, (q, share)


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    sums = np.stack([rng.random((40, 8)), rng.random((40, 8)) + 0.4])
    assert permutation(sums, np.full(8, 40.0), 1000, 0)[0].max() < 0.01


def test_holm() -> None:
    """The example of Holm's method: 4 x 0.005, 3 x 0.01, then what came before is the least."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
