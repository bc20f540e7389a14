"""The whole pipeline over images of a single pixel and of more than PIL warns of, a corrupt one, and one that is said
to have more pixels than PIL reads.

PIL's limits are a ninth of its own here, and the large image has 10 million pixels: what takes time grows with them.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.evaluate import run
from pixfound.apps.evaluation import evaluate
from pixfound.errors import UserError
from pixfound.models.batch_memory import _peaks
from tests.support.examples import claim_size
from tests.support.pixel import DATA
from tests.support.random_text_prompted import SAVE
from tests.support.run import config_of, count_lines

SHARE = 9  # how much less PIL's limits are
LARGE = (3_340, 3_000)  # width, height: above the pixels that PIL warns of
BOMB = (6_700, 6_700)
LOST = {"half": "image file is truncated", "bomb": "exceeds limit of"}  # and why
LIMIT_KB = 960 * 2**10  # memory that a run over them may take, of which two thirds are taken without any image
GROWTH = 400 * 2**20  # bytes that other models and a run of theirs may add to those of this process
ENDS_WITH_MEMORY = """
import resource, sys
from PIL import Image
from pixfound.__main__ import main
Image.MAX_IMAGE_PIXELS //= SHARE
try:
    main()
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
""".replace("SHARE", str(SHARE))


def box(x0: int, y0: int, x1: int, y1: int) -> list[float]:
    return [x0, y0, x1, y0, x1, y1, x0, y1]


@pytest.fixture
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images in COCO's format, a red square on the large one; the corrupt one is half of a PNG file."""
    folder, size = tmp_path_factory.mktemp("odd"), LARGE
    square = (size[0] // 2, size[1] // 3, 3 * size[0] // 4, 2 * size[1] // 3)
    (folder / "images").mkdir()
    Image.new("RGB", (1, 1), (200, 30, 30)).save(folder / "images/dot.png")
    large = Image.new("RGB", size, (240, 240, 240))
    large.paste((200, 30, 30), square)
    large.save(folder / "images/large.jpg", quality=60)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(folder / "images/whole.png")
    (folder / "images/half.png").write_bytes((folder / "images/whole.png").read_bytes()[:2000])
    (folder / "images/bomb.png").write_bytes((folder / "images/whole.png").read_bytes())
    claim_size(folder / "images/bomb.png", BOMB)
    images = [("half.png", 64, 64), ("dot.png", 1, 1), ("large.jpg", *size), ("bomb.png", *BOMB)]
    boxes = [box(8, 8, 40, 40), box(0, 0, 1, 1), box(*square), box(8, 8, 40, 40)]
    coco = {
        "images": [{"id": i, "file_name": n, "width": w, "height": h} for i, (n, w, h) in enumerate(images)],
        "annotations": [{"id": i, "image_id": i, "segmentation": [b]} for i, b in enumerate(boxes)],
    }
    (folder / "coco.json").write_text(json.dumps(coco))
    with (folder / "table.csv").open("w", newline="") as stream:
        lines = [
            [name.partition(".")[0], name, "What colour is the square?", "red|blue", "a", "the red square"]
            for name, _, _ in images
        ]
        csv.writer(stream).writerows([["id", "image", "question", "options", "answer", "expression"], *lines])
    return folder


def overrides(folder: Path, outputs: Path, *more: str) -> list[str]:
    """The command line on the benchmark."""
    return [
        "benchmark=paired_coco",
        f"outputs_dir={outputs}",
        f"benchmark.annotations={folder}/coco.json",
        f"benchmark.questions={folder}/table.csv",
        f"benchmark.images={folder}/images",
        "scoring.resamples=100",
        "report.charts=false",
        *([] if "model=none" in more else ["model.generation.max_new_tokens=6"]),
        *more,
    ]


def scores(outputs: Path) -> list[dict[str, Any]]:
    (path,) = outputs.glob("runs/*/*/*/*/scores.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_odd_images_are_survived_named_and_tried_again(benchmark: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDS_WITH_MEMORY, *overrides(benchmark, tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    (peak,) = (int(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("peak "))
    assert done.returncode == 2, done.stderr
    assert "scores are missing because of failures" in done.stderr
    assert peak < LIMIT_KB, f"{peak / 2**20:.2f} GB"
    found = scores(tmp_path)
    for name, why in LOST.items():
        lost = [s for s in found if s["example_id"] == name]
        assert lost
        assert all("failed: " in s["reason"] and why in s["reason"] for s in lost)
        assert all(s["iou"] is None and s["correct"] is None for s in lost)
    kept = [s for s in found if s["example_id"] not in LOST]
    assert {s["example_id"] for s in kept} == {"dot", "large"}
    assert all(s["iou"] is not None for s in kept if s["row"])
    (report,) = tmp_path.glob("runs/*/*/*/*/report.md")
    assert "half/open" in report.read_text()
    with Image.open(report.with_name("pictures.png")) as sheet:
        assert sheet.width < 2_000
    (benchmark / "images/half.png").write_bytes((benchmark / "images/whole.png").read_bytes())
    asked = count_lines(tmp_path)["generate"]
    again = evaluate(config_of(*overrides(benchmark, tmp_path), "limit=1"))  # the others have been seen to
    assert not again.failures
    assert count_lines(tmp_path)["generate"] == asked + 3


PROMPTED = ("clipseg", "grounding_dino")  # a map, and boxes for the segmenter


def prompted(folder: Path) -> list[str]:
    """Overrides of text-prompted baselines, with random weights that find something everywhere."""
    over = ["model=none", "extraction=nulls", f"baseline=[{','.join(PROMPTED)}]"]
    for name in PROMPTED:
        SAVE[name](folder / name)
        over += [f"extraction.extractors.{name}.path={folder / name}", f"extraction.extractors.{name}.threshold=0.1"]
    return [*over, "extraction.extractors.grounding_dino.max_boxes=1"]


def lisa(_: Path) -> list[str]:
    return ["model=lisa_7b", f"model.path={DATA / 'lisa/model'}", f"model.vision_tower={DATA / 'lisa/clip'}"]


def sa2va(_: Path) -> list[str]:
    return ["model=sa2va_internvl3_2b", f"model.path={DATA / 'sa2va_internvl3/model'}"]


SETUPS: dict[str, tuple[Callable[[Path], list[str]], list[str]]] = {
    "text-prompted": (prompted, []),
    "lisa": (lisa, ["extraction=native"]),
    "sa2va": (sa2va, ["extraction=native"]),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_other_baselines_survive_them_too(
    setup: str, benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", (Image.MAX_IMAGE_PIXELS or 0) // SHARE)
    make, more = SETUPS[setup]
    over = make(tmp_path)
    over += [] if "model=none" in over else ["model.dtype=float32"]
    config = config_of(*overrides(benchmark, tmp_path / "out", "max_failures=50", *over, *more))

    def fail() -> None:
        with pytest.raises(UserError, match="scores are missing because of failures"):
            run(config)

    (grown,) = _peaks(fail, ["cpu"])
    assert grown < GROWTH, f"{grown / 2**20:.0f} MB"
    found = scores(tmp_path / "out")
    lost = [s for s in found if s["iou"] is None and s["row"] is not None]
    assert {s["example_id"] for s in lost} == set(LOST)
    assert all("failed: " in s["reason"] for s in lost)
    assert {s["example_id"] for s in found if s["iou"] is not None} >= {"dot", "large"}
    if setup == "text-prompted":
        assert {s["row"] for s in found if s["shown"]} >= set(PROMPTED)
