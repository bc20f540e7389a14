"""A run whose judge is down: it ends soon, names every question, and the next run asks these alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixfound.errors import UserError
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import count_lines, run, scores_of

pytest.importorskip("openai")
pytestmark = pytest.mark.usefixtures("quick_retries")
EXAMPLES = 24  # more than a batch


@pytest.mark.parametrize("extraction", ["nulls", "automatic"])
def test_a_judge_that_refuses_connections(
    extraction: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    capture = ["model.capture=none"] if extraction == "nulls" else []
    over = ["judge=openai", f"judge.cache_dir={tmp_path / 'cache'}"]
    over += ["judge.max_retries=3", f"limit={EXAMPLES}", "max_failures=1000", f"extraction={extraction}", *capture]
    with JudgeServer(Act(cut=True)) as gone:  # it was up when the run began
        url = gone.url
        over.append(f"judge.base_url={url}")
        result = run(models, tmp_path, *over)
    assert len(gone.bodies) < 2 * len(result.failures)  # if every question spent all of its tries: four times as many
    scores = scores_of(result)
    open_answers = [s for s in scores if s["row"] is None and s["kind"] == "open"]
    assert len(open_answers) == EXAMPLES
    for score in open_answers:
        assert score["correct"] is None
        assert score["reason"].startswith("grade failed: JudgeError: http://127.0.0.1") and "tr" in score["reason"]
    assert result.metrics["vqa"]["A_item"] == {**result.metrics["vqa"]["A_item"], "value": None, "count": 0}
    assert result.metrics["unscored"]["answers.open"] == EXAMPLES
    report = (result.folder / "report.md").read_text(encoding="utf-8")
    section = report.partition("## Failures")[2].partition("##")[0]
    lines = [line for line in section.splitlines() if line.startswith("- ")]
    assert len(lines) <= 4, "a cause is a line: of grades and of choices, after all tries and after one"
    assert sum(int(line.split()[1]) for line in lines) == len(result.failures)
    judged = [s for s in scores if s["row"] == "automatic"]
    assert all(s["iou"] is None and "select failed: JudgeError" in s["reason"] for s in judged if s["iou"] is None)
    assert len(result.failures) == EXAMPLES + sum(s["iou"] is None for s in judged)
    before = count_lines(tmp_path)
    with JudgeServer(Act("No"), port=int(url.split(":")[2].split("/")[0])) as server:
        again = run(models, tmp_path, *over)
        assert not again.failures
        asked = [json.dumps(body, sort_keys=True) for body in server.bodies]
        assert 0 < len(set(asked)) <= len(asked) <= len(result.failures)  # like questions may share a reply
    after = count_lines(tmp_path)
    assert after["grade"] == before["grade"] + EXAMPLES
    assert all(after[stage] == before[stage] for stage in ("generate", "extract"))
    assert {s["correct"] for s in scores_of(again) if s["row"] is None and s["kind"] == "open"} == {False}


def test_with_the_usual_limit_the_run_is_broken_off_and_says_so(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    over = ["judge=openai", f"judge.cache_dir={tmp_path / 'cache'}"]
    over += [f"limit={EXAMPLES}", "extraction=nulls", "model.capture=none"]
    with (
        JudgeServer(Act(cut=True)) as gone,
        pytest.raises(UserError, match=r"more than max_failures=10 examples failed; .* in stage grade: .*connection"),
    ):
        run(models, tmp_path, *over, f"judge.base_url={gone.url}")


def test_replies_that_cannot_be_read_are_said_and_asked_again(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    over = [
        "judge=openai",
        f"judge.cache_dir={tmp_path / 'cache'}",
        "limit=4",
        "extraction=nulls",
        "model.capture=none",
    ]
    with JudgeServer(Act("Yes, the answer is correct."), Act("Yes and no."), Act("Answer: No")) as server:
        over += [f"judge.base_url={server.url}", "judge.concurrency=1", "model.capture=none"]
        result = run(models, tmp_path, *over)
        (failure,) = result.failures
        assert "grade failed: UnreadableReply: the judge's reply could not be read: 'Yes and no.'" in failure
        assert "could not be read: 'Yes and no.'" in caplog.text
        graded = [s["correct"] for s in scores_of(result) if s["row"] is None and s["kind"] == "open"]
        assert graded == [True, None, False, False]
        asked = len(server.bodies)
        again = run(models, tmp_path, *over)
        assert not again.failures and len(server.bodies) == asked + 1
        server.script[:] = [Act("Hm.")]
        with pytest.raises(UserError, match=r"more than max_failures=2 .* could not be read: 'Hm.'"):
            run(models, tmp_path / "other", *over, "judge.model=other", "max_failures=2")
