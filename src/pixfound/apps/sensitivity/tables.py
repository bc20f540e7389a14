"""The analysis as tables of plain cells, for the console and for sensitivity.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMES = {"A": "A", "A_dagger": "A†", "M": "M", "M_dagger": "M†", "S": "S"}
_SHARED = ("A", "A_dagger")


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and the lines; the first column holds words."""

    title: str
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]


def tables(study: Mapping[str, Any], row: str) -> Iterator[Table]:
    """The tables of one row: perturbations and summary of each subject, and the ranks."""
    keys = figure_keys(row)
    for subject, results in study["subjects"].items():
        yield Table(
            f"{subject}, row {row}: {study['examples']} examples, in percent",
            ["variation", *NAMES.values()],
            [
                [name, *(figure(cell["figures"].get(key)) for key in keys)]
                for name, cell in results["variations"].items()
            ],
        )
        lines = [
            line
            for family, summary in results["families"].items()
            for key in keys
            if (line := _summary(family, key, summary["figures"].get(key)))
        ]
        headers = ["family", "figure", "n", "as it is", "worst", "best", "mean", "sd", "spread", "flips"]
        yield Table(f"{subject}, row {row}: what the variations of a family do", headers, lines)
        grid = [
            [
                family,
                str(correlations["variations"]),
                _number(correlations["figures"]),
                _interval(correlations["flips"], 1, 2),
            ]
            for family, summary in results["families"].items()
            if (correlations := summary["same_grid"].get(row))
        ]
        if grid:
            headers = ["family", "n", "r of figures", "r of flips"]
            yield Table(f"{subject}, row {row}: VQA and grounding under the same variations", headers, grid)
    ranks = [
        [
            _name(key),
            f"{results['ranked']} {results['of']}",
            str(results["variations"]),
            _number(results["kendall"]),
            _number(results["spearman"]),
            "-" if results["winner_changes"] is None else f"{100 * results['winner_changes']:.0f}",
        ]
        for key, results in study["ranks"].items()
        if "." not in key or key.endswith(f".{row}")
    ]
    if ranks:
        headers = ["figure", "ranks", "n", "Kendall", "Spearman", "winner changes"]
        yield Table("How far the variations agree in their ranking", headers, ranks)


def headlines(study: Mapping[str, Any], row: str) -> Iterator[str]:
    """The shortest thing that matters of each subject: how far A† and M† move over the variations."""
    for subject, results in study["subjects"].items():
        parts = []
        for name, key in (("A†", "A_dagger"), ("M†", f"M_dagger.{row}")):
            values = {
                variation: value
                for variation, cell in results["variations"].items()
                if (value := cell["figures"].get(key)) and value["value"] is not None
            }
            if values:
                worst, best = (end(values, key=lambda variation: values[variation]["value"]) for end in (min, max))
                parts.append(f"{name} from {figure(values[worst])} ({worst}) to {figure(values[best])} ({best})")
        yield f"{subject}, row {row}, {len(results['variations'])} variations: {'; '.join(parts) or 'nothing scored'}"


def figure_keys(row: str) -> list[str]:
    """Keys of a cell's figures for one row, in the order of NAMES."""
    return [name if name in _SHARED else f"{name}.{row}" for name in NAMES]


def legend(study: Mapping[str, Any]) -> str:
    """The explanation of the columns."""
    unit = "pairs with both answers right" if study["accuracy_unit"] == "pair" else "right answers"
    return (
        f"A, A†: {unit}, open question and letter; M, M†: mean IoU under the open and the grounding prompt; S: "
        "harmonic mean of the better of each. n: variations that vary this figure's input; the cell that varies "
        "nothing (as it is) is none of them. Spread: best minus worst. Flips: how often two variations give an example "
        f"another outcome (right or wrong; IoU above {study['iou_threshold']:g} or not). r of figures: over the "
        "variations, better accuracy and M†; r of flips: over examples, letter and M†. Kendall's tau-b and Spearman's "
        "rho: mean over pairs of variations; winner changes: percent of these pairs. In brackets "
        f"{100 * study['level']:.0f} % bootstrap intervals, clustered by pair; those of a spread lean upwards."
    )


def figure(value: Mapping[str, Any] | None, digits: int = 1) -> str:
    """A share as text in percent."""
    return "-" if value is None or value["value"] is None else f"{100 * value['value']:.{digits}f}"


def _summary(family: str, key: str, summary: Mapping[str, Any] | None) -> list[str] | None:
    if summary is None:
        return None
    ends = [f"{figure(summary[e])} ({summary[e]['variation']})" if e in summary else "-" for e in ("worst", "best")]
    return [
        family,
        _name(key),
        str(summary["variations"]),
        figure(summary["base"]),
        *ends,
        figure(summary.get("mean")),
        figure(summary.get("sd")),
        _interval(summary.get("spread")),
        figure(summary.get("flips")),
    ]


def _name(key: str) -> str:
    return NAMES[key.partition(".")[0]]


def _interval(value: Mapping[str, Any] | None, scale: float = 100, digits: int = 1) -> str:
    if value is None or value["value"] is None:
        return "-"
    middle = f"{scale * value['value']:.{digits}f}"
    if value["low"] is None:
        return middle
    return f"{middle} [{scale * value['low']:.{digits}f}, {scale * value['high']:.{digits}f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
