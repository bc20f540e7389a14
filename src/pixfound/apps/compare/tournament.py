"""All pairwise comparisons of some rows, and their results as plain values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pixfound.apps.compare.figures import FIGURES
from pixfound.apps.compare.pairing import Paired, pair
from pixfound.apps.compare.runs import Contestant, Unit, differences
from pixfound.apps.compare.significance import Difference, Settings, compare, holm
from pixfound.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """Two rows and their differences, by figure."""

    first: Contestant
    second: Contestant
    paired: Paired
    differences: dict[str, Difference]


@dataclass(frozen=True)
class Tournament:
    """The comparisons of every two rows. notes: caveats for the reader, shown before the numbers."""

    contestants: Sequence[Contestant]
    comparisons: Sequence[Comparison]
    unit: Unit
    iou_threshold: float
    settings: Settings
    notes: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; null where there is no number."""
        return {
            "unit": self.unit,
            "iou_threshold": self.iou_threshold,
            "settings": asdict(self.settings),
            "notes": list(self.notes),
            "contestants": [
                {
                    "letter": c.letter,
                    "folder": str(c.run.folder),
                    "row": c.row,
                    "title": c.run.title,
                    **dict(c.run.names),
                }
                for c in self.contestants
            ],
            "comparisons": [_comparison(c) for c in self.comparisons],
        }


def play(
    contestants: Sequence[Contestant],
    settings: Settings,
    unit: Unit | None = None,
    iou_threshold: float | None = None,
) -> Tournament:
    """Compare every two rows; p-values of a figure are adjusted for the number of comparisons.

    unit, iou_threshold: None takes those of the runs; raises UserError where the runs differ in them.
    """
    agreed_unit: Unit = unit or _agreed(contestants, "unit", "--unit pair or --unit item")
    threshold: float = iou_threshold or _agreed(contestants, "iou_threshold", "--iou-threshold")
    comparisons = []
    for first, second in itertools.combinations(contestants, 2):
        paired = pair(first, second, agreed_unit, threshold)
        comparisons.append(Comparison(first, second, paired, compare(paired, settings)))
    for figure in FIGURES:
        having = [c for c in comparisons if figure in c.differences]
        adjusted = holm([c.differences[figure].p for c in having])
        for comparison, p in zip(having, adjusted, strict=True):
            comparison.differences[figure] = replace(comparison.differences[figure], p_holm=p)
    notes = dict.fromkeys(n for c in comparisons for n in differences(c.first.run, c.second.run))
    return Tournament(contestants, comparisons, agreed_unit, threshold, settings, list(notes))


def _agreed(contestants: Sequence[Contestant], name: str, option: str) -> Any:
    values = list(dict.fromkeys(getattr(c.run, name) for c in contestants))
    if len(values) > 1:
        raise UserError(f"the runs differ in their {name} ({values[0]}, {values[1]}); give {option}")
    return values[0]


def _comparison(comparison: Comparison) -> dict[str, Any]:
    paired = comparison.paired
    return {
        "first": comparison.first.letter,
        "second": comparison.second.letter,
        "examples": paired.examples,
        "clusters": len(paired.clusters),
        "missing": {letter: list(keys) for letter, keys in paired.missing.items()},
        "unscored": {base: count for base, count in paired.unscored.items() if not base.startswith("joint")},
        "figures": {
            name: {key: _plain(value) for key, value in {**asdict(difference), "odds": difference.odds}.items()}
            for name, difference in comparison.differences.items()
        },
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
