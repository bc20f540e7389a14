"""The photographs go through the whole pipeline at their true sizes, and the report says why it is poor at them."""

from __future__ import annotations

from pathlib import Path

from pixfound.benchmarks.photos import Photos
from pixfound.pipeline.evaluate import evaluate
from tests.support.run import config_of, scores_of


def test_the_embedded_models_on_photographs(tmp_path: Path) -> None:
    result = evaluate(config_of(f"outputs_dir={tmp_path}", "benchmark=photos", "scoring.resamples=100"))
    scores = scores_of(result)
    assert not result.failures
    assert {s["example_id"] for s in scores} == {example.id for example in Photos()}
    assert all(s["iou"] is not None for s in scores if s["row"])
    report = (result.folder / "report.md").read_text()
    assert "These numbers are expected to be poor" in report
    assert (result.folder / "pictures.png").stat().st_size > 100_000
