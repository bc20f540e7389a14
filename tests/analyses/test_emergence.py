"""The analysis on whole runs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pixfound.analyses import emergence_chart
from pixfound.analyses.emergence import When
from pixfound.apps.evaluation import evaluate
from pixfound.errors import UserError
from pixfound.io.charts import write_chart
from pixfound.judges.openai import OpenAIJudge
from pixfound.judges.rules import RulesJudge
from pixfound.phrases.textblob import TextBlobPhrases
from pixfound.pipeline.results import Result
from pixfound.selectors.oracle import Oracle
from tests.support.chart_pixels import bar_heights
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import config_of, scores_of

FAST = ("limit=24", "scoring.resamples=200", "report.pictures=0", "report.charts=false")


def run(outputs: Path, *overrides: str) -> Result:
    """The embedded models on a few pairs."""
    return evaluate(config_of(f"outputs_dir={outputs}", *FAST, *overrides))


def when_of(result: Result) -> dict[str, Any]:
    metrics = json.loads((result.folder / "metrics.json").read_text())["metrics"]
    return dict(metrics["analyses"]["when"])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("when")


@pytest.fixture(scope="module")
def result(outputs: Path) -> Result:
    return run(outputs, "limit=36", "analyses.when.kinds=[ground,open]", "report.charts=true")


def test_a_run_says_when_grounding_emerges(result: Result) -> None:
    found = when_of(result)
    report = (result.folder / "report.md").read_text()
    assert "## When grounding emerges" in report
    assert "![when](when.png)" in report and "(when.svg)" in report
    assert ElementTree.parse(result.folder / "when.svg").getroot().tag.endswith("svg")
    with Image.open(result.folder / "when.png") as picture:
        assert min(picture.size) > 400
    for kind in ("ground", "open"):
        one = found["prompts"][kind]
        assert f"### Prompt `{kind}`" in report
        assert one["examples"] + sum(one["left_out"].values()) == result.metrics["examples"]
        assert one["left_out"]["object absent"] == result.metrics["absent"]
        assert sum(ten["examples"] for ten in one["deciles"]) == one["examples"]
        assert sum(ten["value"] for ten in one["deciles"]) == pytest.approx(1)
        for null in ("shuffled", "permuted", "length_matched"):
            assert sum(ten["nulls"][null]["value"] for ten in one["deciles"]) == pytest.approx(1)
            assert 0 < one["mean"]["nulls"][null]["p"] <= 1
        positions = [e["position"] for e in one["emergences"]]
        assert one["mean"]["value"] == pytest.approx(np.mean(positions))
        assert one["median"]["value"] == pytest.approx(np.median(positions))
        assert one["mean"]["low"] <= one["mean"]["value"] <= one["mean"]["high"]


def test_its_best_candidates_are_the_oracle_s(result: Result) -> None:
    """The oracle's own scores, which another part of the program computes, name the same IoUs."""
    for kind, one in when_of(result)["prompts"].items():
        scores = {s["example_id"]: s for s in scores_of(result) if s["row"] == "oracle" and s["kind"] == kind}
        assert one["emergences"]
        for emergence in one["emergences"]:
            assert emergence["iou"] == pytest.approx(scores[emergence["example_id"]]["iou"])
        assert one["best_iou"]["value"] == pytest.approx(np.mean([e["iou"] for e in one["emergences"]]))


def test_its_phrases_stand_where_it_says(result: Result) -> None:
    answers = {(s["example_id"], s["kind"]): s["response"] for s in scores_of(result) if s["row"] is None}
    for kind, one in when_of(result)["prompts"].items():
        for emergence in one["emergences"]:
            text = answers[emergence["example_id"], kind]
            start = round(emergence["position"] * len(text))
            assert text[start:].startswith(emergence["phrase"])


def test_options_change_what_is_counted(outputs: Path, result: Result) -> None:
    base = when_of(result)["prompts"]["ground"]
    same = (outputs, "limit=36")
    middle = when_of(run(*same, "analyses.when.place=middle", "analyses.when.nulls=[shuffled]"))["prompts"]["ground"]
    tokens = when_of(run(*same, "analyses.when.unit=tokens"))["prompts"]["ground"]
    floor = when_of(run(*same, "analyses.when.iou_floor=0.5", "analyses.when.concepts=none"))["prompts"]["ground"]
    assert middle["mean"]["value"] > base["mean"]["value"]
    assert list(middle["mean"]["nulls"]) == ["shuffled"]
    assert tokens["examples"] == base["examples"]
    assert tokens["mean"]["value"] != base["mean"]["value"]
    assert floor["examples"] == sum(e["iou"] >= 0.5 for e in base["emergences"]) < base["examples"]
    assert floor["left_out"]["best IoU below the floor"] == base["examples"] - floor["examples"]
    assert floor["concepts"] == {}


def test_it_does_not_apply_without_phrases_or_without_its_row(outputs: Path) -> None:
    for override in ("analyses.when.row=centre_point", "extraction=nulls"):
        metrics = run(outputs, override).metrics
        assert "when" not in metrics["analyses"]


