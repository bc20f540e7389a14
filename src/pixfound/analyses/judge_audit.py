"""Is the selecting judge to be trusted: does it look at the masks, or at the places where they are shown?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.pipeline.stages import MASK_KINDS
from pixfound.report.text import grid

if TYPE_CHECKING:
    from pixfound.pipeline.evaluate import Evidence

_THIRDS = ("first third", "middle third", "last third")


class JudgeAudit:
    """For each row that a judge chose: where its picks were shown, what it says of presence, and what it left open.

    A judge with good eyes picks every place as often as chance has the best candidate there: the order is shuffled, so
    that is uniform. p: the share of simulated uniform judges whose thirds differ from uniform at least as much
    (chi-square distance). simulations, seed: of them.
    """

    def __init__(self, simulations: int = 2000, seed: int = 0) -> None:
        self.simulations, self.seed = simulations, seed

    def compute(self, evidence: Evidence) -> Mapping[str, Any]:
        """Row -> places, presence and kinds of choice, both prompts together."""
        found: dict[str, Any] = {}
        for row, pair in evidence.parts.rows.items():
            choices = [
                (item.example, record.value)
                for item in evidence.items
                for kind in MASK_KINDS
                if (record := evidence.stores.select[pair].get(item.key(kind), item.whole(kind))) and record.value
            ]
            if any(value.get("about") for _, value in choices):
                found[row] = self._about(choices)
        return found

    def sections(self, found: Mapping[str, Any]) -> list[str]:
        """A table of places, one of presence."""
        places, presence = [], []
        for row, about in found.items():
            shown = about["places"]
            places.append([row, *(str(shown["counts"][third]) for third in _THIRDS), f"{shown['p']:.3f}"])
            seen = about["presence"]
            presence.append([row, *(str(seen[name]) for name in _PRESENCE), str(about["kinds"].get("unscored", 0))])
        return [
            "## The judge's choices",
            "Where in a question the picked overlay was shown. A small p: the judge prefers some places.",
            grid(("row", *_THIRDS, "p"), places),
            "What it said of presence, against the truth; and choices that could not be read.",
            grid(("row", *_PRESENCE.values(), "unscored"), presence),
        ]

    def _about(self, choices: list[tuple[Any, Mapping[str, Any]]]) -> dict[str, Any]:
        questions = [
            (question["picked"], len(question["order"]))
            for _, value in choices
            for question in value.get("about", {}).get("questions", ())
            if question["picked"] is not None
        ]
        presence = Counter(
            f"{'absent' if example.absent else 'present'}_{'yes' if value['about']['present'] else 'no'}"
            for example, value in choices
            if value.get("about", {}).get("present") is not None
        )
        return {
            "places": {"questions": len(questions), **self._places(questions)},
            "presence": {name: presence[name] for name in _PRESENCE},
            "kinds": dict(Counter(value["kind"] for _, value in choices)),
        }

    def _places(self, questions: list[tuple[int, int]]) -> dict[str, Any]:
        counts = _thirds([picked for picked, _ in questions], [count for _, count in questions])
        if not questions:
            return {"counts": dict(zip(_THIRDS, counts, strict=True)), "p": 1.0}
        rng = np.random.default_rng(self.seed)
        sizes = np.array([count for _, count in questions])
        simulated = [_thirds(rng.integers(sizes), sizes) for _ in range(self.simulations)]
        expected = np.mean(simulated, axis=0)
        distances = (((np.array(simulated) - expected) ** 2) / np.maximum(expected, 1e-9)).sum(axis=1)
        ours = float((((np.array(counts) - expected) ** 2) / np.maximum(expected, 1e-9)).sum())
        p = (1 + int((distances >= ours - 1e-9).sum())) / (1 + self.simulations)
        return {"counts": dict(zip(_THIRDS, counts, strict=True)), "p": p}


_PRESENCE = {
    "present_yes": "present, yes",
    "present_no": "present, no",
    "absent_yes": "absent, yes",
    "absent_no": "absent, no",
}


def _thirds(places: Any, sizes: Any) -> list[int]:
    """How many places lie in the first, middle and last third of their question."""
    where = np.floor((np.asarray(places, dtype=float) + 0.5) / np.maximum(np.asarray(sizes, dtype=float), 1) * 3)
    return [int((where == third).sum()) for third in range(3)]
