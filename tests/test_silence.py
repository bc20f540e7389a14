"""An answer that is empty, or blank: what it is worth is defined for each extraction, and its reason is named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from pixfound.apps.evaluation import evaluate
from pixfound.pipeline.results import Result
from tests.support.run import config_of, random_models, run, scores_of

NOTHING = {"no candidate", "no phrase", "the object is absent"}
NULLS = {"random_point", "centre_point", "empty", "full"}  # rows that look at no answer


def say(text: str, models: Path, outputs: Path, *overrides: str, draws: bool = True) -> Result:
    """A run over one pair with a model that says one text."""
    config = config_of(*random_models(models), "limit=2", f"outputs_dir={outputs}", *overrides)
    talker: dict[str, Any] = {"_target_": "tests.support.talker.Talker", "vectors_of": str(models / "llava")}
    return evaluate({**config, "model": {**talker, "text": text, "draws": draws}})


def check(result: Result, shows_nothing: bool = True) -> None:
    """Answers are unscored; nothing shown is right where the object is absent and wrong where it is present."""
    assert not result.failures
    scores = scores_of(result)
    assert {s["absent"] for s in scores} == {True, False}
    answers = [s for s in scores if s["row"] is None and s["kind"] != "ground"]
    assert {(s["correct"], s["reason"]) for s in answers} == {(None, "the reply is empty")}
    masks = [s for s in scores if s["row"] not in (None, *NULLS)]
    assert masks
    if shows_nothing:
        assert {s["choice"] for s in masks} <= {"empty", "missing"}
        assert {s["reason"] for s in masks} <= NOTHING
        assert all(s["iou"] == float(s["absent"]) and s["shown"] is False for s in masks)
    examples = result.metrics["examples"]
    assert result.metrics["unscored"] == {"answers.open": examples, "answers.choice": examples}
    report = (result.folder / "report.md").read_text(encoding="utf-8")
    assert "## Unscored" in report and f"| answers.open | {examples} |" in report


@pytest.mark.parametrize("text", ["", " \n\t "], ids=["empty", "blank"])
@pytest.mark.parametrize(
    "extraction",
    ["attend_segment", "automatic", "native", "text_box", "text_point", "text_mask"],
)
def test_a_model_that_says_nothing(extraction: str, text: str, models: Path, tmp_path: Path) -> None:
    more = {
        "automatic": ["judge=mllm", f"judge.model.path={models / 'llava'}", "judge.model.generation.max_new_tokens=2"],
        "text_box": ["extraction.extractors.text_box.format=json_1000"],
        "text_point": ["extraction.extractors.text_point.format=json_1000"],
        "text_mask": ["extraction.extractors.text_mask.format=loc_1000"],
    }
    result = say(text, models, tmp_path, f"extraction={extraction}", *more.get(extraction, []), draws=False)
    if extraction != "automatic":
        return check(result)
    scores = scores_of(result)  # a judge is asked about it as about any other answer
    assert all("grade failed: UnreadableReply: the judge's reply" in failure for failure in result.failures)  # its own
    assert {s["reason"] for s in scores if s["row"] == "automatic"} == {"no candidate"}
    assert all(s["iou"] == float(s["absent"]) for s in scores if s["row"] == "automatic")


def test_masks_without_a_word_are_scored(models: Path, tmp_path: Path) -> None:
    result = say("", models, tmp_path, "extraction=native")
    check(result, shows_nothing=False)
    assert {s["choice"] for s in scores_of(result) if s["row"] == "native"} == {"candidate"}


def test_a_real_model_that_ends_at_once(models: Path, tmp_path: Path) -> None:
    """All of its logits are equal, so that its first token is the first of the vocabulary; that one ends an answer."""
    folder = tmp_path / "mute"
    shutil.copytree(models / "llava", folder)
    state = load_file(folder / "model.safetensors")
    (head,) = (name for name in state if name.endswith("lm_head.weight"))
    save_file({**state, head: 0 * state[head]}, folder / "model.safetensors", metadata={"format": "pt"})
    for extraction in ("attend_segment", "native"):
        over = ("limit=2", f"model.path={folder}", "+model.generation.eos_token_id=0", f"extraction={extraction}")
        result = run(models, tmp_path / "out", *over)
        check(result)
        assert "cut" not in result.metrics or not result.metrics["cut"]


def test_under_the_reference_nothing_shown_is_wrong_everywhere(models: Path, tmp_path: Path) -> None:
    scores = scores_of(say("", models, tmp_path, "scoring=reference"))
    assert {s["iou"] for s in scores if s["row"] == "similarity"} == {0.0}
