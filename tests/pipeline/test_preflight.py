"""What would fail for certain is said before anything is generated."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.image_sources import ImageFile
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from tests.support.judge_server import Act, JudgeServer
from tests.support.run import QUIET, config_of, run

PICTURES = (
    "benchmark._target_=tests.pipeline.test_preflight.Listed",
    "~benchmark.seed",
    "~benchmark.level",
    "benchmark.pairs=4",
)


class Listed(Benchmark):
    """PixShapes as files in a folder."""

    def __init__(self, folder: str, pairs: int = 4) -> None:
        for example in PixShapes(pairs=pairs):
            self.append(replace(example, image=ImageFile(f"{folder}/{example.id}.png")))


def nothing_generated(outputs: Path) -> bool:
    return not list(outputs.glob("stages/*/*/journal-*.jsonl"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for example in PixShapes(pairs=4):
        example.image.load().save(folder / f"{example.id}.png")
    return folder


def test_missing_pictures_are_one_message_before_anything_is_generated(
    models: Path, folder: Path, tmp_path: Path
) -> None:
    for path in sorted(folder.iterdir())[:5]:
        path.unlink()
    over = (*PICTURES, f"+benchmark.folder={folder}")
    first = ", ".join(str(folder / f"{name}.png") for name in ("0000a", "0000b", "0001a"))
    said = f"5 of 8 examples have a picture that is missing or cannot be read: {first} and 2 more; that is more than "
    with pytest.raises(UserError) as refused:
        run(models, tmp_path / "outputs", *over)
    assert str(refused.value).startswith(f"{said}max_failures=10 allows (15 would fail)")
    assert nothing_generated(tmp_path / "outputs")


def test_a_few_that_may_fail_are_said_first(
    models: Path, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "0001a.png").unlink()
    with caplog.at_level(logging.WARNING):
        result = run(models, tmp_path / "outputs", *PICTURES, f"+benchmark.folder={folder}", "max_failures=3")
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("1 of 8 examples have a picture that is missing or cannot be read: ")
    assert len(told) == 2
    assert told[1].startswith("generate: 3 failed (0001a/open/paper, 0001a/choice/paper, 0001a/ground/pixfoundation): ")
    (line,) = [line for line in (result.folder / "report.md").read_text().splitlines() if "FileNotFoundError" in line]
    assert line.startswith(f"- {len(result.failures)} failed (0001a/open/paper, ")


def test_pictures_that_nothing_looks_at_are_not_asked_for(folder: Path, models: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    over = (*PICTURES, f"+benchmark.folder={folder}", "model=none", "extraction=trivial", *QUIET)
    base = ("limit=4", "scoring.resamples=100", f"outputs_dir={tmp_path / 'outputs'}")
    assert not evaluate(config_of(*over, *base)).failures


@pytest.mark.parametrize(("key", "message"), [(False, "JUDGE_KEY: this environment variable"), (True, "no server can")])
def test_a_judge_that_cannot_be_asked_is_told_before_anything_is_generated(
    key: bool, message: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    if key:
        monkeypatch.setenv("JUDGE_KEY", "any")
    with JudgeServer(Act("No")) as server:
        over = ["judge=openai", "judge.api_key_env=JUDGE_KEY", f"judge.base_url={server.url}"]
        over += [f"judge.cache_dir={tmp_path / 'cache'}", "extraction=nulls", "model.capture=none", "limit=2"]
        if not key:
            with pytest.raises(UserError, match=message):
                run(models, tmp_path / "out", *over)
    if key:
        with pytest.raises(UserError, match=message):
            run(models, tmp_path / "out", *over)
    assert nothing_generated(tmp_path / "out")


def test_replies_that_are_kept_need_no_server(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the answers are there, the judge is asked for what is new only."""
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    over = [
        "judge=openai",
        f"judge.cache_dir={tmp_path / 'cache'}",
        "extraction=nulls",
        "model.capture=none",
        "limit=2",
    ]
    with JudgeServer(Act("No")) as server:
        over.append(f"judge.base_url={server.url}")
        assert not run(models, tmp_path / "out", *over).failures
    monkeypatch.delenv("OPENAI_API_KEY")
    for journal in (tmp_path / "out").glob("stages/grade/*/journal-*.jsonl"):
        os.truncate(journal, 0)
    assert not run(models, tmp_path / "out", *over, "scoring.iou_threshold=0.3").failures
