"""The chart of a run's table: M, M† and S of each row with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixfound.io.charts import Panel, Series, bar_chart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {"M": "M, open prompt", "M_dagger": "M†, grounding prompt", "S": "S"}


def draw_rows(metrics: Mapping[str, Any]) -> Figure:
    """A group of bars for each row of the table."""
    rows = metrics["rows"]
    panel = Panel(
        title=f"{metrics['examples']} examples, {metrics['pairs']} pairs",
        x="row of the table",
        y="mean IoU (M, M†), S, %",
        series=[Series(name, [figures[key] for figures in rows.values()]) for key, name in _COLUMNS.items()],
        ticks=list(rows),
    )
    note = "Lines: 95 % bootstrap intervals clustered by pair. S: harmonic mean of the better A and the better M."
    return bar_chart([panel], note)
