"""Audit of the selecting judge: whether it chooses by the masks or by the places where they are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.interfaces import Analysis
from pixfound.io.text import grid
from pixfound.pipeline.run_examples import MASK_KINDS, RunExample
from pixfound.scoring.formatting import FEW
from pixfound.types import Choice, Kind
from pixfound.types.arguments import NonNegative, Positive
from pixfound.types.masks import ious

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

_QUALITY = ("agreement", "chance", "regret", "regret_of_picks")
_THIRDS = ("first third", "middle third", "last third")


class JudgeAudit(Analysis):
    """For each row that a judge chose: where its picks were shown, how good they are, and what it says of presence.

    A judge with good eyes picks every place as often as chance has the best candidate there: the order is shuffled, so
    that is uniform. p: the share of simulated uniform judges that differ from uniform at least as much (by
    Pearson's chi-square, whose tabled distribution does not hold where questions differ in size). simulations, seed:
    of them.
    """

    def __init__(self, simulations: Positive = 2000, seed: NonNegative = 0) -> None:
        self.simulations, self.seed = simulations, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Row -> places, quality, presence and kinds of choice, both prompts together."""
        results: dict[str, Any] = {}
        for row, (_, selector) in run.parts.rows.items():
            if not run.parts.selectors[selector].built.uses_judge:
                continue
            if any(choice.about for _, _, choice in _decisions(run, row)):
                results[row] = self._about(list(_choices(run, row)))
        return results

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """A table of places, one of quality, one of presence."""
        places, quality, presence = [], [], []
        for row, about in results.items():
            place_counts = about["places"]
            places.append(
                [
                    row,
                    *(str(place_counts["counts"][third]) for third in _THIRDS),
                    f"{place_counts['p']:.3f}",
                    *_first(place_counts),
                ]
            )
            good, kinds = about["quality"], about["kinds"]
            choices = sum(kinds.values())
            means = [_percent(good[name], good["examples"]) for name in _QUALITY]
            shares = [_percent(kinds.get(kind, 0) / choices, choices) for kind in ("empty", "unscored")]
            quality.append([row, str(good["examples"]), *means, *shares])
            presence_counts = about["presence"]
            presence.append(
                [row, *(str(presence_counts[name]) for name in _PRESENCE), str(about["kinds"].get("unscored", 0))]
            )
        return [
            "## The judge's choices",
            "Where in a question the picked overlay was shown. A small p: the judge prefers some places (or, with "
            "`shuffle: false`, the candidates' own order). First: how often the first place was picked, and by chance.",
            grid(("row", *_THIRDS, "p", "p of single places", "first", "first by chance"), places),
            "Present objects with two candidates or more, in percent. As oracle: picks that no candidate beats, and "
            "how many a random pick gives. Regret: IoU that the oracle gains on the row, and on its picks alone. Of "
            f"all choices: empty, unscored. -: of fewer than {FEW}.",
            grid(("row", "n", "as oracle", "by chance", "regret", "regret of picks", "empty", "unscored"), quality),
            "What it said of presence, against the truth; and choices that are unscored.",
            grid(("row", *_PRESENCE.values(), "unscored"), presence),
        ]

    def _about(self, choices: Sequence[_Choice]) -> dict[str, Any]:
        questions = [
            (question["picked"], len(question["order"]))
            for choice in choices
            for question in choice.decision.about.get("questions", ())
            if question["picked"] is not None
        ]
        presence = Counter(
            f"{'absent' if choice.absent else 'present'}_{'yes' if choice.decision.about['present'] else 'no'}"
            for choice in choices
            if choice.decision.about.get("present") is not None
        )
        return {
            "places": {"questions": len(questions), **self._places(questions)},
            "quality": _quality(choices),
            "presence": {name: presence[name] for name in _PRESENCE},
            "kinds": dict(Counter(choice.decision.kind for choice in choices)),
        }

    def _places(self, questions: list[tuple[int, int]]) -> dict[str, Any]:
        """Thirds and single places that were picked, what chance expects of the latter, and p of both."""
        sizes = np.array([count for _, count in questions], dtype=int)
        picked = np.array([place for place, _ in questions], dtype=int)
        counts = _thirds(picked, sizes)
        single = np.bincount(picked, minlength=max(sizes, default=0))
        expected = np.array([(1 / sizes[sizes > place]).sum() for place in range(len(single))])
        thirds_expected = np.sum([_third_odds(int(size)) for size in sizes], axis=0) if questions else np.zeros(3)
        rng = np.random.default_rng(self.seed)
        random = [rng.integers(sizes) for _ in range(self.simulations)] if questions else []
        p = _p_value(counts, [_thirds(places, sizes) for places in random], thirds_expected)
        p_single = _p_value(single, [np.bincount(places, minlength=len(single)) for places in random], expected)
        return {
            "counts": dict(zip(_THIRDS, counts, strict=True)),
            "p": p,
            "picked": single.tolist(),
            "expected": expected.tolist(),
            "p_single": p_single,
        }


@dataclass(frozen=True)
class _Choice:
    """A stored choice. ious: of its candidates with the truth, in order."""

    absent: bool
    decision: Choice
    ious: Sequence[float]


def _decisions(run: RunData, row: str) -> Iterator[tuple[RunExample, Kind, Choice]]:
    """The stored choices of a row, those that could be made."""
    for run_example in run.examples:
        for kind in MASK_KINDS:
            choice = run.choice(run_example, kind, row)
            if choice is not None:
                yield run_example, kind, choice


def _choices(run: RunData, row: str) -> Iterator[_Choice]:
    for run_example, kind, choice in _decisions(run, row):
        candidates = run.candidates(run_example, kind, run.parts.rows[row][0])
        if candidates is not None:
            masks = [candidate.mask for candidate in candidates]
            yield _Choice(
                run_example.example.absent, choice, ious(masks, run_example.example.gt_mask, run_example.example.ignore)
            )


def _quality(choices: Sequence[_Choice]) -> dict[str, Any]:
    """Agreement of the picks with the oracle's, and their regret in IoU; None for a mean over nothing.

    Counted are present objects with two or more candidates. regret counts an empty choice as IoU 0. Unscored choices
    are in neither.
    """
    real = [c for c in choices if not c.absent and len(c.ious) > 1 and c.decision.kind in ("candidate", "empty")]
    picks = [c for c in real if c.decision.kind == "candidate"]
    lost = [max(c.ious) - c.ious[c.decision.index] for c in picks if c.decision.index is not None]
    chance = [sum(value == max(c.ious) for value in c.ious) / len(c.ious) for c in picks]
    empty = [max(c.ious) for c in real if c.decision.kind == "empty"]
    return {
        "examples": len(real),
        "picks": len(picks),
        "agreement": _mean([float(loss == 0) for loss in lost]),
        "chance": _mean(chance),
        "regret": _mean([*lost, *empty]),
        "regret_of_picks": _mean(lost),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _percent(value: float | None, count: int) -> str:
    return "-" if value is None or count < FEW else f"{100 * value:.1f}"


def _first(places: Mapping[str, Any]) -> list[str]:
    if not places["picked"]:
        return ["-", "-", "-"]
    return [f"{places['p_single']:.3f}", str(places["picked"][0]), f"{places['expected'][0]:.1f}"]


def _p_value(counts: Any, simulated: Sequence[Any], expected: Any) -> float:
    """The share of simulated counts at least as far from the expected ones, ours among them."""
    if not simulated:
        return 1.0
    distances = ((np.array([counts, *simulated]) - expected) ** 2 / np.maximum(expected, 1e-9)).sum(axis=1)
    return float((distances >= distances[0] - 1e-9).mean())


def _third_odds(size: int) -> Any:
    """The chance of each third when one of `size` places is picked at random."""
    return np.array(_thirds(np.arange(size), np.full(size, size))) / size


_PRESENCE = {
    "present_yes": "present, yes",
    "present_no": "present, no",
    "absent_yes": "absent, yes",
    "absent_no": "absent, no",
}


def _thirds(places: Any, sizes: Any) -> list[int]:
    """The numbers of places in the first, middle and last third of their question.

    places: from 0. sizes: for each place, the number of places in its question.
    """
    where = np.floor((np.asarray(places, dtype=float) + 0.5) / np.maximum(np.asarray(sizes, dtype=float), 1) * 3)
    return [int((where == third).sum()) for third in range(3)]
