"""Runs over examples with options, with free answers, and with an expression alone, side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.interfaces import Benchmark
from pixfound.prompts.builder import Prompts
from pixfound.report.table import table
from tests.support.run import config_of, random_models, scores_of


class Kinds(Benchmark):
    """Pairs of PixShapes: with options, without, and without a question; all of one kind where `what` names it."""

    def __init__(self, what: str = "") -> None:
        for number, example in enumerate(PixShapes(pairs=3)):
            free = replace(example, options=(), answer=None, answers=(example.right_answer,))
            ground = replace(free, answers=(), question="")
            kinds = {"choice": example, "free": free, "ground": ground}
            self.append(kinds[what] if what else list(kinds.values())[number // 2])


def config(models: Path, folder: Path, what: str) -> dict[str, object]:
    config = config_of(*random_models(models), f"outputs_dir={folder}", "limit=6", "report.page=true")
    return {**config, "benchmark": {"_target_": "tests.pipeline.test_kinds_of_examples.Kinds", "what": what}}


def test_each_example_is_asked_what_it_can_be(models: Path, tmp_path: Path) -> None:
    result = evaluate(config(models, tmp_path, ""))
    assert not result.failures
    asked = Counter((s["kind"], s["row"]) for s in scores_of(result))
    assert (asked["open", None], asked["choice", None], asked["ground", None]) == (4, 2, 6)
    assert (asked["open", "oracle"], asked["ground", "oracle"]) == (4, 6)
    assert result.metrics["vqa"]["A_item"]["count"] <= 4
    credits = [s["measures"]["credit"][0] for s in scores_of(result) if "measures" in s]
    assert len(credits) == 2
    credit = result.metrics["answer_credit"]
    assert (credit["value"], credit["count"]) == (sum(credits) / 2, 2)


def test_without_questions_the_columns_of_answers_are_empty(models: Path, tmp_path: Path) -> None:
    result = evaluate(config(models, tmp_path, "ground"))
    assert not result.failures
    assert {s["kind"] for s in scores_of(result)} == {"ground"}
    for name, a, a_dagger, m, m_dagger, s, *_ in table(result.metrics):
        assert (a, a_dagger, m, s) == ("-", "-", "-", "-"), name
        assert m_dagger != "-", name
    assert "FP absent" in (result.folder / "report.md").read_text()


def test_prompts_without_options_have_no_gap() -> None:
    texts = {
        "open": {"p": "{question} {options} Say it."},
        "choice": {"p": "{question}"},
        "ground": {"p": "{expression}"},
        "extension": {"p": ""},
    }
    prompts = Prompts(texts, "p", "p", "p", "p")
    with_options, free = Kinds("choice")[0], Kinds("free")[0]
    assert prompts.prompt(free, "open").text == f"{free.question} Say it."
    assert "(a)" in prompts.prompt(with_options, "open").text