def test_a_judge_names_the_concepts(outputs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    graded = [Act("Yes")] * 24
    with JudgeServer(*graded, Act("(a), (e)"), Act("no idea"), Act("b")) as server:
        result = run(
            outputs,
            "judge=openai",
            f"judge.base_url={server.url}",
            f"judge.cache_dir={tmp_path}",
            "judge.concurrency=1",
            "analyses.when.concepts=judge",
        )
        asked = [body["messages"][1]["content"] for body in server.bodies]
    found = when_of(result)
    one = found["prompts"]["ground"]
    assert found["concepts_by"] == "openai:gpt-4o"
    emergences = one["emergences"]
    for emergence in emergences:
        assert any(f"The noun phrase is '{emergence['phrase']}'" in question for question in asked[len(graded) :])
    read = [e["concepts"] for e in emergences if e["concepts"] is not None]
    assert len(read) + len(one["concepts_unscored"]) == len(emergences)
    assert one["concepts_unscored"], "what cannot be read is counted"
    assert one["concepts"]["location"]["value"] == pytest.approx(np.mean(["location" in labels for labels in read]))
    assert one["concepts"]["location"]["count"] == len(read)
    assert "phrases without a concept" in (result.folder / "report.md").read_text()


def test_a_local_model_can_be_the_judge(outputs: Path) -> None:
    """The embedded model knows no concepts, but it has learned to answer such a question by a letter."""
    options = ["judge=mllm", "judge.model.path=embedded:tiny_llava", "limit=4", "analyses.when.concepts=judge"]
    found = when_of(run(outputs, *options))
    one = found["prompts"]["ground"]
    read = [e["concepts"] for e in one["emergences"] if e["concepts"] is not None]
    assert found["concepts_by"] == "mllm:embedded:tiny_llava"
    assert len(read) + len(one["concepts_unscored"]) == one["examples"]
    assert one["concepts"]["appearance"]["count"] == len(read) > 0


def test_a_judge_that_fails_is_asked_again_by_the_next_run(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    options = ["judge=openai", f"judge.cache_dir={tmp_path}", "judge.max_retries=0", "analyses.when.concepts=judge"]
    with JudgeServer(*[Act("Yes")] * 24, Act("e"), Act(status=500)) as server:
        address = f"judge.base_url={server.url}"
        first = run(outputs, *options, address, "judge.concurrency=1")
        found = when_of(first)
        asked = len(found["prompts"]["ground"]["emergences"])
        assert len(found["failures"]) == asked - 1
        assert len(first.failures) == asked - 1
        assert "when: concept of ground" in (first.folder / "report.md").read_text()
        before = len(server.bodies)
        assert before == 24 + 1 + 5, "it is given up after five failures"
        server.script = [*server.script[:25], Act("c")]
        second = run(outputs, *options, address, "judge.concurrency=1")
        questions = [body["messages"][1]["content"] for body in server.bodies]
        assert second.folder == first.folder
        assert not second.failures
        concepts = [e["concepts"] for e in when_of(second)["prompts"]["ground"]["emergences"]]
        assert concepts.count(["object"]) >= 1
        assert all(found in (["object"], ["part"]) for found in concepts)
        assert questions[24] not in questions[before:], "what was answered is not asked again"
        assert len(set(questions[before:])) == len(questions[before:]) >= 5
        assert run(outputs, *options, address, "judge.concurrency=1").was_complete


def make(**options: Any) -> When:
    return When(options.pop("judge", RulesJudge()), TextBlobPhrases(), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "words"}, 'When.unit=words: must be one of "characters", "tokens"'),
        ({"place": "end"}, "place=end"),
        ({"ties": "best"}, "ties=best"),
        ({"length": "line"}, "length=line"),
        (
            {"kinds": ("choice",)},
            'kinds=["choice"]: must be a list in brackets, as [A,B], each one of "open", "ground"',
        ),
        ({"nulls": ("random",)}, 'nulls=["random"]'),
        ({"concepts": "llm"}, "concepts=llm"),
        ({"iou_floor": 1.5}, "iou_floor=1.5"),
        ({"length": "original", "place": "middle"}, "length=original"),
        ({"concepts": "judge"}, "judge 'rules' answers no questions"),
        ({"question": "What is {phrases}?"}, "only {phrase} and {text}"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        make(**options)
    assert message in str(error.value)


def test_a_judge_that_can_be_asked_is_taken() -> None:
    assert make(concepts="judge", judge=OpenAIJudge()).concepts == "judge"


def test_the_defaults_are_the_oracle_s() -> None:
    assert make().reading.ties == Oracle().ties


def test_the_bars_are_as_high_as_the_shares(tmp_path: Path) -> None:
    """Read back from the picture: blue pixels of each decile against its share."""
    shares = [0.4, 0.05, 0.3, 0.1, 0.07, 0.25, 0.02, 0.35, 0.15, 0.2]
    null = {"value": 0.1, "low": 0.05, "high": 0.15, "p": 0.5}
    tens = [{"value": s, "low": s, "high": s, "nulls": {"shuffled": null}} for s in shares]
    one = {"examples": 30, "deciles": tens, "mean": {"value": 0.4, "nulls": {"shuffled": null}}}
    found = {"prompts": {"ground": one}, "place": "start", "unit": "characters", "level": 0.95}
    chart = emergence_chart.draw(found)
    assert chart is not None
    write_chart(tmp_path / "when", chart)
    heights = bar_heights(np.asarray(Image.open(tmp_path / "when.png").convert("RGB")), (0, 114, 178))
    assert np.array(heights) / max(heights) == pytest.approx(np.array(shares) / 0.4, abs=0.02)
    assert emergence_chart.draw({**found, "prompts": {"ground": {**one, "examples": 29}}}) is None, "too few for tenths"
