"""Two versions of the labels: what each gives, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixfound.analyses.labels import Labels
from pixfound.interfaces import Judge, JudgeError
from pixfound.judges.rules import RulesJudge
from pixfound.scoring.scores import Score
from pixfound.types import Kind
from pixfound.types.masks import RLE
from tests.support.examples import make_example

MASK = RLE.encode(np.ones((2, 2), dtype=np.bool_))


class Down(Judge):
    """A judge of which no answer can be had."""

    name = "down"

    def grade(self, requests: Any) -> list[JudgeError]:
        return [JudgeError("HTTP 500") for _ in requests]


def make_run(*answers: tuple[str, int, int, str]) -> Any:
    """(id, original answer, corrected answer, reply): a run on yes-or-no questions; `1a` and `1b` are a pair."""
    items: list[Any] = []
    for id, original, corrected, reply in answers:
        example = make_example(
            MASK, id=id, answer=original, pair_id=id[:-1], labels={"original": original, "corrected": corrected}
        )
        correct = example.options.index(reply) == original
        said: dict[Kind, bool | None] = {"open": correct, "choice": correct, "ground": None}
        scores = [
            Score(f"{id}/{kind}", id, id[:-1], kind, None, {}, False, right, response=reply)
            for kind, right in said.items()
        ]
        items.append(SimpleNamespace(example=example, scores=scores))
    return SimpleNamespace(examples=items, answer_scores=lambda item: item.scores)


RUN = make_run(
    *(("1a", 0, 0, "yes"), ("1b", 1, 1, "no")),  # right under both versions
    *(("2a", 0, 1, "no"), ("2b", 1, 0, "yes")),  # wrong as released, right once corrected
    *(("3a", 0, 0, "no"), ("3b", 1, 1, "no")),  # half right under both
)


def test_both_versions_are_reported_with_their_difference() -> None:
    found = Labels(RulesJudge(), resamples=200).compute(RUN)
    assert found["disputed"] == ["2a", "2b"]
    for name in ("A", "A_dagger"):
        assert found["versions"]["original"][f"{name}_pair"]["value"] == pytest.approx(1 / 3)
        assert found["versions"]["corrected"][f"{name}_pair"]["value"] == pytest.approx(2 / 3)
        assert found["differences"]["corrected"][f"{name}_pair"]["value"] == pytest.approx(1 / 3)
        assert found["differences"]["corrected"][f"{name}_item"]["value"] == pytest.approx(2 / 6)
        assert found["differences"]["corrected"][f"{name}_item"]["low"] >= 0.0  # the draws are paired
    assert "| corrected - original | n = 6 | n = 3 |" in "\n".join(Labels(RulesJudge()).sections(found))
    found["differences"]["corrected"]["A_item"]["count"] = 10  # enough to claim a difference
    report = "\n".join(Labels(RulesJudge()).sections(found))
    assert "| corrected - original | 33.3 [" in report
    assert "2 examples: 2a, 2b" in report


def test_a_judge_that_is_down_leaves_the_disputed_unscored() -> None:
    found = Labels(Down(), resamples=200).compute(RUN)
    assert found["versions"]["corrected"]["A_item"]["count"] == 4
    assert found["versions"]["corrected"]["A_dagger_item"]["count"] == 6
    assert len(found["failures"]) == 2 and "2a" in found["failures"][0], "another run may mend it"


def test_one_version_is_no_analysis() -> None:
    run = make_run(("1a", 0, 0, "yes"))
    run.examples[0] = SimpleNamespace(example=make_example(MASK, id="1a"))
    assert Labels(RulesJudge()).compute(run) == {}
