"""`pixfound-data check`: a table with one fault of each kind, and boxes of every other convention than declared."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.data.cli import main
from pixfound.benchmarks.table.coordinate_conventions import CONVENTIONS, Convention, other_convention, read_boxes

NAMES = ("image", "id", "question", "options", "answer", "expression", "region")
COLUMNS = f"{{{', '.join(f'{name}: {name}' for name in NAMES)}}}"
GOOD = {
    "image": "a.png",
    "question": "Is it red?",
    "options": "yes|no",
    "answer": "a",
    "expression": "the door",
    "region": [10, 5, 30, 20],
    "pair": "p",
}
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"image": "gone.png"}, r"gone.png \(of example 0\): cannot be read .*; put it there"),
    ({"image": "cut.png"}, r"cut.png \(of example 1\): cannot be read \(.*truncated.*\)"),
    (
        {"image": "tall.png", "size": "40x30"},
        r"entry 2: column `image`: 'tall.png' is of 30 x 40 pixels, the table says 40 x 30; it is turned",
    ),
    ({"region": [30, 5, 10, 20]}, r"entry 3: column `region`: .*swapped corners; it would fit with order=xywh"),
    ({"region": [50, 5, 60, 20]}, r"entry 4: column `region`: .*lies outside the image of 40 x 30 pixels"),
    ({"region": [10, 5, 60, 20]}, r"example 5: the box \[10, 5, 60, 20\] reaches over the edge of 40 x 30"),
    ({"answer": "yes"}, r"entry 6: column `answer`: 'yes' is no letter .*answer.form=text"),
    ({"id": "5"}, r"entry 7: the id '5' stands in an earlier row too \(.*entry 5\)"),
    ({"pair": "alone"}, "pair 'alone' has one example alone"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stream = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    (tmp_path / "cut.png").write_bytes(stream.getvalue()[:1500])
    Image.new("RGB", (30, 40)).save(tmp_path / "tall.png")
    return tmp_path


def check(folder: Path, rows: list[dict[str, Any]], *more: str) -> int:
    (folder / "rows.json").write_text(json.dumps(rows))
    columns = f"benchmark.columns={COLUMNS}"
    with pytest.raises(SystemExit) as exit:
        main(["check", "benchmark=paired_table", f"benchmark.rows={folder / 'rows.json'}", columns, *more])
    return int(exit.value.code or 0)


def test_each_fault_is_named_with_its_cure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**GOOD, "pair": f"p{n // 2}", "id": str(n), "size": "40x30", **row} for n, (row, _) in enumerate(FAULTS)]
    rows += [{**GOOD, "pair": f"p{n // 2}", "id": f"{n}+", "size": "40x30"} for n in range(len(FAULTS) - 1)]
    page = folder / "sheet.html"
    more = ("+benchmark.columns.pair=pair", "+benchmark.columns.size=size", "--page", str(page))
    assert check(folder, [{**row, "pair": None} if row["pair"] != "alone" else row for row in rows], *more) == 2
    out = capsys.readouterr().out
    for _, message in FAULTS:
        assert re.search(message, out), message
    assert f"{len(rows) - 5} examples, 3 pictures, {len(FAULTS)} problems" in out
    text = page.read_text()
    assert "swapped corners" in text
    shown = [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^']+)'", text)]
    assert (40, 30) in {image.size for image in shown}
    assert "http" not in text


def test_nothing_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(folder, [{**GOOD, "id": str(n)} for n in range(3)]) == 0
    assert "3 examples, 1 pictures, no problems" in capsys.readouterr().out
    assert check(folder, [{**GOOD, "id": "0", "region": [1]}]) == 2
    assert "no row makes an example" in capsys.readouterr().err


@pytest.mark.parametrize("true", CONVENTIONS, ids="-".join)
def test_boxes_of_another_convention_say_which(true: Convention) -> None:
    """Random boxes in images of several sizes, written in one convention; all others are declared in turn."""
    rng = np.random.default_rng(1)
    sizes = [(int(h), int(w)) for h, w in rng.integers(300, 900, (200, 2))]
    corner = rng.uniform(0.02, 0.55, (200, 2))
    extent = np.array(sizes)[:, ::-1]
    corners = np.hstack([corner, corner + rng.uniform(0.1, 0.4, (200, 2))]) * np.tile(extent, 2)
    side = extent.max(axis=1, keepdims=True)
    written = corners + np.tile((side - extent) / 2, 2) if true.frame == "square" else corners
    across = np.tile(np.hstack([side, side]) if true.frame == "square" else extent, 2)
    written = {"pixels": written, "0-1": written / across, "0-1000": 1000 * written / across}[true.scale].copy()
    if true.order == "xywh":
        written[:, 2:] -= written[:, :2]
    assert np.allclose(read_boxes(written, sizes, true), corners)
    assert other_convention(written.tolist(), sizes, true) == ""
    for declared in CONVENTIONS:
        said = other_convention(written.tolist(), sizes, declared)
        if declared.scale == "0-1" != true.scale:
            assert said  # thousands of pixels beside the image
        assert not said or ", ".join(true) in said
