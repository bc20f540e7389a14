"""Models and benchmarks that say what terminals, browsers, tables and encoders act on: it is kept, shown, and inert."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.compare.cli import main as compare_main
from pixfound.apps.evaluate import main
from tests.support.command import run_command
from tests.support.forked import run_forked
from tests.support.talker import Talker

ROOT = Path(__file__).parents[1]
SAID = (
    "a red \ud83d square <script>alert(1)</script> | and `the big circle`\u2028 on\x85 the\x1b[31m left\r\n# side "
    "[x](javascript:alert(1)) ![y](http://tracker.example/a.png) [/red] \x1b]8;;http://a.example\x07 \udfff"
)
TAG = "<script>\x1b[31m![z](http://tracker.example/a.png) `tag`"
NAME = "h<b>[x](javascript:y)"  # a name of a folder: printable
IDS = ["../../up", "/abs", "two\nlines\x1b[2J", "a|b`c`<b>", "nul\0", "x" * 5000, "lost\x1b[31m/open", "..", "[/red]"]
ACTS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028]")  # in plain text; tabs and the ends of lines are


class Hostile(Talker):
    """Says SAID."""

    def __init__(self, vectors_of: str) -> None:
        super().__init__(SAID, vectors_of)


def write_benchmark(folder: Path) -> list[str]:
    """An example for each id, without pairs; the image of `lost` is cut short. Returns the overrides that read it."""
    folder.mkdir()
    images, rows = [], []
    for number, name in enumerate(IDS):
        file = f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / file)
        if name.startswith("lost"):
            (folder / file).write_bytes((folder / file).read_bytes()[:200])
        images.append({"id": number, "file_name": file, "height": 24, "width": 24})
        texts = [f"What? {SAID[:2]}\x1b[1m|", "red|\x1b[3mblue", "a", "the `red`\x1b[4m <b>thing</b>"]
        rows.append([name, file, *texts, f"v{number % 2}\x1b[1m<b>"])
    boxes = [{"id": i, "image_id": i, "segmentation": [[4, 4, 18, 4, 18, 18, 4, 18]]} for i in range(len(IDS))]
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["id", "image", "question", "options", "answer", "expression", TAG], *rows])
    names = {"annotations": "coco.json", "questions": "table.csv", "images": "."}
    return ["benchmark=paired_coco", *(f"benchmark.{key}={folder / name}" for key, name in names.items())]


def compared(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return run_command(compare_main, *arguments, **more)


@pytest.fixture(scope="module")
def done(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run and another of fewer examples, with all that they printed and all files that there are."""
    folder = tmp_path_factory.mktemp("hostile")
    over = [*write_benchmark(folder / "data"), f"outputs_dir={folder / 'out'}", "scoring.resamples=100"]
    over += ["~model", f"+model={{_target_:tests.test_hostile_text.Hostile,vectors_of:{models / 'llava'}}}"]
    over += [f'names.model="{NAME}"', f"segmenter.path={models / 'sam'}", "report.pictures=9", "max_failures=50"]
    over += ["tracker=wandb", "tracker.mode=offline"] if "wandb" in _installed() else []
    whole = run_forked(*over)
    less = run_command(main, *over, "limit=5", encoding="ascii")
    runs = {len(scores(f)): f.parent for f in folder.glob("out/runs/*/*/*/*/scores.jsonl")}
    return {"folder": folder, "printed": (whole, less), "run": runs[max(runs)], "less": runs[min(runs)]}


def _installed() -> list[str]:
    from importlib.util import find_spec

    return [name for name in ("wandb",) if find_spec(name)]


def scores(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as stream:
        return [json.loads(line) for line in stream]


def test_all_that_can_be_scored_is_and_what_was_said_is_kept(done: dict[str, Any]) -> None:
    found = scores(done["run"] / "scores.jsonl")
    assert {s["example_id"] for s in found} == set(IDS)
    kept = [s for s in found if not s["example_id"].startswith("lost")]
    assert all(s["response"] == SAID for s in kept if s["row"] is None)
    assert all(s["iou"] is not None for s in kept if s["row"] is not None)
    assert all("failed: " in s["reason"] for s in found if s["example_id"].startswith("lost"))
    whole, less = done["printed"]
    assert whole.returncode == 2 and "scores are missing because of failures" in whole.stderr
    assert less.returncode == 0, less.stderr
    metrics = json.loads((done["run"] / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["failures"] == len([s for s in found if "failed: " in s["reason"]])


def test_nothing_is_written_beside_the_outputs(done: dict[str, Any]) -> None:
    folder = done["folder"]
    assert sorted(p.name for p in folder.iterdir()) == ["data", "out"]
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["runs", "stages"]
    assert len(list((folder / "data").iterdir())) == len(IDS) + 2
    names = [p.name for p in (folder / "out").rglob("*")]
    assert max(map(len, names)) < 100 and not [name for name in names if ACTS.search(name)]


def test_reports_are_harmless_in_every_place(done: dict[str, Any], tmp_path: Path) -> None:
    told = compared(str(done["run"]), str(done["less"]), "--markdown", f"{tmp_path}/c.md")
    assert told.returncode == 0, told.stderr
    for path in (done["run"] / "report.md", tmp_path / "c.md"):
        text = path.read_text(encoding="utf-8")
        assert not ACTS.search(text), path
        assert not [evil for evil in ("<script", "<b>", "](javascript", "](http", "\n# side") if evil in text], path
    assert "lost [31m/open/ground" in (done["run"] / "report.md").read_text(encoding="utf-8")
    assert "left out, missing in B: " in (tmp_path / "c.md").read_text(encoding="utf-8")
    with Image.open(done["run"] / "pictures.png") as sheet:
        assert sheet.height > 8 * 150


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_no_terminal_is_moved_and_none_is_too_simple(done: dict[str, Any], encoding: str) -> None:
    told = compared(str(done["run"]), str(done["less"]), encoding=encoding)
    assert told.returncode == 0, told.stderr
    for one in (*done["printed"], told):
        assert "Traceback" not in one.stderr
        assert not ACTS.search(one.stdout.replace("\n", " "))
        assert not ACTS.search(re.sub(r"[\n\r]|\x1b\[A", " ", one.stderr))  # those of the bars


def test_the_table_that_is_published_holds_it_as_plain_text(done: dict[str, Any]) -> None:
    pytest.importorskip("wandb")
    (table,) = done["less"].rglob("*.table.json")
    found = json.loads(table.read_text(encoding="utf-8"))
    column = found["columns"].index("open")
    assert [line[column] for line in found["data"]] == [SAID] * 5


def test_what_libraries_log_and_warn_of_is_printable() -> None:
    lines = "import logging, warnings; from pixfound.io.terminal import prepare; prepare(); evil = 'a \\x1b[31m\\n b'\n"
    lines += "from transformers.utils import logging as theirs\n"
    lines += "theirs.get_logger('transformers.models.x').warning('config.json says %s', evil)\n"
    lines += "logging.getLogger('any').warning(evil); warnings.warn(evil)\n"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stderr.count("a  [31m  b") == 3 and not ACTS.search(done.stderr.replace("\n", " "))
