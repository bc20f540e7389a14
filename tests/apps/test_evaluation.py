"""The whole pipeline with small random models: what is recomputed, what is kept, what bad input does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, Tracker
from pixfound.types import ImageSource
from tests.support.examples import claim_size
from tests.support.run import LIMIT, config_of, count_lines, run, scores_of

ROWS = (
    "oracle",
    "similarity",
    "first",
    "best_score",
    "random",
    "random_point",
    "centre_point",
    "empty",
    "full",
)


@pytest.fixture(scope="module")
def finished(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of a finished run; copy them before changing anything."""
    outputs = tmp_path_factory.mktemp("finished")
    run(models, outputs)
    return outputs


def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "outputs"))


def test_every_example_kind_and_row_has_a_score(models: Path, finished: Path) -> None:
    scores = scores_of(run(models, finished))
    keys = {(s["example_id"], s["kind"], s["row"]) for s in scores}
    ids = {s["example_id"] for s in scores}
    assert len(ids) == LIMIT
    assert len(keys) == len(scores) == LIMIT * (3 + 2 * len(ROWS))
    assert {row for _, _, row in keys} == {None, *ROWS}


def test_a_second_run_does_nothing(models: Path, finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()}
    assert run(models, finished).was_complete
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()} == before


def test_another_selector_recomputes_no_mask(models: Path, finished: Path, tmp_path: Path) -> None:
    outputs = copied(finished, tmp_path)
    before = count_lines(outputs)
    run(models, outputs, "extraction.selectors.random.seed=5")
    after = count_lines(outputs)
    assert after["select"] == before["select"] + 2 * LIMIT
    assert {k: after[k] for k in ("generate", "extract", "grade")} == {
        k: before[k] for k in ("generate", "extract", "grade")
    }


def test_another_segmenter_recomputes_no_answer(models: Path, finished: Path, tmp_path: Path) -> None:
    from tests.support.random_sam import save_random_sam

    outputs = copied(finished, tmp_path)
    before = count_lines(outputs)
    run(models, outputs, f"segmenter.path={save_random_sam(tmp_path / 'other', seed=1)}")
    after = count_lines(outputs)
    assert after["generate"] == before["generate"]
    assert after["extract"] == before["extract"] + 3 * 2 * LIMIT  # the three extractors that use a segmenter


