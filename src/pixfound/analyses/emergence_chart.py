"""The chart of positions: observed shares of the deciles with their intervals, beside what null models give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixfound.analyses.emergence_text import NULL_TITLES
from pixfound.io.charts import Panel, Series, bar_chart
from pixfound.scoring.formatting import FEW_FOR_TENTHS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGNIFICANT = 0.05


def draw(results: Mapping[str, Any]) -> Figure | None:
    """A panel for each kind of prompt with enough examples, below each other; None without any.

    results: those of `When.compute`.
    """
    prompts = {kind: prompt for kind, prompt in results["prompts"].items() if prompt["examples"] >= FEW_FOR_TENTHS}
    if not prompts:
        return None
    nulls = list(next(iter(prompts.values()))["mean"]["nulls"])
    axis = f"{results['place']} of the best phrase in the answer, % of its {results['unit']}"
    note = f"Lines: {100 * results['level']:g} % intervals: bootstrap over pairs for the best phrase, draws for a null."
    if nulls:
        note += f" *: p < {_SIGNIFICANT} against {NULL_TITLES[nulls[0]]}, adjusted for all ten deciles."
    return bar_chart([_panel(kind, prompt, nulls, axis) for kind, prompt in prompts.items()], note)


def _panel(kind: str, results: Mapping[str, Any], nulls: list[str], axis: str) -> Panel:
    deciles, mean = results["deciles"], results["mean"]
    return Panel(
        title=f"Prompt {kind}: {results['examples']} examples; in brackets the mean position",
        x=axis,
        y="% of examples",
        series=[Series(_name("best phrase", mean), deciles)],
        ticks=[f"{10 * i}-{10 * (i + 1)}" for i in range(len(deciles))],
        references=[
            Series(_name(NULL_TITLES[null], mean["nulls"][null]), [ten["nulls"][null] for ten in deciles])
            for null in nulls
        ],
        starred=[i for i, ten in enumerate(deciles) if nulls and ten["nulls"][nulls[0]]["p"] < _SIGNIFICANT],
    )


def _name(title: str, mean: Mapping[str, Any]) -> str:
    return f"{title} ({100 * mean['value']:.0f} %)"
