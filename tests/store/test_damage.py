"""Damage to the stores between and during runs: what has changed is computed again, what cannot be read is kept.

Neither ever gives other numbers, or fewer ones with an exit code of 0.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.pipeline.results import Result
from pixfound.store.store import DamagedArrays, Record, Store
from tests.support.run import count_lines, run, scores_of

ABOUT = {"identity": {}, "provenance": {}}
OTHER = "extraction.extractors.attention.step0=penultimate"  # an extractor that has to read all arrays


def opened(folder: Path) -> Store:
    store = Store(folder)
    store.open(ABOUT)
    return store


@pytest.fixture(scope="module")
def finished(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result, Result]:
    """Outputs of a finished run, which are copied before they are changed, and the results of it and with OTHER."""
    outputs = tmp_path_factory.mktemp("finished")
    result = run(models, outputs, "limit=2")
    other = Path(shutil.copytree(outputs, tmp_path_factory.mktemp("other") / "out"))
    return outputs, result, run(models, other, "limit=2", OTHER)


@pytest.fixture
def outputs(finished: tuple[Path, Result, Result], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "outputs"))


@contextmanager
def files_at_most(count: int) -> Iterator[None]:
    """A limit on the numbers of files that are opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)


def of_one_size(folder: Path) -> list[Path]:
    """Two files of the same size in a folder."""
    known: dict[int, Path] = {}
    for path in sorted(folder.glob("*.npz")):
        other = known.setdefault(path.stat().st_size, path)
        if other != path:
            return [other, path]
    raise AssertionError("no two files are of one size")


@pytest.mark.parametrize("at", [0.0, 0.1, 0.5, 0.9, 0.9999])
def test_a_changed_byte_in_arrays_is_found_on_reading_and_they_are_computed_again(tmp_path: Path, at: float) -> None:
    store, record = opened(tmp_path), Record("a/open/v", "d", {})
    store.append(record, {"x": np.arange(100.0)})
    (path,) = tmp_path.glob("arrays/*")
    flip(path, at)
    assert opened(tmp_path).done("a/open/v", "d"), "its size is right"
    for _ in range(2):  # the retry of a halved batch asks again
        with pytest.raises(DamagedArrays, match=r"arrays of a/open/v are damaged or gone.*run the same command again"):
            store.arrays(record)
    assert store.get("a/open/v", "d") == record, "what its line says is whole"
    again = opened(tmp_path)
    assert not again.done("a/open/v", "d")
    again.append(record, {"x": np.arange(100.0)})
    assert opened(tmp_path).arrays(record)["x"].tolist() == list(range(100))


def test_arrays_that_were_exchanged_are_found_on_reading(tmp_path: Path) -> None:
    store, records = opened(tmp_path), [Record(key, "d", {}) for key in "ab"]
    for number, record in enumerate(records):
        store.append(record, {"x": np.full(9, float(number))})
    exchange(tmp_path / "arrays")
    again = opened(tmp_path)
    for record in records:
        with pytest.raises(DamagedArrays):
            again.arrays(record)


def exchange(folder: Path) -> None:
    one, other = of_one_size(folder)
    one.rename(folder / "kept")
    other.rename(one)
    (folder / "kept").rename(other)


def test_a_file_that_cannot_be_opened_is_left_where_it_is(tmp_path: Path) -> None:
    store, record = opened(tmp_path), Record("a", "d", {"x": 1})
    store.append(record, {"x": np.ones(2)})
    assert store.get("a", "d") == record  # its journal is open
    with files_at_most(3):
        with pytest.raises(OSError, match="Too many open files") as raised:
            store.arrays(record)
        assert raised.value.errno == errno.EMFILE
        fresh = Store(tmp_path)
        with pytest.raises(UserError, match=r"cannot be read \(Too many open files\): .* run the same command again"):
            fresh.read()
    fresh.read()
    assert fresh.get("a", "d") == record
    assert store.arrays(record)["x"].tolist() == [1, 1]
    assert not list(tmp_path.rglob("*.damaged"))


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Path], bool]) -> list[Path]:
    """Reading a file of arrays ends with EIO where `fails` says so; the files that were asked for, in order."""
    read, asked = Path.read_bytes, []

    def broken(path: Path) -> bytes:
        if path.suffix == ".npz":
            asked.append(path)
            if fails(path):
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    return asked


