"""What happens to machines, files and models between and during runs: nothing is lost, and what was is named."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from pixfound.apps import evaluation
from pixfound.benchmarks.image_sources import images_in
from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from tests.support.random_llava import byte_tokenizer
from tests.support.run import LIMIT, count_lines, random_models, run, scores_of

SOURCES = Path(__file__).parents[1] / "src" / "pixfound"


def without_roots_rights() -> None:
    """The root user's right to write where permissions forbid it is given away."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE; fails quietly for others


def test_an_outputs_folder_that_is_read_only_is_one_line(models: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "out"
    outputs.mkdir()
    outputs.chmod(0o555)
    command = [sys.executable, "-m", "pixfound", *random_models(models), f"outputs_dir={outputs}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=without_roots_rights)
    outputs.chmod(0o755)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "(Permission denied): choose another folder with outputs_dir=DIR" in done.stderr
    assert not list(outputs.iterdir())


def test_a_changed_version_is_told_with_both(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run(models, tmp_path, "limit=2")
    before = evaluation.provenance()
    monkeypatch.setattr(evaluation, "provenance", lambda: {**before, "transformers": "9.9.9"})
    with caplog.at_level(logging.WARNING):
        run(models, tmp_path, "limit=4")
    told = f"transformers: {before['transformers']} -> 9.9.9"
    assert (
        f"stored results of generate, extract, grade, select were computed with another setting: {told}" in caplog.text
    )
    caplog.clear()
    assert run(models, tmp_path, "limit=2").was_complete
    assert caplog.text.count(told) == 1  # where nothing is left to compute too


def test_a_run_in_another_dtype_is_computed_anew(models: Path, tmp_path: Path) -> None:
    first = run(models, tmp_path, "limit=2")
    for key in ("model.dtype=bfloat16", "segmenter.dtype=bfloat16"):
        other = run(models, tmp_path, "limit=2", key)
        assert not other.was_complete
        assert other.folder != first.folder
    assert run(models, tmp_path, "limit=2").was_complete


def test_a_clock_that_is_set_back_changes_nothing(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scores_of(run(models, tmp_path / "a"))
    run(models, tmp_path / "b", "limit=4")
    ahead = time.time() + 10 * 365 * 86400
    for path in (tmp_path / "b").rglob("*"):
        os.utime(path, (ahead, ahead))  # as a clock that was ten years fast has left them
    before = count_lines(tmp_path / "b")["generate"]
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert scores_of(run(models, tmp_path / "b")) == whole
    assert count_lines(tmp_path / "b")["generate"] == before + 3 * (LIMIT - 4)


def test_arrays_cut_short_between_runs_are_computed_again(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(models, tmp_path, "limit=2")
    path = sorted(tmp_path.glob("stages/generate/*/arrays/*.npz"))[0]
    path.write_bytes(path.read_bytes()[:100])
    result = run(models, tmp_path, "limit=2", "extraction.extractors.attention.step0=penultimate")
    assert not result.failures
    assert "are not whole (" in caplog.text
    assert count_lines(tmp_path)["generate"] in range(7, 13)
    with np.load(path, allow_pickle=False) as arrays:
        assert np.isfinite(arrays["attention"]).all()


def test_attention_that_is_no_number_is_a_failure_and_never_a_mask(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = HuggingFace._free_rows

    def broken(self: HuggingFace, *given):  # type: ignore[no-untyped-def]
        answers, found = rows(self, *given)
        found[0][0, 0] = np.nan
        return answers, found

    with monkeypatch.context() as patched:
        patched.setattr(HuggingFace, "_free_rows", broken)
        result = run(models, tmp_path, "limit=2", "max_failures=100")
    assert result.failures
    assert all(s["iou"] is None for s in scores_of(result) if "failed: " in s["reason"])
    assert "FloatingPointError: the captured attention is not finite" in (result.folder / "report.md").read_text()
    assert not run(models, tmp_path, "limit=2").failures


def test_answers_that_never_stop_are_cut_and_counted(models: Path, tmp_path: Path) -> None:
    over = ("limit=2", "model.generation.max_new_tokens=3", "+model.generation.min_new_tokens=3")
    result = run(models, tmp_path, *over)
    assert result.metrics["cut"] == {"open": 2, "choice": 2, "ground": 2}
    assert "## Cut answers" in (result.folder / "report.md").read_text()
    (journal,) = tmp_path.glob("stages/generate/*/journal-*.jsonl")
    assert all(json.loads(line)["value"]["cut"] for line in journal.read_text().splitlines())


def test_no_pickle_is_read_anywhere() -> None:
    texts = {path: path.read_text() for path in SOURCES.rglob("*.py")}
    assert len(texts) > 100
    for path, text in texts.items():
        for line in text.splitlines():
            assert not re.search(r"\b(c?[pP]ickle|dill|joblib|shelve|marshal)\.\w*\(", line), path
            assert "import pickle" not in line and "allow_pickle=True" not in line, path
            assert "torch.load(" not in line or "weights_only=True" in line, path
            assert "weights_only=False" not in line, path
            assert "np.load(" not in line or "allow_pickle=False" in line, path
            assert "yaml.load(" not in line, path
            assert "trust_remote_code=True" not in line, path


@pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "a/../../x.png", "a\0b.png"])
def test_a_name_from_data_that_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="leads out of"):
        images_in(tmp_path, [name], "benchmark.images")


def test_a_name_that_is_too_long_is_a_missing_image(tmp_path: Path) -> None:
    (tmp_path / "good.png").touch()
    found = images_in(tmp_path, ["x" * 5000, "good.png"], "benchmark.images")
    with pytest.raises(OSError, match="too long"):
        found("x" * 5000).digest()
    with pytest.raises(UserError, match="has none of the 1 images"):
        images_in(tmp_path, ["x" * 5000], "benchmark.images")


@pytest.mark.parametrize("capture", [(), ("model.capture=none", "extraction=nulls")], ids=["captured", "plain"])
def test_what_overflows_with_real_weights_fails_its_own_prompt_alone(
    models: Path, tmp_path: Path, capture: tuple[str, ...]
) -> None:
    """One byte, which only the prompts for a letter hold, has an embedding that float16 has no number for."""
    folder = tmp_path / "model"
    shutil.copytree(models / "llava", folder)
    state = load_file(folder / "model.safetensors")
    (table,), (head,) = ([n for n in state if n.endswith(e)] for e in ("embed_tokens.weight", "lm_head.weight"))
    byte = byte_tokenizer().convert_tokens_to_ids("'")
    state[table][byte], state[head][byte] = 1e6, 0  # it is never said
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    over = (f"model.path={folder}", "limit=4", "batch_size=12", *capture)
    result = run(models, tmp_path / "out", *over, "model.dtype=float16")
    scores = scores_of(result)
    lost = [s for s in scores if s["kind"] == "choice"]
    why = "generate failed: FloatingPointError: the logits are not finite in float16"
    assert {(s["reason"], s["correct"], s["response"]) for s in lost} == {(why, None, None)}
    assert all(s["response"] for s in scores if s["row"] is None and s["kind"] != "choice")
    assert all(s["iou"] is not None for s in scores if s["row"])
    assert len(result.failures) == 4 and result.metrics["unscored"]["answers.choice"] == 4
    report = (result.folder / "report.md").read_text(encoding="utf-8")
    assert "## Failures" in report and report.count("FloatingPointError") == 1, "one cause is one line"
    assert ": generate failed: FloatingPointError: the logits are not finite in float16" in report
    before = count_lines(tmp_path / "out")["generate"]
    assert run(models, tmp_path / "out", *over, "model.dtype=float16").failures == result.failures
    assert count_lines(tmp_path / "out")["generate"] == before + 4, "only what failed is tried again"
    assert not run(models, tmp_path / "out", *over, "model.dtype=float32").failures
    assert count_lines(tmp_path / "out")["generate"] == before + 4 + 12, "another dtype is another model"


def test_scores_that_overflow_in_every_row_are_all_failures(models: Path, tmp_path: Path) -> None:
    """Queries and keys that are infinite in float16."""
    folder = tmp_path / "model"
    shutil.copytree(models / "llava", folder)
    state = load_file(folder / "model.safetensors")
    for name in state:
        if "language_model" in name and ("q_proj" in name or "k_proj" in name):
            state[name] = 1e4 * state[name]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    over = (f"model.path={folder}", "model.dtype=float16", "limit=2")
    result = run(models, tmp_path / "out", *over)
    assert all("FloatingPointError" in s["reason"] for s in scores_of(result))
    assert result.failures
    with pytest.raises(
        UserError, match=r"max_failures=0 examples failed; the last was .* not finite in float16\. What"
    ):
        run(models, tmp_path / "out", *over, "max_failures=0")
