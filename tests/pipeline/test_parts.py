"""What identifies a part: what comes out of it, never how it works."""

from __future__ import annotations

from typing import Any

import pytest

from pixfound.errors import UserError
from pixfound.pipeline.parts import build, build_parts
from tests.support.run import config_of

LLAVA = "pixfound.models.huggingface.HuggingFace"
JUDGE = {"_target_": "pixfound.judges.openai.OpenAIJudge", "model": "gpt-4o"}


def test_how_a_judge_works_is_no_part_of_its_identity() -> None:
    plain = build(JUDGE, "judge").identity()
    assert build({**JUDGE, "concurrency": 9, "max_retries": 1, "timeout_s": 3.0}, "judge").identity() == plain
    assert build({**JUDGE, "temperature": 0.0}, "judge").identity() != plain
    assert build({**JUDGE, "model": "other"}, "judge").identity() != plain


def test_services_are_given_to_those_that_ask() -> None:
    segmenter = build({"_target_": "pixfound.segmenters.sam.Sam", "path": "embedded:tiny_sam"}, "segmenter")
    point = build({"_target_": "pixfound.extractors.nulls.CentrePoint"}, "x", {"segmenter": segmenter})
    assert point.built.segmenter is segmenter.built
    assert point.identity()["uses"]["segmenter"] == segmenter.identity()


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(UserError, match=r"segmenter: Sam needs segmenter.path=\.\.\."):
        build({"_target_": "pixfound.segmenters.sam.Sam"}, "segmenter")


@pytest.mark.parametrize(
    ("config", "module"),
    [
        (JUDGE, "pixfound.judges.asking"),
        ({"_target_": "pixfound.judges.mllm.MllmJudge", "model": {"_target_": LLAVA, "path": "embedded:tiny_llava"}},
         "pixfound.judges.asking"),
        ({"_target_": "pixfound.judges.rules.RulesJudge"}, "pixfound.judges.rules"),
    ],
    ids=["openai", "mllm", "rules"],
)  # fmt: skip
def test_answers_are_graded_anew_when_replies_are_read_in_another_way(
    config: dict[str, Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(config, "judge").identity()
    assert build(config, "judge").identity() == before
    monkeypatch.setattr(f"{module}.READING", 10**6)
    assert build(config, "judge").identity() != before


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model.path=5", "model.path=5"),
        ("segmenter.path=null", "segmenter.path=None"),
        ("model=hf model.path=x model.system=[a]", r"model.system=\['a'\]"),
        ("benchmark=pixmmvp benchmark.root=2024", "benchmark.root=2024"),
        ("benchmark=pixcvbench benchmark.root=x benchmark.images={a:b}", r"benchmark.images={'a': 'b'}"),
        ("baseline=clipseg extraction.extractors.clipseg.path=true", "extraction.extractors.clipseg.path=True"),
    ],
)
def test_what_is_no_text_where_one_is_needed_is_said(override: str, key: str) -> None:
    config = config_of(*override.split())
    with pytest.raises(UserError, match=rf"^{key}: must be a text; .* '\S+=\"TEXT\"'$"):
        build_parts(config)


def test_no_text_is_none_where_that_is_allowed_and_quotes_make_a_number_one() -> None:
    config = config_of("model=hf", 'model.path="2024"', "model.revision=null", "model.system=null")
    assert (build(config["model"], "model").built.path, config["model"]["system"]) == ("2024", None)
