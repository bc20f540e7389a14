"""A judge that looks at places is found out; one that looks at masks is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixfound.analyses.judge_audit import JudgeAudit
from pixfound.interfaces import Selector
from pixfound.types import Candidate, Choice
from pixfound.types.masks import RLE
from tests.support.examples import drawn, make_candidate, make_example

SIZE = (2, 2)
MASKS = [drawn("##", "#."), RLE.full(SIZE), RLE.full(SIZE), drawn("#.", "..")] + [RLE.empty(SIZE)] * 8


class Asking(Selector):
    """A selector that asks a judge."""

    uses_judge = True


class Run:
    """A run whose row `automatic` made these choices under the open prompt, and none under the other."""

    def __init__(self, choices: list[dict[str, Any]], absent: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        masks = [RLE.empty(SIZE) if number in absent else RLE.full(SIZE) for number in range(len(choices))]
        self.examples = [
            SimpleNamespace(index=number, example=make_example(mask, id=str(number)))
            for number, mask in enumerate(masks)
        ]
        self.parts = SimpleNamespace(
            rows={"automatic": ("attention", "automatic")}, selectors={"automatic": SimpleNamespace(built=Asking())}
        )
        self.choices = [Choice(**choice) for choice in choices]

    def choice(self, item: Any, kind: str, row: str) -> Choice | None:
        return self.choices[item.index] if kind == "open" else None

    def candidates(self, item: Any, kind: str, extractor: str) -> list[Candidate]:
        return [make_candidate(mask) for mask in MASKS]


def make_run(choices: list[dict[str, Any]], absent: set[int] = frozenset()) -> Any:  # type: ignore[assignment]
    return Run(choices, absent)


def pick(place: int, count: int = 9, present: bool = True) -> dict[str, Any]:
    questions = [{"order": list(range(count)), "picked": place}]
    return {"kind": "candidate", "index": place, "reason": "", "about": {"present": present, "questions": questions}}


def test_a_judge_that_always_takes_the_first_is_found_out() -> None:
    found = JudgeAudit(simulations=500).compute(make_run([pick(0)] * 30))["automatic"]
    assert found["places"]["counts"] == {"first third": 30, "middle third": 0, "last third": 0}
    assert found["places"]["p"] < 0.01
    assert found["places"]["p_single"] < 0.01
    assert found["places"]["picked"] == [30, *[0] * 8]
    assert found["places"]["expected"] == pytest.approx([30 / 9] * 9)


def test_places_that_few_questions_have_are_expected_less_often() -> None:
    found = JudgeAudit(simulations=100).compute(make_run([pick(0, 2), pick(1, 2), pick(2, 4)]))["automatic"]
    assert found["places"]["picked"] == [1, 1, 1, 0]
    assert found["places"]["expected"] == pytest.approx([1.25, 1.25, 0.25, 0.25])


def test_picks_are_compared_with_the_oracles() -> None:
    """Candidates have IoU 0.75, 1, 1, 0.25 and eight times 0: two of twelve are the best."""
    empty = {"kind": "empty", "index": None, "reason": "", "about": {"present": False}}
    lost = {"kind": "unscored", "index": None, "reason": "", "about": {"present": None}}
    audit = JudgeAudit(simulations=100)
    found = audit.compute(make_run([pick(0), pick(2), pick(3), empty, lost, pick(3)], absent={5}))
    quality = found["automatic"]["quality"]
    assert (quality["examples"], quality["picks"]) == (4, 3)
    assert quality["agreement"] == pytest.approx(1 / 3)
    assert quality["chance"] == pytest.approx(2 / 12)
    assert quality["regret_of_picks"] == pytest.approx((0.25 + 0 + 0.75) / 3)
    assert quality["regret"] == pytest.approx((0.25 + 0 + 0.75 + 1) / 4)
    assert "| automatic | 4 | - | - | - | - | - | - |" in "\n".join(audit.sections(found))
    quality["examples"], found["automatic"]["kinds"] = 10, {"candidate": 10, "empty": 5, "unscored": 5}
    assert "| automatic | 10 | 33.3 | 16.7 | 50.0 | 33.3 | 25.0 | 25.0 |" in "\n".join(audit.sections(found))


def test_a_judge_that_picked_nothing_has_no_quality() -> None:
    empty = {"kind": "empty", "index": None, "reason": "", "about": {"present": False}}
    audit = JudgeAudit(simulations=100)
    found = audit.compute(make_run([empty], absent={0}))
    assert found["automatic"]["quality"]["agreement"] is None
    assert found["automatic"]["places"]["p"] == 1.0
    assert "| automatic | 0 | - | - | - | - | - | - |" in "\n".join(audit.sections(found))


def test_p_is_about_uniform_for_judges_that_do_not_care_for_places() -> None:
    rng = np.random.default_rng(0)
    values = [
        JudgeAudit(simulations=200, seed=i).compute(make_run([pick(int(rng.integers(9))) for _ in range(40)]))
        for i in range(60)
    ]
    p = np.array([found["automatic"]["places"]["p"] for found in values])
    assert 0.35 < p.mean() < 0.65
    assert (p < 0.1).mean() < 0.25


def test_presence_is_compared_with_the_truth() -> None:
    no = {"kind": "empty", "index": None, "reason": "", "about": {"present": False}}
    lost = {"kind": "unscored", "index": None, "reason": "", "about": {"present": None}}
    audit = JudgeAudit(simulations=100)
    found = audit.compute(make_run([pick(0), no, pick(1), no, no, lost], absent={2, 3, 4}))["automatic"]
    assert found["presence"] == {"present_yes": 1, "present_no": 1, "absent_yes": 1, "absent_no": 2}
    assert found["kinds"] == {"candidate": 2, "empty": 3, "unscored": 1}
    assert "| automatic | 1 | 1 | 1 | 2 | 1 |" in "\n".join(audit.sections({"automatic": found}))


def test_rows_without_a_judge_are_no_analysis() -> None:
    plain = {"kind": "candidate", "index": 0, "reason": "similarity 0.9"}
    assert JudgeAudit().compute(make_run([plain])) == {}


@pytest.mark.parametrize("count", [2, 3, 12])
def test_places_of_every_question_size_fall_into_thirds(count: int) -> None:
    found = JudgeAudit(simulations=100).compute(make_run([pick(place, count) for place in range(count)]))
    assert sum(found["automatic"]["places"]["counts"].values()) == count
