"""Every family through the whole pipeline: answers, attention, points, masks, scores, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pixfound.apps.evaluation import evaluate
from tests.support.families import EVERY_FAMILY
from tests.support.run import config_of, scores_of


@pytest.mark.verifies("VQA")
@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_the_whole_pipeline(family: str, family_folder: Callable[[str], Path], models: Path, tmp_path: Path) -> None:
    result = evaluate(
        config_of(
            "model=hf",
            f"model.path={family_folder(family)}",
            "model.dtype=float32",
            "model.generation.max_new_tokens=6",
            "+model.generation.min_new_tokens=6",
            f"segmenter.path={models / 'sam'}",
            "benchmark=pixshapes",
            "extraction=attend_segment",
            "limit=2",
            "scoring.resamples=100",
            "report.pictures=1",
            "report.page=false",
            "report.charts=false",
            f"outputs_dir={tmp_path}",
        )
    )
    assert not result.failures
    scores = scores_of(result)
    assert len({s["example_id"] for s in scores}) == 2
    assert all(s["response"] for s in scores if s["kind"] == "open" and s["row"] is None)
    assert {s["iou"] is not None for s in scores if s["row"] == "full"} == {True}
    assert (result.folder / "report.md").is_file()
    arrays = list(tmp_path.glob("stages/generate/*/**/*.np*"))
    assert len(arrays) >= 6, "an attention array for each of three prompts about two pictures"
