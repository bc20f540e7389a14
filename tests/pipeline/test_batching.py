"""batch_size=auto: what it measures, what it chooses, and that no batch size changes what a model says in fp32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.interfaces import BatchFit
from pixfound.models import batch_memory
from pixfound.models.huggingface import HuggingFace
from pixfound.store.store import Store
from pixfound.types import KINDS, Prompt
from tests.support.forked import ranks
from tests.support.run import LIMIT, QUIET, config_of, count_lines, run, scores_of

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
REQUESTS = [(IMAGE, Prompt("x", kind, "v", f"{kind}: where is it?")) for kind in KINDS]


EMBEDDED = [f"limit={LIMIT}", "model.device=cpu", "segmenter.device=cpu", "scoring.resamples=100", *QUIET]


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    result = evaluate(config_of(*EMBEDDED, f"outputs_dir={tmp_path_factory.mktemp('one')}", "batch_size=1"))
    return result.fingerprint, (result.folder / "scores.jsonl").read_bytes()


@pytest.mark.parametrize("size", ["auto", "7"])
def test_no_batch_size_changes_a_score_or_a_fingerprint(
    size: str, tmp_path: Path, one_by_one: tuple[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    result = evaluate(config_of(*EMBEDDED, f"outputs_dir={tmp_path}", f"batch_size={size}"))
    assert (result.fingerprint, (result.folder / "scores.jsonl").read_bytes()) == one_by_one
    said = capsys.readouterr().err
    found = json.loads((result.folder / "provenance.json").read_text())["batch_size"]
    if size == "auto":
        assert f"batch_size=auto: {found} (" in said and " MiB a prompt, " in said
        assert 3 <= found <= 32
    else:
        assert found == int(size) and "batch_size" not in said


def generated(outputs: Path) -> dict[str, tuple[str, np.ndarray]]:
    """The text of every record, and its attention."""
    (folder,) = outputs.glob("stages/generate/*")
    store = Store(folder)
    store.read()
    lines = [json.loads(line) for path in folder.glob("journal-*.jsonl") for line in path.read_text().splitlines()]
    records = [store.get(line["key"], line["digest"]) for line in lines]
    return {r.key: (r.value["text"], store.arrays(r)["attention"]) for r in records}


def test_texts_are_equal_and_attention_within_the_last_bits_even_where_nothing_was_learned(
    models: Path, tmp_path: Path
) -> None:
    for size in ("1", "7", "auto"):
        run(models, tmp_path / size, f"batch_size={size}", "extraction=nulls")
    alone = generated(tmp_path / "1")
    assert len(alone) == 3 * LIMIT
    for size in ("7", "auto"):
        for key, (text, attention) in generated(tmp_path / size).items():
            assert text == alone[key][0]
            assert np.abs(attention - alone[key][1]).max() < 1e-5


def test_two_processes_agree_on_one_size(tmp_path: Path, one_by_one: tuple[str, bytes]) -> None:
    config = config_of(*EMBEDDED, f"outputs_dir={tmp_path / 'out'}", "batch_size=auto", "launch.num_processes=2")
    said = ranks(2, lambda: evaluate(config))
    assert "".join(said).count("batch_size=auto: ") == 1
    assert next(tmp_path.glob("out/runs/*/*/*/*/scores.jsonl")).read_bytes() == one_by_one[1]


def test_what_is_done_is_not_tried_out(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(models, tmp_path, "batch_size=8")
    lines = count_lines(tmp_path)["generate"]
    monkeypatch.setattr(HuggingFace, "max_batch", lambda *_: pytest.fail("nothing is left to generate"))
    again = run(models, tmp_path, "batch_size=auto", "report.pictures=1")
    assert count_lines(tmp_path)["generate"] == lines == 3 * LIMIT
    assert len(scores_of(again)) > 0


def test_a_trial_that_fails_leaves_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_by_one: tuple[str, bytes]
) -> None:
    def broken(*_: object) -> BatchFit:
        raise RuntimeError("no luck")

    monkeypatch.setattr(HuggingFace, "max_batch", broken)
    result = evaluate(config_of(*EMBEDDED, f"outputs_dir={tmp_path}", "batch_size=auto"))
    assert (result.folder / "scores.jsonl").read_bytes() == one_by_one[1]
    assert json.loads((result.folder / "provenance.json").read_text())["batch_size"] == 32


def test_less_memory_fits_less(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation={"max_new_tokens": 200})
    monkeypatch.setattr(batch_memory, "_peaks", lambda work, devices: [work() and 9_000_000 + 1_000_000 * calls.pop(0)])
    found = []
    for free in (10**12, 10**9, 30_000_000, 1000):
        monkeypatch.setattr(batch_memory, "_free", lambda device, free=free: free)
        calls = [3, 6]
        found.append(model.max_batch(REQUESTS))
    kept = 3 * 2 * 2 * 12 * 4 + 2 * 4 * 16  # layers, keys and values, key heads, width, fp32; a row of attention twice
    each = 1_000_000 + (200 - 16) * kept
    assert {one.each for one in found} == {each}
    assert [one.prompts for one in found] == [32, 32, int(0.85 * (30_000_000 - 9_000_000)) // each, 3]
    assert 3 < found[2].prompts < 32


@pytest.mark.parametrize(("processes", "left"), [(1, 1200), (2, 1200), (3, 700), (5, 533)])
def test_processes_that_share_a_gpu_share_what_is_free(
    processes: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two GPUs, of which torch's answers are stood in for."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    monkeypatch.setattr(batch_memory, "free_bytes", lambda device: 1000)
    for name, answer in {"memory_reserved": 300, "memory_allocated": 100}.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert batch_memory._free("cuda:0") == left
    assert batch_memory._free("cpu") == 1000 // processes


def test_where_two_examples_do_not_fit_one_is_taken(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> list[int]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(batch_memory, "_peaks", full)
    found = HuggingFace(str(models / "llava"), dtype="float32").max_batch(REQUESTS)
    assert found.prompts == 3 and found.about() == " (two examples do not fit on cpu)"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is told by Linux alone")
def test_the_peak_of_a_process_is_measured_anew_each_time() -> None:
    def take(megabytes: int) -> None:
        assert torch.ones(megabytes * 2**18).sum() > 0

    (large,) = batch_memory._peaks(lambda: take(160), ["cpu"])
    (small,) = batch_memory._peaks(lambda: take(80), ["cpu"])
    assert abs(large / 2**20 - 160) < 24
    assert abs(small / 2**20 - 80) < 24
