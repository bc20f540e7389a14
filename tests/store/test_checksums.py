"""A finished run has what it claims to have, or its folder is written again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pixfound.apps.compare.runs import read_run
from pixfound.apps.sensitivity.cells import read_cells
from pixfound.errors import UserError
from pixfound.store.checksums import SUMS, WRITTEN, changed
from tests.support.run import count_lines, run


@pytest.fixture(scope="module")
def finished(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Outputs and the run's folder in them; copy them before changing anything."""
    outputs = tmp_path_factory.mktemp("finished")
    result = run(models, outputs, "limit=2")
    return outputs, result.folder.relative_to(outputs)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = max(data.rfind(digit) for digit in b"0123456789")  # a number is another one, and all is read as before
    data[at] ^= 1
    path.write_bytes(data)


def holding(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink, holding(b""), holding(b"\xff  \0\n\n  \n")])
@pytest.mark.parametrize("name", [*WRITTEN, "pictures.png", "SHA256SUMS"])
def test_any_change_of_any_file_is_seen(
    finished: tuple[Path, Path], tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    folder = Path(shutil.copytree(finished[0] / finished[1], tmp_path / "run"))
    (folder / "my notes.txt").write_text("of no run")
    assert changed(folder) == []
    damage(folder / name)
    found = changed(folder)
    assert len(found) == 1 and (found == [name] or (name, damage) == ("SHA256SUMS", flip))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("scores.jsonl", damage) for damage in (cut, flip, Path.unlink)),
        *(("metrics.json", damage) for damage in (cut, flip, Path.unlink, holding(b""), holding(b"null"))),
        *(("SHA256SUMS", damage) for damage in (cut, Path.unlink)),
        ("report.md", cut),
        ("config.yaml", Path.unlink),
    ],
)
def test_a_file_that_has_changed_is_written_again_and_nothing_is_computed(
    models: Path,
    finished: tuple[Path, Path],
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    outputs = Path(shutil.copytree(finished[0], tmp_path / "outputs"))
    folder, lines = outputs / finished[1], count_lines(outputs)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    damage(folder / name)
    mended = run(models, outputs, "limit=2")
    assert not mended.was_complete and mended.metrics["examples"] == 2
    assert count_lines(outputs) == lines
    # outputs_dir is another one, and who writes; the provenance has one command more
    changing = ("config.yaml", "SHA256SUMS", ".holder.json", "provenance.json")
    for path, content in before.items():
        assert path.name in changing or path.read_bytes() == content, path
    old, new = json.loads(before[folder / "provenance.json"]), json.loads((folder / "provenance.json").read_text())
    assert new["commands"][:-1] == old.pop("commands") and new.pop("commands")[-1]["date"]
    assert new == old
    assert changed(folder) == []
    assert run(models, outputs, "limit=2").was_complete
    if (name, damage) == ("metrics.json", Path.unlink):
        assert not caplog.text, "as a run that was killed leaves it"
    else:
        assert f"{folder}: {name} not as the run has written it: all is written again" in caplog.text


def test_a_pipe_in_place_of_a_file_is_a_changed_one(finished: tuple[Path, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished[0] / finished[1], tmp_path / "run"))
    (folder / "report.md").unlink()
    os.mkfifo(folder / "report.md")
    assert changed(folder) == ["report.md"]


def test_the_checksums_are_those_of_coreutils(finished: tuple[Path, Path]) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not there")
    folder = finished[0] / finished[1]
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=True)
    files = {path.name for path in folder.iterdir() if not path.name.startswith(".")} - {SUMS}
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == files >= {*WRITTEN, "pictures.png"}


def test_numbers_that_have_changed_are_neither_compared_nor_studied(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished[0] / finished[1], tmp_path / "run"))
    (folder / "report.md").write_text("my notes")
    assert read_run(folder) and read_cells([folder])
    for name in ("scores.jsonl", "metrics.json", "config.yaml"):
        good = (folder / name).read_bytes()
        flip(folder / name)
        for read in (read_run, lambda folder: read_cells([folder])):
            with pytest.raises(UserError, match=rf"{name}: is not as the run has written it; run the evaluation again"):
                read(folder)
        (folder / name).write_bytes(good)
    lines = (folder / "scores.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "scores.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    with pytest.raises(UserError, match="is not as the run has written it"):
        read_run(folder)
    (folder / "SHA256SUMS").unlink()
    assert read_run(folder), "it was changed on purpose"