def test_one_failed_read_of_arrays_costs_nothing(
    models: Path, outputs: Path, finished: tuple[Path, Result, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_lines(outputs)["generate"]
    with monkeypatch.context() as patched:
        asked = failing(patched, lambda _: len(asked) == 1)
        result = run(models, outputs, "limit=2", OTHER)
    assert len(asked) > 1
    assert not result.failures and scores_of(result) == scores_of(finished[2])
    assert not list(outputs.rglob("*.damaged")) and count_lines(outputs)["generate"] == before


def test_arrays_that_cannot_be_read_are_failures_until_they_can(
    models: Path, outputs: Path, finished: tuple[Path, Result, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = count_lines(outputs)["generate"]
    bad = next(outputs.glob("stages/generate/*/arrays/*.npz"))
    with monkeypatch.context() as patched:
        failing(patched, lambda path: path == bad)
        result = run(models, outputs, "limit=2", OTHER)
    is_told(result, "extract failed: OSError: [Errno 5] Input/output error")
    mended = run(models, outputs, "limit=2", OTHER)
    assert not mended.failures and scores_of(mended) == scores_of(finished[2])
    assert not list(outputs.rglob("*.damaged")) and count_lines(outputs)["generate"] == before


def is_told(result: Result, reason: str) -> None:
    """Masks are lacking for this reason, and so the run says wherever it says anything; all answers are there."""
    lost = [s for s in scores_of(result) if s["reason"].startswith(reason)]
    assert lost and all(s["row"] and s["iou"] is None for s in lost)
    assert len(result.failures) == len(lost)
    assert json.loads((result.folder / "metrics.json").read_text())["failures"] == len(lost)
    _, _, told = (result.folder / "report.md").read_text().partition("## Failures")
    assert reason.split(": ")[1] in told


@pytest.mark.parametrize("damage", [lambda folder: [flip(path) for path in folder.iterdir()], exchange])
def test_arrays_that_have_changed_are_failures_and_computed_again_by_the_next_run(
    models: Path, outputs: Path, finished: tuple[Path, Result, Result], damage: Callable[[Path], None]
) -> None:
    before = count_lines(outputs)["generate"]
    (folder,) = outputs.glob("stages/generate/*/arrays")
    damage(folder)
    result = run(models, outputs, "limit=2", OTHER)
    is_told(result, "extract failed: DamagedArrays: the stored arrays of ")
    damaged = len(list(outputs.rglob("*.damaged")))
    assert damaged  # those of prompts that no mask is asked of are not read
    mended = run(models, outputs, "limit=2", OTHER)
    assert not mended.failures and [stable(s) for s in scores_of(mended)] == [stable(s) for s in scores_of(finished[2])]
    assert count_lines(outputs)["generate"] == before + damaged


def stable(score: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a score says that no other size of a batch changes; a tie of peaks may be decided otherwise."""
    return score["key"], score["row"], score["response"], score["correct"], score["iou"] is None


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("generate", b'"text":"', b'"text":"A'),
        ("generate", b'"text":"', b'"txet":"'),
        ("extract", b'"counts":"', b'"counts":"~'),
        ("select", b'"index":0', b'"index":1'),
        ("select", b'"digest":"', b'"digest":"0'),
        ("grade", b'"correct":', b'"correct":"no","right":'),
    ],
)
def test_a_line_that_has_changed_is_computed_again(
    models: Path,
    outputs: Path,
    finished: tuple[Path, Result, Result],
    stage: str,
    old: bytes,
    new: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.rmtree(outputs / "runs")
    before = count_lines(outputs)
    path = next(p for p in sorted(outputs.glob(f"stages/{stage}/*/journal-*.jsonl")) if old in p.read_bytes())
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    result = run(models, outputs, "limit=2")
    assert scores_of(result) == scores_of(finished[1])
    assert count_lines(outputs) == before | {stage: before[stage] + 1}
    assert "1 lines are damaged and count as never written" in caplog.text


def test_a_score_without_a_record_is_a_failure(models: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However that came to be."""
    shutil.rmtree(outputs / "runs")
    get = Store.get

    def forgetful(store: Store, key: str, digest: str) -> Any:
        return None if store.folder.parts[-2] == "grade" else get(store, key, digest)

    monkeypatch.setattr(Store, "get", forgetful)
    result = run(models, outputs, "limit=2")
    assert len(result.failures) == 2 and all("grade failed: it has left no record" in f for f in result.failures)
    assert "## Failures" in (result.folder / "report.md").read_text()
