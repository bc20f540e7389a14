"""Charts in one style, drawn by matplotlib and written as PNG and SVG.

Figures are mappings with `value`, `low` and `high`, shares of 1 that are drawn in per cent; low and high are the ends
of an interval. None where nothing is known. Nothing here touches pyplot or settings of the process that last.
"""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixfound.io.atomic import write_bytes
from pixfound.io.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Value = Mapping[str, Any]
# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow is too pale on white.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#666666")
_MARKERS = "osD^vPX"
_STYLE: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 8.0,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "errorbar.capsize": 2.5,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "pixfound",  # equal charts are equal files
    "text.parse_math": False,  # a name may hold dollar signs
    "savefig.dpi": 144.0,
}
_WIDTH, _HEIGHT = 7.2, 3.3  # inches, of a panel
_INK = "#33363d"
_CHARACTERS, _TICK_CHARACTERS = 110, 80  # of a line over or under a panel, of the names on its axis
_NUMBERED = 12  # columns of a heat map with room for numbers
_ENDS = 0.04  # of an axis, beyond the outermost mark


@dataclass(frozen=True)
class Series:
    """Figures of one name. x: their positions on the x-axis, itself figures in a scatter; None: 0, 1, 2 ..."""

    name: str
    values: Sequence[Value]
    x: Sequence[Any] | None = None


@dataclass(frozen=True)
class Panel:
    """One chart under a title. x, y: the axes' labels, with the unit.

    ticks: names of the positions 0, 1, 2 ... on the x-axis. references: what the series are set against, such as
    chance. starred: positions with a star over the first series.
    """

    title: str
    x: str
    y: str
    series: Sequence[Series]
    ticks: Sequence[str] = ()
    references: Sequence[Series] = ()
    starred: Sequence[int] = ()


def bar_chart(panels: Sequence[Panel], note: str) -> Figure:
    """Groups of bars with their intervals; references stand beside them as points. note: below all panels."""
    return _figure(panels, note, _bars, from_zero=True)


def line_chart(panels: Sequence[Panel], note: str) -> Figure:
    """Lines, their intervals as bands; references are level, dashed lines without an interval."""
    return _figure(panels, note, _lines, from_zero=True)


def scatter_chart(panels: Sequence[Panel], note: str) -> Figure:
    """Points with intervals in both directions."""
    return _figure(panels, note, _points)


@dataclass(frozen=True)
class HeatPanel:
    """Cells of a heat map, nan is left white. unit: their axis.

    differences: from 0, blue above and orange below; else amounts from 0 on, in blue. digits: behind the point.
    """

    title: str
    cells: Sequence[Sequence[float]]
    unit: str
    differences: bool = True
    digits: int = 1


