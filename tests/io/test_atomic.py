"""Files of a run on a disk that is full, and what killed processes have left."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pixfound.apps import evaluate
from pixfound.apps.certify import cli
from pixfound.errors import UserError
from pixfound.io.atomic import remove_leftovers, write_atomic, write_picture
from tests.support.forked import run_forked
from tests.support.run import slow_model

GONE = 2**22 + 1  # more than Linux gives out


def limited(main: Callable[[], object], line: list[str], kilobytes: int) -> subprocess.CompletedProcess[str]:
    """A command none of whose files may be larger, as on a disk that is full then."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))
        main()

    return run_forked(*line, work=work)


def test_a_disk_that_is_full_when_the_pictures_are_saved_is_one_line(tmp_path: Path) -> None:
    line = [*slow_model(tmp_path / "conf", 0), "extraction=trivial"]
    line += ["benchmark.pairs=2", "scoring.resamples=100", f"outputs_dir={tmp_path / 'out'}"]
    done = limited(evaluate.main, line, 30)
    (said,) = [text for text in done.stderr.splitlines() if text.startswith("pixfound: ")]
    assert "pictures.png: cannot be written (File too large): make room on the disk" in said
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    assert run_forked(*line).returncode == 0


def test_a_certificate_on_a_full_disk_is_one_line(models: Path, tmp_path: Path) -> None:
    line = ["model=hf", "model.dtype=float32", f"model.path={models / 'llava'}", f"outputs_dir={tmp_path}"]
    done = limited(cli.main, line, 8)
    assert done.stderr.startswith("pixfound: ") and len(done.stderr.splitlines()) == 1, done.stderr
    assert "certificate.png: cannot be written (File too large)" in done.stderr
    assert done.returncode == 2 and not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("what", ["text", "picture"])
def test_what_is_broken_off_leaves_nothing_and_what_was_there_stays(what: str, tmp_path: Path) -> None:
    def interrupted():  # type: ignore[no-untyped-def]
        yield "half"
        raise KeyboardInterrupt

    class Interrupted(Image.Image):
        def save(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    path = tmp_path / "a"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        if what == "text":
            write_atomic(path, interrupted())
        else:
            write_picture(path, Interrupted())
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_temporary_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    names = (f".metrics.json.{GONE}.tmp", f".probe.{GONE}", f"{'ab' * 16}.{GONE}.tmp")
    kept = (
        f".metrics.json.{os.getpid()}.tmp",
        "metrics.json",
        ".holder.json",
        "journal-0000.jsonl",
        "mine.tmp",
        ".tmp",
    )
    for name in (*names, *kept, f".probe.{os.getppid()}"):
        (tmp_path / name).touch()
    long_ago = time.time() - 2 * 86400
    os.utime(tmp_path / f".probe.{os.getppid()}", (long_ago, long_ago))
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
    remove_leftovers(tmp_path, {os.getpid()})
    assert f".metrics.json.{os.getpid()}.tmp" not in os.listdir(tmp_path)
    remove_leftovers(tmp_path / "nowhere")


def test_the_next_run_removes_them(models: Path, tmp_path: Path) -> None:
    from tests.support.run import run

    run(models, tmp_path, "limit=2")
    (stage,), (cell,) = tmp_path.glob("stages/generate/*"), tmp_path.glob("runs/*/*/*/*")
    (cell / "metrics.json").unlink()  # it was killed before it had written all
    left = [cell / f".metrics.json.{GONE}.tmp", stage / f".stage.json.{GONE}.tmp", stage / f"arrays/ab.{GONE}.tmp"]
    for path in left:
        path.touch()
    run(models, tmp_path, "limit=2")
    assert not any(path.exists() for path in left)


def test_a_folder_that_cannot_be_written_names_the_cure(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"a: cannot be written \(Is a directory\)"):
        write_atomic(tmp_path / "a", "text")
