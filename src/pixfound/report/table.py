"""The table of a run as plain cells, for the console and for report.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADERS = (
    "row",
    "A",
    "A†",
    "M",
    "M†",
    "S",
    "M† present",
    "shown though absent",
    "point on target",
    "on target | on any (chance)",
)


def table(metrics: Mapping[str, Any]) -> list[list[str]]:
    """A list of cells for each row; shares in percent, with their intervals in brackets."""
    lines = []
    for row, found in metrics["rows"].items():
        pointing = found["pointing"]["M_dagger"]
        lines.append(
            [
                row,
                figure(metrics["vqa"]["A"]),
                figure(metrics["vqa"]["A_dagger"]),
                figure(found["M"]),
                figure(found["M_dagger"]),
                figure(found["S"]),
                plain(found["present_only"]["M_dagger"]),
                plain(found["false_positives_on_absent"]["M_dagger"]),
                plain(pointing["on_target"]) if pointing else "-",
                f"{plain(pointing['on_target_given_object'])} ({plain(pointing['chance_given_object'])})"
                if pointing
                else "-",
            ]
        )
    return lines


def figure(value: Mapping[str, Any]) -> str:
    """A share in percent with its interval."""
    if value["value"] is None:
        return "-"
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def plain(value: Mapping[str, Any]) -> str:
    """A share in percent."""
    return "-" if value["value"] is None else f"{100 * value['value']:.1f}"


def legend(metrics: Mapping[str, Any]) -> str:
    """What the columns mean, in a few lines."""
    unit = "pairs with both answers right" if metrics["accuracy_unit"] == "pair" else "right answers"
    return (
        f"A: {unit}, open question; A†: the same, by letter. M: mean IoU of the mask under the open prompt; "
        "M†: under the grounding prompt. S: harmonic mean of the better A and the better M. In percent, "
        "with 95 % bootstrap intervals clustered by pair. Point columns: over present objects, grounding prompt; "
        "chance is what a point on a random object would score."
    )
