"""A model of the project as the judge: how its words are read, and in a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, Model, without_errors
from pixfound.judges.asking import UnreadableReply
from pixfound.judges.mllm import MllmJudge
from pixfound.selectors.judge import JudgeChoice
from pixfound.types import Generation
from tests.support.nested import CANDIDATES, EXAMPLE
from tests.support.run import run, scores_of


def test_a_local_model_judges(models: Path) -> None:
    config = {
        "_target_": "pixfound.models.huggingface.HuggingFace",
        "path": str(models / "llava"),
        "dtype": "float32",
        "capture": "none",
        "generation": {"max_new_tokens": 6},
    }
    judge = MllmJudge(config)
    reply = judge.ask("system", "question", [Image.new("RGB", (32, 32))] * 3)
    assert reply == judge.ask("system", "question", [Image.new("RGB", (32, 32))] * 3)
    for asked in (
        lambda: without_errors(judge.grade([(EXAMPLE, "open")]))[0],
        lambda: JudgeChoice(judge).select_one(EXAMPLE, CANDIDATES[:3], "ground"),
    ):
        with pytest.raises(UnreadableReply):  # a random model says nothing that could be read
            asked()
    assert "content" in judge.identity()["model"]["content"]


class Parrot(Model):
    """A model that says what it was given, and keeps the prompts."""

    needs_image = False

    def __init__(self, reply: str) -> None:
        self.reply = reply

    def generate(self, requests: Sequence[tuple[Image.Image, Any]]) -> list[Generation]:
        return [Generation(self.reply, (image.height, image.width)) for image, _ in requests]


@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", True), ("no", False)])
def test_a_local_models_words_are_read(reply: str, verdict: bool) -> None:
    judge = MllmJudge({"_target_": f"{__name__}.Parrot", "reply": reply})
    assert without_errors(judge.grade([(EXAMPLE, "open")]))[0][0] is verdict
    with pytest.raises(JudgeError, match="says nothing"):
        without_errors(MllmJudge({"_target_": f"{__name__}.Parrot", "reply": " "}).grade([(EXAMPLE, "open")]))[0]


def test_a_local_models_words_can_be_taken_literally() -> None:
    model = {"_target_": f"{__name__}.Parrot", "reply": "**Yes**"}
    assert without_errors(MllmJudge(model, verdicts="meant").grade([(EXAMPLE, "open")]))[0][0] is True
    assert without_errors(MllmJudge(model, verdicts="literal").grade([(EXAMPLE, "open")]))[0][0] is False
    with pytest.raises(UserError, match=r'MllmJudge\.verdicts=lax: must be one of "meant", "literal"'):
        MllmJudge(model, verdicts="lax")  # type: ignore[arg-type]


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"judge.model._target_=.*is no Model"):
        MllmJudge({"_target_": "pixfound.judges.rules.RulesJudge"})


def test_a_run_with_a_local_judge(models: Path, tmp_path: Path) -> None:
    judge = ["judge=mllm", f"judge.model.path={models / 'llava'}", "judge.model.dtype=float32", "extraction=automatic"]
    result = run(models, tmp_path, *judge, "judge.model.generation.max_new_tokens=3", "limit=2")
    assert {s["choice"] for s in scores_of(result) if s["row"] == "automatic"} <= {None, "empty"}
    assert result.metrics["unscored"]["answers.open"] == 2
    failed = [s for s in scores_of(result) if "failed: UnreadableReply: " in s["reason"]]
    assert len(failed) == len(result.failures) > 2
