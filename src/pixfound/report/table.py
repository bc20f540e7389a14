"""The table of a run as plain cells, for the console and for report.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixfound.scoring.formatting import figure, plain

HEADERS = (
    "row",
    "A",
    "A†",
    "M",
    "M†",
    "S",
    "M† present",
    "FP absent",
    "on target",
    "right | any",
)


def region_table(metrics: Mapping[str, Any], intervals: bool = True) -> tuple[list[str], list[list[str]]]:
    """Headers and cells of a table of `scoring.region_metrics` under the grounding prompt; no cells without any."""
    names = list(
        dict.fromkeys(name for figures in metrics["rows"].values() for name in figures.get("region_metrics", {}))
    )
    main = figure if intervals else plain
    rows = metrics["rows"].items() if names else ()
    return ["row", *names], [[row, *(main(f["region_metrics"][n]["M_dagger"]) for n in names)] for row, f in rows]


def table(metrics: Mapping[str, Any], intervals: bool = True) -> list[list[str]]:
    """A list of cells for each row; shares in percent, M and S with their intervals in brackets."""
    main = figure if intervals else plain
    lines = []
    for row, figures in metrics["rows"].items():
        pointing = figures["pointing"]["M_dagger"]
        lines.append(
            [
                row,
                plain(metrics["vqa"]["A"]),
                plain(metrics["vqa"]["A_dagger"]),
                main(figures["M"]),
                main(figures["M_dagger"]),
                main(figures["S"]),
                plain(figures["present_only"]["M_dagger"]),
                plain(figures["false_positives_on_absent"]["M_dagger"]),
                plain(pointing["on_target"]) if pointing else "-",
                f"{plain(pointing['on_target_given_object'], 0)} ({plain(pointing['chance_given_object'], 0)})"
                if pointing
                else "-",
            ]
        )
    return lines


def legend(metrics: Mapping[str, Any]) -> str:
    """The meaning of the columns, in a few lines."""
    unit = "pairs with both answers right" if metrics["accuracy_unit"] == "pair" else "right answers"
    vqa = metrics["vqa"]
    credit = metrics.get("answer_credit")
    by_rule = f", mean credit by rule {figure(credit)}" if credit else ""
    return (
        f"In percent, with 95 % bootstrap intervals clustered by pair. A: {unit}, open question, "
        f"{figure(vqa['A'])}{by_rule}; A†: the same by letter, {figure(vqa['A_dagger'])}; all rows share them. M, M†: "
        "mean IoU of the mask under the open and under the grounding prompt; S: harmonic mean of the better A and the "
        "better M. "
        "M† present: without absent objects; FP absent: how often something is shown for these. On target: the mask's "
        "point lies on the referred object; right | any: on the right one when it lies on any object (in brackets: the "
        "chance of a random object); both under the grounding prompt."
    )
