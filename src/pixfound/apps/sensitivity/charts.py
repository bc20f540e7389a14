"""The charts of a study of sensitivity: VQA against grounding by variation, and what each variation changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixfound.apps.sensitivity.tables import NAMES, figure_keys
from pixfound.io.charts import HeatPanel, Panel, Series, heat_map, scatter_chart
from pixfound.prompts.perturbations import NONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_scatter(study: Mapping[str, Any], row: str) -> Figure:
    """A panel for each subject; a point for each variation: A† against M† of the row, by family."""
    unit = "pairs" if study["accuracy_unit"] == "pair" else "answers"
    panels = []
    for subject, results in study["subjects"].items():
        families: dict[str, list[Mapping[str, Any]]] = {}
        for name, cell in results["variations"].items():
            families.setdefault("as it is" if name == NONE else cell["family"], []).append(cell["figures"])
        series = [
            Series(family, [f[f"M_dagger.{row}"] for f in cells], [f["A_dagger"] for f in cells])
            for family, cells in families.items()
        ]
        panels.append(Panel(f"{subject}, row {row}", f"A†, % of {unit} right by letter", "M†, mean IoU in %", series))
    note = f"A point: a variation. Lines: {100 * study['level']:g} % bootstrap intervals clustered by pair."
    return scatter_chart(panels, note)


def draw_changes(study: Mapping[str, Any], row: str) -> Mapping[str, Figure]:
    """Subject -> heat map: each figure of each variation, less that of the unperturbed cell; none without that cell."""
    charts = {}
    for subject, results in study["subjects"].items():
        variations = dict(results["variations"])
        if NONE not in variations or len(variations) < 2:
            continue
        base = variations.pop(NONE)["figures"]
        cells = [[_points(cell["figures"][key], base[key]) for key in figure_keys(row)] for cell in variations.values()]
        title = f"{subject}, row {row}: changes by variation"
        panel = HeatPanel(title, cells, "variation - as it is, points")
        charts[subject] = heat_map(list(variations), list(NAMES.values()), [panel])
    return charts


def _points(value: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    scored = value["value"] is not None and base["value"] is not None
    return 100 * (value["value"] - base["value"]) if scored else math.nan