def heat_map(rows: Sequence[str], columns: Sequence[str], panels: Sequence[HeatPanel]) -> Figure:
    """Panels of cells one below the other, as colours, with their numbers where there are few columns."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(dict(_STYLE)):
        across = 0.75 if len(columns) <= _NUMBERED else 0.22
        height = len(panels) * (1.2 + 0.24 * len(rows))
        figure = Figure(figsize=(2.6 + across * len(columns), height), layout="constrained")
        for axes, panel in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
            _heat(axes, panel, rows, columns)
    return figure


def _heat(axes: Axes, panel: HeatPanel, rows: Sequence[str], columns: Sequence[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    end = max((abs(cell) for row in panel.cells for cell in row if math.isfinite(cell)), default=0.0) or 1.0
    ends = [*([_COLOURS[4]] if panel.differences else []), "#ffffff", _COLOURS[0]]
    colours = LinearSegmentedColormap.from_list("heat", ends)
    image = axes.imshow(panel.cells, cmap=colours, vmin=-end if panel.differences else 0, vmax=end, aspect="auto")
    for i, row in enumerate(panel.cells):
        for j, cell in enumerate(row):
            if len(columns) <= _NUMBERED and math.isfinite(cell):
                text = f"{cell:{'+' if panel.differences else ''}.{panel.digits}f}"
                ink = "white" if abs(cell) > 0.6 * end else _INK
                axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(columns)), [printable(name) for name in columns])
    axes.set_yticks(range(len(rows)), [printable(name) for name in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(printable(panel.title))
    axes.figure.colorbar(image, ax=axes, label=panel.unit)


def write_chart(path: Path, figure: Figure) -> None:
    """Write PATH.png and PATH.svg."""
    import matplotlib

    with matplotlib.rc_context(dict(_STYLE)):
        for ending in ("png", "svg"):
            stream = io.BytesIO()
            figure.savefig(stream, format=ending, metadata={"Date": None} if ending == "svg" else None)
            write_bytes(path.with_name(f"{path.name}.{ending}"), stream.getvalue())


def chart_lines(name: str) -> str:
    """A chart in Markdown, by its name without ending."""
    return f"![{name}]({name}.png)\n\n[{name}.svg]({name}.svg)"


def _figure(panels: Sequence[Panel], note: str, draw: Any, from_zero: bool = False) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(_WIDTH, _HEIGHT * len(panels) + 0.3), layout="constrained")
        for panel, (axes,) in zip(panels, figure.subplots(len(panels), sharey=True, squeeze=False), strict=True):
            draw(axes, panel)
            if panel.ticks:
                long = sum(len(tick) + 2 for tick in panel.ticks) > _TICK_CHARACTERS
                look = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if long else {}
                axes.set_xticks(range(len(panel.ticks)), [printable(tick) for tick in panel.ticks], **look)
            axes.set(title=_wrapped(panel.title), xlabel=printable(panel.x), ylabel=printable(panel.y))
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        if from_zero:  # last, as it ends the fitting of the axis that all panels share
            axes.set_ylim(bottom=0)
        figure.supxlabel(_wrapped(note), fontsize=8, color=_INK, x=0.01, ha="left")
    return figure


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(printable(text), _CHARACTERS))


def _bars(axes: Axes, panel: Panel) -> None:
    count = len(panel.series) + 0.5 * len(panel.references)
    width = 0.84 / count
    left = -0.42
    for i, series in enumerate([*panel.series, *panel.references]):
        bar = i < len(panel.series)
        slot = width if bar else 0.5 * width
        x = [place + left + slot / 2 for place in range(len(series.values))]
        left += slot
        values, below, above = _percent(series.values)
        name, colour = printable(series.name), _COLOURS[i % len(_COLOURS)]
        if bar:
            axes.bar(x, values, 0.92 * slot, color=colour, label=name)
            axes.errorbar(x, values, (below, above), fmt="none", ecolor=_INK, elinewidth=1.2)
        else:
            axes.errorbar(x, values, (below, above), fmt=_MARKERS[i], color=colour, markersize=4, label=name)
        if i == 0:
            for place in panel.starred:
                axes.text(x[place], values[place] + above[place], "*", ha="center", va="bottom", fontsize=12)
    axes.grid(axis="y")
    axes.margins(y=0.1)


def _lines(axes: Axes, panel: Panel) -> None:
    for i, series in enumerate(panel.series):
        x = series.x or range(len(series.values))
        values, below, above = _percent(series.values)
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(x, values, marker="o", markersize=4, color=colour, label=printable(series.name))
        ends = [(v - b, v + a) for v, b, a in zip(values, below, above, strict=True)]
        axes.fill_between(
            x, [low for low, _ in ends], [high for _, high in ends], color=colour, alpha=0.18, linewidth=0
        )
    for i, series in enumerate(panel.references, len(panel.series)):
        value = _percent(series.values)[0][0]
        axes.axhline(
            value, color=_COLOURS[i % len(_COLOURS)], linestyle="--", linewidth=1.2, label=printable(series.name)
        )
    axes.grid(axis="y")


def _points(axes: Axes, panel: Panel) -> None:
    for i, series in enumerate(panel.series):
        y, below, above = _percent(series.values)
        x, left, right = _percent(series.x or [])
        marker, colour = _MARKERS[i % len(_MARKERS)], _COLOURS[i % len(_COLOURS)]
        marks = axes.errorbar(x, y, (below, above), (left, right), fmt=marker, color=colour, elinewidth=0.6, capsize=0)
        marks.set_label(printable(series.name))
    axes.grid()
    axes.margins(_ENDS)


def _percent(values: Sequence[Value]) -> tuple[list[float], list[float], list[float]]:
    """Values in per cent, and the lengths of their intervals below and above; nan where there is none."""
    shares = [
        [math.nan if value.get(end) is None else 100 * value[end] for end in ("value", "low", "high")]
        for value in values
    ]
    return (
        [value for value, _, _ in shares],
        [max(0.0, value - low) for value, low, _ in shares],
        [max(0.0, high - value) for value, _, high in shares],
    )
