"""The photographs go through the whole pipeline at their true sizes, and the report says why it is poor at them."""

from __future__ import annotations

from pathlib import Path

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.photos import Photos
from tests.support.predictions import write_lines
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


def test_what_was_computed_elsewhere_is_not_said_to_be_of_miniature_models(tmp_path: Path) -> None:
    examples = list(Photos())
    rows = [{"question_id": e.id, "answer": "(a)", "response": e.options[e.answer]} for e in examples]
    answers = write_lines(tmp_path / "open.jsonl", rows)
    over = (f"outputs_dir={tmp_path}", "benchmark=photos", "scoring.resamples=100", "report.pictures=0")
    given = ("model=precomputed", f"model.answers.open={answers}", "extraction=trivial")
    assert "miniature" not in (evaluate(config_of(*over, *given)).folder / "report.md").read_text()
    drawn = (evaluate(config_of(*over, "model=none", "extraction=nulls")).folder / "report.md").read_text()
    assert "**These numbers are expected to be poor.** The segmenter is the embedded miniature, which has seen" in drawn
    assert "The model is" not in drawn
