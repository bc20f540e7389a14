"""Figures of others: each has a source, and stands beside a run's only where the same thing is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixfound.analyses.concepts import CONCEPTS
from pixfound.errors import UserError
from pixfound.published import published, read_published
from pixfound.report.published_tables import published_lines, published_tables
from pixfound.scoring.region_metrics import METRICS
from tests.support.run import run

OWN = """
- benchmark: pixshapes
  measure: M_dagger
  title: A table | of <b>mine</b>
  columns: [""]
  source: my notebook
  figures: {Model A: [55.5], Model B: [null]}
- {benchmark: refcoco, measure: M, title: elsewhere, columns: [x], source: s, figures: {m: [1]}}
"""


def test_every_published_figure_has_a_source() -> None:
    assert len(published()) == 8
    for record in published():
        assert "arXiv" in record.source and record.figures and all(any(line) for line in record.figures.values())


def test_the_papers_deciles_count_its_examples() -> None:
    """300 images in the first version, 247 in the corrected one."""
    deciles = next(record for record in published() if record.measure == "when.deciles")
    assert [sum(line) for line in deciles.figures.values()] == [300, 300, 300, 247, 247, 247]


def test_the_papers_counts_stand_beside_ours() -> None:
    ten = [{"examples": n} for n in range(10)]
    concepts = {name: {"value": 0.2} for name in (*CONCEPTS, "no_object")}
    metrics: dict[str, Any] = {
        "vqa": {},
        "rows": {},
        "analyses": {"when": {"prompts": {"ground": {"examples": 45, "deciles": ten, "concepts": concepts}}}},
    }
    first, second = published_tables({"benchmark": "pixmmvp", "model": "m"}, metrics)
    assert first.lines[0] == ["m (45 examples)", *map(str, range(10))] and second.lines[0][1:] == ["9"] * 6
    assert first.lines[4] == ["LLaVA-1.5 7B, corrected", "31", "9", "15", "24", "27", "27", "50", "28", "29", "7"]
    assert not published_tables({"benchmark": "photos", "model": "m"}, metrics)
    metrics["analyses"] = {}
    assert not published_tables({"benchmark": "pixmmvp", "model": "m"}, metrics)


def test_metrics_of_refcoco_are_those_of_a_run() -> None:
    share = {"value": 0.5, "low": None, "high": None}
    rows = {"native": {"region_metrics": {"ciou": {"M_dagger": share}}}}
    tables = published_tables({"benchmark": "refcoco", "model": "m"}, {"vqa": {}, "rows": rows, "analyses": {}})
    (table,) = tables
    assert table.lines[:2] == [["m, native", "50.0", "", ""], ["LLaVA-1.5 7B", "74.2", "76.5", "70.4"]]
    assert all(r.measure.partition("@")[0] in METRICS for r in published() if not r.measure.startswith("when"))


def test_a_users_own_figures_are_in_report_and_metrics(models: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    overrides = ("extraction=nulls", "limit=2", "report.pictures=0", f"report.published=[{tmp_path / 'own.yaml'}]")
    plain = run(models, tmp_path / "outputs", *overrides[:3])
    assert "published" not in plain.metrics
    result = run(models, tmp_path / "outputs", *overrides)
    (table,) = json.loads((result.folder / "metrics.json").read_text())["metrics"]["published"]
    assert [line[0] for line in table["lines"][-2:]] == ["Model A", "Model B"] and table["lines"][-1][1] == "-"
    text = (result.folder / "report.md").read_text()
    assert "## Figures of others" in text and "| Model A | 55.5 |" in text and "<b>" not in text
    assert published_lines(()) == [] and run(models, tmp_path / "outputs", *overrides).was_complete


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  source: my notebook\n", "", "own.yaml, record 1: source must be a text that is not empty"),
        ("[55.5]", "[a]", "Model A must have a number or null for each of the 1 columns"),
        ("[null]", "[1, 2]", "Model B must have a number or null"),
        ("title:", "titel:", "record 1: titel is no key of a record; did you mean title"),
        ("- benchmark", "benchmark", "own.yaml: "),
    ],
)
def test_a_file_of_another_form_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN.replace(old, new, 1))
    with pytest.raises(UserError) as error:
        read_published([str(tmp_path / "own.yaml")])
    assert message in str(error.value)
