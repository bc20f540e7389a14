"""Figures of others beside those of a run, where the same thing is measured on a benchmark of the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.io.text import escape, grid
from pixfound.published import MEASURES, Published, published
from pixfound.scoring.formatting import plain

_DECILES, _CONCEPTS = "when.deciles", "when.concepts"
_TITLES = {"A_dagger": "A†", "M_dagger": "M†"}
ABOUT = "This run first. The others as their authors print them: models, prompts and versions of data may differ."


@dataclass(frozen=True)
class PublishedTable:
    """A table of texts: a line for each row of this run, then one for each model of others."""

    title: str
    source: str
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]


def published_tables(
    names: Mapping[str, str], metrics: Mapping[str, Any], own: Sequence[Published] = ()
) -> list[PublishedTable]:
    """The tables of a run. own: a user's own figures, shown after those of the package."""
    tables = []
    for record in (*published(), *own):
        if record.benchmark == names["benchmark"]:
            lines = _ours(record, metrics, names["model"])
            if not lines:  # the run does not measure it
                continue
            theirs = [[model, *map(_number, line)] for model, line in record.figures.items()]
            source = record.source + (f" ({record.note})" if record.note else "")
            headers = [
                "model",
                *(record.columns if record.columns != ("",) else [_TITLES.get(record.measure, record.measure)]),
            ]
            tables.append(PublishedTable(record.title, source, headers, [*lines, *theirs]))
    return tables


def published_lines(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section of report.md; [] without any. tables: those of metrics.json."""
    blocks = [["## Figures of others", ABOUT]] if tables else []
    for table in tables:
        blocks.append(
            [f"{escape(table['title'])}. Source: {escape(table['source'])}.", grid(table["headers"], table["lines"])]
        )
    return [text for block in blocks for text in block]


def _ours(record: Published, metrics: Mapping[str, Any], model: str) -> list[list[str]]:
    """The lines of this run; figures of one benchmark stand in the first column, as a run is of one split."""
    if record.measure in (_DECILES, _CONCEPTS):
        prompt = metrics["analyses"].get("when", {}).get("prompts", {}).get("ground")
        if not prompt or not prompt["examples"]:
            return []
        if record.measure == _DECILES:
            counts = [str(ten["examples"]) for ten in prompt["deciles"]]
        else:
            shares = [prompt["concepts"].get(concept, {}).get("value") for concept in record.columns]
            counts = ["-" if share is None else f"{share * prompt['examples']:.0f}" for share in shares]
        return [[f"{model} ({prompt['examples']} examples)", *counts]] if len(counts) == len(record.columns) else []
    lines = []
    for row, figures in metrics["rows"].items():
        found = _figure(record.measure, metrics["vqa"], figures)
        if found is not None:
            lines.append([f"{model}, {row}", plain(found), *[""] * (len(record.columns) - 1)])
    return lines


def _figure(measure: str, vqa: Mapping[str, Any], figures: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The figure of a measure; None where the run has none."""
    if measure in MEASURES:
        found: Mapping[str, Any] | None = vqa.get(measure) or figures.get(measure)
        return found
    return (figures.get("region_metrics", {}).get(measure) or {}).get("M_dagger")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
