"""The automatic baseline over HTTP: with servers that misbehave, and in whole runs."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.interfaces import JudgeError
from pixfound.judges.asking import UnreadableReply
from pixfound.judges.openai import OpenAIJudge
from pixfound.selectors.judge import JudgeChoice
from pixfound.types.masks import RLE
from tests.support.judge_server import Act, JudgeServer
from tests.support.nested import CANDIDATES, EXAMPLE
from tests.support.run import run, scores_of

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def judge_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(server: JudgeServer) -> OpenAIJudge:
        return OpenAIJudge("m", server.url, "JUDGE_KEY", cache_dir=str(tmp_path / "c"), max_retries=1, timeout_s=1.0)

    return make


@pytest.mark.parametrize("act", [Act(status=500), Act(status=429), Act(cut=True), Act(hang=True)])
def test_a_judge_that_is_down_raises_and_is_asked_again(act: Act, judge_at) -> None:
    with JudgeServer(Act("yes"), act) as server, pytest.raises(JudgeError):
        JudgeChoice(judge_at(server)).select_one(EXAMPLE, CANDIDATES[:3], "ground")
    with JudgeServer(act, Act("yes"), act, Act("3")) as server:
        assert JudgeChoice(judge_at(server), shuffle=False).select_one(EXAMPLE, CANDIDATES[:3], "ground").index == 2


def test_what_the_server_says_is_never_taken_for_the_first_and_is_asked_again(judge_at) -> None:
    with JudgeServer(Act("yes"), Act("0"), Act("4"), Act("None of them")) as server:
        for reply in ("'0'", "'4'"):
            with pytest.raises(UnreadableReply, match=reply):
                JudgeChoice(judge_at(server)).select_one(EXAMPLE, CANDIDATES[:3], "ground")
        assert JudgeChoice(judge_at(server)).select_one(EXAMPLE, CANDIDATES[:3], "ground").kind == "empty"
        assert len(server.bodies) == 4, "only what could not be read is asked again"


def pictures(body: Any) -> list[Image.Image]:
    """The pictures of a request."""
    content = body["messages"][1]["content"]
    if isinstance(content, str):
        return []
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def most_changed(body: Any) -> str:
    """The number of the picture with the most red; a presence question is answered by yes, a grading by no."""
    shown = pictures(body)
    if len(shown) < 2:
        return "Yes" if shown else "No"
    red = [np.asarray(picture)[..., 0].astype(int).sum() - np.asarray(picture)[..., 1].sum() for picture in shown]
    return str(1 + int(np.argmax(red)))


def lines_of(outputs: Path, stage: str, made_by: str) -> list[Any]:
    """The records of a stage that a part of this name made."""
    journals = outputs.glob(f"stages/{stage}/*/journal-*.jsonl")
    made = [journal for journal in journals if made_by in (journal.parent / "stage.json").read_text()]
    return [json.loads(line) for journal in made for line in journal.read_text().splitlines()]


def assert_most_red_is_chosen(outputs: Path) -> None:
    """What `most_changed` must lead to, from the candidates' masks and the benchmark's images alone."""
    images = {e.id: np.asarray(e.image.load()).astype(int) for e in PixShapes()}
    proposed = {r["key"]: r["value"]["candidates"] for r in lines_of(outputs, "extract", "AttentionPeak")}
    asked = [r for r in lines_of(outputs, "select", "JudgeChoice") if r["value"].get("about", {}).get("questions")]
    assert len(asked) > 4
    for record in asked:
        image, gains = images[record["key"].split("/")[0]], []
        for candidate in proposed[record["key"]]:
            inside = image[RLE.from_json(candidate["mask"]).decode()]
            mixed = (inside + np.array([255, 0, 0])) // 2
            gains.append(int((mixed - inside)[:, 0].sum() - (mixed - inside)[:, 1].sum()))
        assert record["value"]["index"] == int(np.argmax(gains)), (record["key"], gains)


def test_a_run_whose_judge_is_down_is_mended_by_a_rerun(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    options = ["judge=openai", "judge.model=m", "judge.api_key_env=JUDGE_KEY", "extraction=automatic", "limit=2"]
    options += [f"judge.cache_dir={tmp_path / 'cache'}", "judge.max_retries=0"]
    graded = [Act("Yes"), Act("Yes")]
    with JudgeServer(*graded, Act(status=500)) as server:
        options.append(f"judge.base_url={server.url}")
        failed = run(models, tmp_path / "out", *options, "max_failures=100")
        assert any("automatic: select failed: JudgeError" in failure for failure in failed.failures)
        assert {s["iou"] for s in scores_of(failed) if s["row"] == "automatic" and "failed" in s["reason"]} == {None}
        server.script[:] = [Act(most_changed)]
        mended = run(models, tmp_path / "out", *options)
    assert not mended.failures
    assert all(
        s["choice"] == "candidate"
        for s in scores_of(mended)
        if s["row"] == "automatic" and "no cand" not in s["reason"]
    )


def test_a_whole_run_asks_the_server_and_keeps_the_key_to_itself(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    key = "sk-secret-0123456789"
    monkeypatch.setenv("JUDGE_KEY", key)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with JudgeServer(Act(most_changed)) as server:
        judge = ["judge=openai", "judge.model=m", f"judge.base_url={server.url}", "judge.api_key_env=JUDGE_KEY"]
        judge += [f"judge.cache_dir={tmp_path / 'cache'}", "extraction=automatic"]
        judge += [
            "extraction.selectors.automatic.numbered=false",
            "extraction.selectors.automatic.shuffle=false",
            "limit=16",
        ]
        result = run(models, tmp_path / "out", *judge)
        asked = len(server.bodies)
        assert not result.failures
        announced = int(re.search(r"judge: at most (\d+) requests to m", capfd.readouterr().err)[1])
        usage = json.loads((result.folder / "provenance.json").read_text())["judge_usage"]
        assert usage["requests"] == asked
        assert asked + usage["cached"] <= announced
        assert f"sent {asked} requests" in (result.folder / "report.md").read_text()
        assert run(models, tmp_path / "out", *judge).was_complete
        (tmp_path / "again").mkdir()
        run(models, tmp_path / "again", *judge)
        assert len(server.bodies) == asked, "a rerun costs nothing"
    chosen = [s for s in scores_of(result) if s["row"] == "automatic"]
    assert {s["choice"] for s in chosen} <= {"candidate", "empty"}
    assert sum(s["choice"] == "candidate" for s in chosen) > 0
    assert_most_red_is_chosen(tmp_path / "out")
    for folder in (tmp_path / "out", tmp_path / "again", tmp_path / "cache"):
        for file in (f for f in folder.rglob("*") if f.is_file()):
            assert key.encode() not in file.read_bytes(), file