def test_another_wording_of_one_prompt_asks_no_other_again(
    models: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixfound.models.huggingface import HuggingFace

    asked: list[str] = []
    generate = HuggingFace.generate

    def heard(self: HuggingFace, requests: Any) -> Any:
        asked.extend(prompt.kind for _, prompt in requests)
        return generate(self, requests)

    monkeypatch.setattr(HuggingFace, "generate", heard)
    outputs = copied(finished, tmp_path)
    before = count_lines(outputs)
    run(models, outputs, "prompts.ground=lisa")
    assert asked == ["ground"] * LIMIT
    after = count_lines(outputs)
    assert after["generate"] == before["generate"] + LIMIT
    assert after["grade"] == before["grade"]
    assert after["extract"] == before["extract"] * 3 // 2
    asked.clear()
    run(models, outputs, "prompts.vqa=t1")
    assert sorted(asked) == ["choice"] * LIMIT + ["open"] * LIMIT


def test_the_same_weights_elsewhere_are_the_same_model(models: Path, finished: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(models / "llava", tmp_path / "moved")
    assert run(models, finished, f"model.path={moved}").was_complete


def test_other_weights_are_another_model(models: Path, finished: Path, tmp_path: Path) -> None:
    from tests.support.random_llava import save_random_llava

    outputs = copied(finished, tmp_path)
    result = run(models, outputs, f"model.path={save_random_llava(tmp_path / 'other', seed=3)}")
    assert not result.was_complete
    assert count_lines(outputs)["generate"] == 2 * 3 * LIMIT


def test_batch_size_and_device_change_no_fingerprint(models: Path, finished: Path) -> None:
    assert run(models, finished, "batch_size=7", "model.device=cpu").was_complete


def test_another_metric_recomputes_no_record(models: Path, finished: Path, tmp_path: Path) -> None:
    outputs = copied(finished, tmp_path)
    before = count_lines(outputs)
    result = run(models, outputs, "scoring.accuracy=item")
    assert not result.was_complete
    assert result.metrics["accuracy_unit"] == "item"
    assert count_lines(outputs) == before


def test_a_run_cut_off_anywhere_continues_to_the_same_scores(models: Path, finished: Path, tmp_path: Path) -> None:
    outputs = copied(finished, tmp_path)
    whole = scores_of(run(models, outputs))
    shutil.rmtree(outputs / "runs")
    for journal in outputs.glob("stages/*/*/journal-*.jsonl"):
        data = journal.read_bytes()
        journal.write_bytes(data[: 2 * len(data) // 3])  # in the middle of a line, as a kill leaves it
    assert scores_of(run(models, outputs)) == whole


def test_a_tracker_added_later_is_served(
    models: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb")
    outputs = copied(finished, tmp_path)
    before = count_lines(outputs)
    result = run(models, outputs, "tracker=wandb", "tracker.mode=offline", "tracker.pictures=2")
    assert list((result.folder / "wandb").glob("offline-run-*/*.wandb"))
    assert f"wandb sync {result.folder / 'wandb/offline-run-'}" in capsys.readouterr().out
    published = (next((result.folder / "wandb").glob("offline-run-*/*.wandb"))).read_bytes()
    for written in (b"grounded_given_correct", b"pixshapes", b"attention"):
        assert written in published
    assert b"quadrants_by_threshold" not in published, "metrics.json goes as a file"
    staged = [path.read_bytes() for path in (result.folder / "wandb/artifacts/staging").iterdir()]
    assert sum(data.startswith(b"\x89PNG") for data in staged) >= 2, "the table's pictures stay in the run's folder"
    assert count_lines(outputs) == before
    assert run(models, outputs, "tracker=wandb", "tracker.mode=offline", "tracker.pictures=2").was_complete


def test_a_login_of_wandb_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from pixfound.trackers.wandb import has_login

    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_login(wandb.Settings())
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai\n  login user\n  password {'a' * 40}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert has_login(wandb.Settings())
    assert not has_login(wandb.Settings(base_url="https://wandb.example.org")), "a login elsewhere"


class Offline(Tracker):
    """A tracker that cannot be reached."""

    def log(self, result: object, run: object) -> None:
        raise ConnectionError("no network")


def test_a_tracker_that_fails_loses_nothing(models: Path, finished: Path, tmp_path: Path) -> None:
    outputs = copied(finished, tmp_path)
    shutil.rmtree(outputs / "runs")
    with pytest.raises(ConnectionError):
        run(models, outputs, "+tracker._target_=tests.apps.test_evaluation.Offline")
    assert run(models, outputs).was_complete


class Folder(ImageSource):
    """A picture of a folder that can be broken."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Image.Image:
        return Image.open(self.path).convert("RGB")

    def digest(self) -> str:
        import hashlib

        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class Pictures(Benchmark):
    """PixShapes as files in a folder, where they can be damaged."""

    def __init__(self, folder: str, pairs: int = 4) -> None:
        from dataclasses import replace

        root = Path(folder)
        root.mkdir(exist_ok=True)
        for example in PixShapes(pairs=pairs):
            path = root / f"{example.id}.png"
            if not path.exists():
                example.image.load().save(path)
            self.append(replace(example, image=Folder(path)))


TRACKED = ("tracker=wandb", "tracker.mode=offline", "tracker.pictures=8")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def too_large(path: Path) -> None:
    """PIL raises an error of its own kind, which is no OSError."""
    claim_size(path, (20_000, 20_000))


@pytest.mark.parametrize("damage", [cut_off, too_large])
def test_a_corrupt_picture_is_a_failure_that_is_mended_alone(
    damage: Callable[[Path], None], models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    Pictures(str(folder))
    bad = folder / "0001a.png"
    good = bad.read_bytes()
    damage(bad)
    over = (
        "benchmark._target_=tests.apps.test_evaluation.Pictures",
        "~benchmark.seed",
        "~benchmark.level",
        "benchmark.pairs=4",
    )
    arguments = (models, tmp_path / "outputs", *over, f"+benchmark.folder={folder}", "report.pictures=8", *TRACKED)
    result = run(*arguments)
    lost = [s for s in scores_of(result) if s["example_id"] == "0001a"]
    assert all(s["correct"] is None and s["iou"] is None for s in lost)
    assert all("failed: " in s["reason"] for s in lost)
    assert len(result.failures) == len(lost)
    kept = [s for s in scores_of(result) if s["example_id"] != "0001a"]
    assert all(s["iou"] is not None for s in kept if s["row"])
    bad.write_bytes(good)
    before = count_lines(tmp_path / "outputs")["generate"]
    mended = run(*arguments)
    assert not mended.failures
    assert count_lines(tmp_path / "outputs")["generate"] == before + 3


def test_too_many_failures_end_the_run(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    Pictures(str(folder))
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    over = (
        "benchmark._target_=tests.apps.test_evaluation.Pictures",
        "~benchmark.seed",
        "~benchmark.level",
        "benchmark.pairs=4",
    )
    with pytest.raises(UserError, match=r"more than max_failures=2 examples failed; the last was .* in stage generate"):
        run(models, tmp_path / "outputs", *over, f"+benchmark.folder={folder}", "max_failures=2")


def test_the_files_of_a_run(models: Path, finished: Path) -> None:
    result = run(models, finished)
    names = {p.name for p in result.folder.iterdir()}
    assert {"config.yaml", "provenance.json", "scores.jsonl", "metrics.json", "report.md", "pictures.png"} <= names
    assert result.folder.relative_to(finished).parts[:4] == ("runs", "pixshapes", "hf", "attend_segment")
    assert json.loads((result.folder / "provenance.json").read_text())["torch"]
    with Image.open(result.folder / "pictures.png") as sheet:
        assert sheet.width > 1000


def test_an_answer_whose_attention_cancels_out_says_so(tmp_path: Path) -> None:
    """Cut after two tokens that are one phrase: less the mean over the answer nothing is left to point at."""
    options = ("limit=4", "model.generation.max_new_tokens=2", "report.pictures=0", f"outputs_dir={tmp_path}")
    scores = [s for s in scores_of(evaluate(config_of(*options))) if s["row"] == "first"]
    why = "no candidate: the phrase is all of the answer: its attention less the mean over the answer is zero"
    assert {s["point"] for s in scores} == {None}
    assert {s["reason"] for s in scores} == {why, "no candidate"}  # the latter without a phrase
