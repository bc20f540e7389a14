"""The automatic baseline: with a scripted judge, over HTTP with servers that misbehave, and in a whole run."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.judges.asking import JudgeError
from pixfound.judges.mllm import MllmJudge
from pixfound.judges.openai import OpenAIJudge
from pixfound.judges.overlays import RED, draw_overlay, sheet
from pixfound.judges.rules import RulesJudge
from pixfound.masks import RLE
from pixfound.selectors.judge import JudgeChoice, read_choice
from pixfound.types import Generation
from tests.support.examples import make_candidate, make_example
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import run, scores_of

SIZE = (40, 40)


def square(side: int) -> RLE:
    mask = np.zeros(SIZE, dtype=np.bool_)
    mask[20 - side // 2 : 20 + side // 2, 20 - side // 2 : 20 + side // 2] = True
    return RLE.encode(mask)


EXAMPLE = make_example(square(10), expression="the red door")
SIDES = [4, 20, 8, 30, 12, 16, 2, 24, 10, 6, 14, 18, 22]
CANDIDATES = [make_candidate(square(side)) for side in SIDES]
LARGEST = SIDES.index(30)


class Scripted:
    """A judge that replies from a script, or by a rule; keeps what it was asked."""

    name, concurrency = "scripted", 2

    def __init__(self, *replies: str, rule: Callable[[Sequence[Image.Image]], str] | None = None) -> None:
        self.replies, self.rule, self.asked = list(replies), rule, []

    def grade(self, example: Any, response: str) -> tuple[bool | None, str]:
        raise AssertionError

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        self.asked.append((system, question, list(images)))
        if self.rule and len(images) > 1:
            return self.rule(images)
        return self.replies.pop(0) if self.replies else "yes"


def redness(image: Image.Image) -> int:
    """How many pixels are half red over black."""
    pixels = np.asarray(image).astype(int)
    return int(((pixels[..., 0] == 127) & (pixels[..., 1] == 0)).sum())


def reddest(images: Sequence[Image.Image]) -> str:
    return str(1 + max(range(len(images)), key=lambda i: redness(images[i])))


@pytest.mark.parametrize("chunk", [None, 2, 3, 4, 12, 13])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_judge_with_good_eyes_finds_the_best_in_any_order_and_any_chunks(chunk: int | None, shuffle: bool) -> None:
    judge = Scripted(rule=reddest)
    selector = JudgeChoice(judge, chunk=chunk, shuffle=shuffle, numbered=False)
    choice = selector.choose(EXAMPLE, CANDIDATES)
    assert (choice.kind, choice.index) == ("candidate", LARGEST)
    asked = [images for _, _, images in judge.asked]
    load = selector.load(EXAMPLE, CANDIDATES)
    assert (len(asked), sum(map(len, asked))) == (load.requests, load.images)
    assert all(len(images) <= (chunk or 13) for images in asked)
    assert choice.about["present"] is True
    for question in choice.about["questions"]:
        assert len(set(question["order"])) == len(question["order"]) > 1


def test_the_wording_is_the_papers() -> None:
    judge = Scripted("Yes.", "2")
    choice = JudgeChoice(judge, shuffle=False).choose(EXAMPLE, CANDIDATES[:3])
    assert choice.index == 1
    (_, presence, plain), (_, question, overlays) = judge.asked
    assert presence == "Does this image have the red door? Answer yes/no only."
    assert question.startswith("Select the image that has the red door best highlighted in red color")
    assert question.endswith("from 1 to 3. Mention the number only.")
    assert (len(plain), len(overlays)) == (1, 3)
    assert np.asarray(plain[0]).max() == 0, "the first question shows the plain image"


def test_an_object_that_is_not_seen_is_not_shown() -> None:
    judge = Scripted("No.")
    choice = JudgeChoice(judge).choose(EXAMPLE, CANDIDATES)
    assert (choice.kind, choice.about) == ("empty", {"present": False})
    assert len(judge.asked) == 1


def test_few_candidates_need_no_question() -> None:
    assert JudgeChoice(Scripted()).choose(EXAMPLE, []).kind == "empty"
    judge = Scripted("yes")
    assert JudgeChoice(judge).choose(EXAMPLE, CANDIDATES[:1]).index == 0
    assert len(judge.asked) == 1
    silent = Scripted()
    assert JudgeChoice(silent, presence=False).choose(EXAMPLE, CANDIDATES[:1]).index == 0
    assert silent.asked == []


@pytest.mark.parametrize(
    "reply",
    [
        "0",
        "4",
        "-1",
        "1 or 2",
        "I cannot tell",
        "all of them",
        "2.5",
        "1st and 3rd",
        "100%",
        "Not 1",
        "<think>1 is",
        "None; 1 is the closest",
        "Only 1 image shows it",
        "All 3 images",
    ],
)
def test_a_reply_that_names_no_candidate_is_unscored_and_never_the_first(reply: str) -> None:
    choice = JudgeChoice(Scripted("yes", reply)).choose(EXAMPLE, CANDIDATES[:3])
    assert choice.kind == "unscored"
    assert repr(reply) in choice.reason


@pytest.mark.parametrize(
    "reply", ["None of them", "None of the 3 images", "Neither.", "none", "There is no image that shows it"]
)
def test_none_of_them_is_an_answer(reply: str) -> None:
    assert JudgeChoice(Scripted("yes", reply)).choose(EXAMPLE, CANDIDATES[:3]).kind == "empty"
    assert JudgeChoice(Scripted("yes", reply), none="unscored").choose(EXAMPLE, CANDIDATES[:3]).kind == "unscored"


def test_a_presence_that_cannot_be_read_is_unscored() -> None:
    assert JudgeChoice(Scripted("Perhaps")).choose(EXAMPLE, CANDIDATES).kind == "unscored"


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("2", 1),
        ("2.", 1),
        ("**3**", 2),
        ("Image 1", 0),
        ("The answer is 2.", 1),
        ("<think>1 or 3</think>3", 2),
        ("(2)", 1),
        ("2/3", 1),
        ("Image 2 of 3", 1),
        ("Of the 3 images, image 2 is best.", 1),
        ("2, not 1", 1),
        ("1 or 3</think>2", 1),
        ("image2", 1),
        ('{"answer": 2}', 1),
        ("\uff12", 1),
    ],
)
def test_numbers_are_read(reply: str, place: int) -> None:
    assert read_choice(reply, 3) == (place, "")


@given(st.text(max_size=30), st.integers(1, 20))
def test_no_reply_breaks_the_reading(reply: str, count: int) -> None:
    place, why = read_choice(reply, count)
    assert place is None or (0 <= place < count and not why)


def test_the_order_is_drawn_for_each_example_and_kept() -> None:
    def orders(seed: int) -> list[list[int]]:
        found = []
        for id in "abc":
            about = (
                JudgeChoice(Scripted(rule=reddest), seed=seed, chunk=None)
                .choose(make_example(square(10), id=id), CANDIDATES)
                .about
            )
            found.append(about["questions"][0]["order"])
        return found

    assert orders(0) == orders(0)
    assert len({tuple(order) for order in [*orders(0), *orders(1)]}) == 6


def test_twins_are_shown_once_and_candidates_can_be_limited() -> None:
    twins = [CANDIDATES[0], CANDIDATES[1], CANDIDATES[1], CANDIDATES[3]]

    def shown(**options: Any) -> list[int]:
        selector = JudgeChoice(Scripted("yes", "2"), shuffle=False, **options)
        choice, load = selector.choose(EXAMPLE, twins), selector.load(EXAMPLE, twins)
        order = choice.about["questions"][0]["order"]
        assert load.images == 1 + len(order)
        assert choice.index == order[1]
        return list(order)

    assert shown() == [0, 1, 2, 3]
    assert shown(duplicates=0.95) == [0, 1, 3]
    assert shown(duplicates=1.0) == [0, 1, 2, 3], "more than this, not as much"
    assert shown(max_candidates=2) == [0, 1]
    assert shown(duplicates=0.95, max_candidates=3) == [0, 1, 3]


def test_the_colour_can_be_chosen() -> None:
    judge = Scripted("yes", "1")
    JudgeChoice(judge, colour=[0, 200, 0], opacity=1.0).choose(EXAMPLE, CANDIDATES[1:3])
    assert np.asarray(judge.asked[1][2][0])[20, 20].tolist() == [0, 200, 0]


def test_options_are_checked_before_anything_is_asked() -> None:
    with pytest.raises(UserError, match=r"'rules' cannot look at images.*use judge=openai or judge=mllm"):
        JudgeChoice(RulesJudge())  # type: ignore[arg-type]
    bad = [{"chunk": 1}, {"none": "first"}, {"opacity": 0.0}, {"colour": [256, 0, 0]}, {"colour": "red"}]
    for options in (*bad, {"max_candidates": 0}, {"duplicates": 0.0}):
        with pytest.raises(UserError):
            JudgeChoice(Scripted(), **options)  # type: ignore[arg-type]


def test_overlays_show_the_mask_and_the_number() -> None:
    image = Image.new("RGB", (60, 40), (0, 0, 200))
    mask = np.zeros((40, 60), dtype=np.bool_)
    mask[25:35, 30:50] = True
    plain = np.asarray(draw_overlay(image, mask))
    assert plain[30, 40].tolist() == [127, 0, 100]
    assert (plain[~mask] == [0, 0, 200]).all()
    numbered = np.asarray(draw_overlay(image, mask, 7, RED, 1.0))
    assert numbered[30, 40].tolist() == list(RED)
    assert (numbered[:12, :10] == 255).any(), "the number stands on white"
    whole = sheet([image] * 5)
    assert whole.size == (3 * 64, 2 * 44)
    assert sheet([image]) is image


# Over HTTP


@pytest.fixture
def judge_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("openai")
    monkeypatch.setenv("JUDGE_KEY", "sk-secret-0123456789")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(server: JudgeServer) -> OpenAIJudge:
        return OpenAIJudge(
            "m", server.url, "JUDGE_KEY", cache_dir=str(tmp_path / "c"), backoff_s=0.001, max_retries=1, timeout_s=1.0
        )

    return make


@pytest.mark.parametrize("act", [Act(status=500), Act(status=429), Act(cut=True), Act(raw="<html>"), Act(hang=True)])
def test_a_judge_that_is_down_raises_and_is_asked_again(act: Act, judge_at) -> None:
    with JudgeServer(Act("yes"), act) as server, pytest.raises(JudgeError):
        JudgeChoice(judge_at(server)).choose(EXAMPLE, CANDIDATES[:3])
    with JudgeServer(act, Act("yes"), act, Act("3")) as server:
        assert JudgeChoice(judge_at(server), shuffle=False).choose(EXAMPLE, CANDIDATES[:3]).index == 2


@pytest.mark.parametrize(("reply", "kind"), [("None of them", "empty"), ("0", "unscored"), ("4", "unscored")])
def test_what_the_server_says_is_never_taken_for_the_first(reply: str, kind: str, judge_at) -> None:
    with JudgeServer(Act("yes"), Act(reply)) as server:
        assert JudgeChoice(judge_at(server)).choose(EXAMPLE, CANDIDATES[:3]).kind == kind


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
    options += [f"judge.cache_dir={tmp_path / 'cache'}", "judge.max_retries=0", "judge.backoff_s=0"]
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
        judge += ["extraction.selectors.automatic.numbered=false", "extraction.selectors.automatic.shuffle=false"]
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


# A local model as judge


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
    assert judge.grade(EXAMPLE, "open")[0] is None, "a random model says nothing that could be read"
    assert JudgeChoice(judge).choose(EXAMPLE, CANDIDATES[:3]).kind == "unscored"
    assert "content" in judge.identity()["model"]["content"]


class Parrot:
    """A model that says what it was given, and keeps the prompts."""

    needs_image = False

    def __init__(self, reply: str) -> None:
        self.reply = reply

    def generate(self, requests: Sequence[tuple[Image.Image, Any]]) -> list[Generation]:
        return [Generation(self.reply, (image.height, image.width)) for image, _ in requests]


@pytest.mark.parametrize(("reply", "verdict"), [("Yes.", True), ("no", False), ("maybe", None)])
def test_a_local_models_words_are_read(reply: str, verdict: bool | None) -> None:
    judge = MllmJudge({"_target_": f"{__name__}.Parrot", "reply": reply})
    assert judge.grade(EXAMPLE, "open")[0] is verdict
    with pytest.raises(JudgeError, match="says nothing"):
        MllmJudge({"_target_": f"{__name__}.Parrot", "reply": " "}).grade(EXAMPLE, "open")


def test_a_local_models_words_can_be_taken_literally() -> None:
    model = {"_target_": f"{__name__}.Parrot", "reply": "**Yes**"}
    assert MllmJudge(model, verdicts="meant").grade(EXAMPLE, "open")[0] is True
    assert MllmJudge(model, verdicts="literal").grade(EXAMPLE, "open")[0] is False
    with pytest.raises(UserError, match=r"judge\.verdicts must be meant or literal"):
        MllmJudge(model, verdicts="lax")  # type: ignore[arg-type]


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UserError, match=r"judge.model._target_=.*is no model"):
        MllmJudge({"_target_": "pixfound.judges.rules.RulesJudge"})


def test_a_run_with_a_local_judge(models: Path, tmp_path: Path) -> None:
    judge = ["judge=mllm", f"judge.model.path={models / 'llava'}", "judge.model.dtype=float32", "extraction=automatic"]
    result = run(models, tmp_path, *judge, "judge.model.generation.max_new_tokens=3", "limit=2")
    assert {s["choice"] for s in scores_of(result) if s["row"] == "automatic"} <= {"unscored", "empty"}
    assert result.metrics["unscored"]["answers.open"] == 2
    assert not result.failures


def test_rules_cannot_choose(models: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot look at images"):
        run(models, tmp_path, "extraction=automatic")
