"""Presets over released annotations, without pictures: counts, regions inside their images, definitions of metrics."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixfound.benchmarks.table.columns import RegionColumn
from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.benchmarks.table.region_columns import box_of
from pixfound.config.factory import build
from pixfound.interfaces import Benchmark
from pixfound.scoring.comparison import Comparison
from pixfound.types import Candidate, Example
from pixfound.types.masks import RLE
from tests.scoring.test_official import figures
from tests.support.run import config_of

ANNOTATIONS = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data"))
COUNTS = {"dude": 602, "flickr30k": 1546, "gqa": 978, "openimages": 945, "sroie": 686, "textcap": 853, "textvqa": 526}
OUTSIDE = 21  # boxes of dude that lie beside their page in both systems


def preset(name: str, *overrides: str) -> PairedTable:
    """A preset over released annotations."""
    if not (ANNOTATIONS / name).is_dir():
        pytest.skip(f"no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds {name}/")
    root = f"benchmark.root={ANNOTATIONS / name}"
    config = config_of(f"benchmark={name}", root, "benchmark.images=none", *overrides)["benchmark"]
    table = build(config, "benchmark", Benchmark).built
    assert isinstance(table, PairedTable)
    return table


@pytest.fixture(scope="module")
def visual_cot() -> PairedTable:
    return preset("visual_cot")


def test_visual_cot_by_source(visual_cot: PairedTable) -> None:
    table = visual_cot
    assert Counter(example.tags["dataset"] for example in table) == COUNTS
    ((where, fault),) = table.faults
    assert where.endswith("dude.json, entry 243")
    assert "conversations.3.value" in str(fault)
    assert len({example.id for example in table}) == len(table)
    assert {example.kinds for example in table} == {("open", "ground")}
    first = next(example for example in table if example.id == "gqa-7")
    assert (first.question, first.answers) == ("What are the tree branches in front of?", ("window",))
    assert first.boxes == ((217.0, 343.0, 242.0, 393.0),)
    assert not any("bounding box" in example.question or "<image>" in example.question for example in table)
    assert len(preset("visual_cot", "benchmark.rows=gqa.json", "benchmark.where={question_id:[7,8]}")) == 2


def image_size(pixels: list[float], square: list[float]) -> tuple[int, int] | None:
    """(H, W) of the image whose box both systems describe, from the box alone: the padding is along one axis.

    None where the box is too small in the padded square's three digits to say.
    """
    (x0, y0, x1, y1), (u0, v0, u1, v1) = pixels, square
    for swapped, ((a1, b1), (p0, p1, q0, q1)) in enumerate(
        [((x1, u1), (y0, y1, v0, v1)), ((y1, v1), (x0, x1, u0, u1))]
    ):
        if b1 < 0.2:
            continue
        side = a1 / b1
        pad = ((q0 + q1) * side - (p0 + p1)) / 2
        tolerance = 1 + side * 0.0011
        other = (x0 - u0 * side) if not swapped else (y0 - v0 * side)
        if abs(other) <= tolerance and abs((q1 - q0) * side - (p1 - p0)) <= 2 * tolerance and pad >= -tolerance:
            short = round(side - 2 * max(pad, 0))
            return (round(side), short) if swapped else (short, round(side))
    return None


def test_both_coordinate_systems_of_visual_cot_agree(visual_cot: PairedTable) -> None:
    table = visual_cot
    square = RegionColumn(scale="0-1", frame="square")
    boxes = {example.id: example.boxes[0] for example in table}
    agreed, unknown, apart = 0, 0, list[str]()
    for source in COUNTS:
        for row in json.loads((ANNOTATIONS / "visual_cot" / f"{source}.json").read_text()):
            pixels = boxes.get(f"{source}-{row['question_id']}")
            written = json.loads(row["conversations"][1]["value"])
            size = image_size(list(pixels), written) if pixels else None
            if pixels is None or size is None:
                unknown += 1
                continue
            try:
                box = box_of(written, square, size)
                near = np.allclose(box, pixels, atol=2 + 0.003 * max(size))
            except ValueError:
                near = False
            agreed += near
            apart += [] if near else [f"{source}-{row['question_id']}"]
    assert {id.partition("-")[0] for id in apart} == {"dude"}
    assert len(apart) == OUTSIDE
    assert agreed > 0.9 * len(table), (agreed, unknown)


@pytest.fixture(scope="module")
def gseval() -> PairedTable:
    return preset("gseval")


def test_gseval_regions_are_those_of_its_boxes(gseval: PairedTable) -> None:
    assert Counter(example.tags["class"] for example in gseval) == {"1": 506, "2": 227, "3": 385, "4": 740}
    assert {example.kinds for example in gseval} == {("ground",)}
    for example in gseval:
        height, width = example.gt_mask.size
        ((x0, y0, x1, y1),) = example.boxes
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert example.gt_mask.area > 0
    # The boxes are somewhat larger than the masks, as detectors draw them, and some are not theirs.
    apart = [np.abs(np.array(around(e)) - e.boxes[0]).max() / max(e.gt_mask.size) for e in gseval]
    assert np.median(apart) < 0.007
    assert np.mean(np.array(apart) > 0.05) < 0.02


def around(example: Example) -> tuple[int, int, int, int]:
    mask: Any = example.gt_mask.decode()
    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1


def test_predictors_that_need_no_model(gseval: PairedTable, visual_cot: PairedTable) -> None:
    """Always right and always empty, by the official metrics: 1 and 0, for nothing in these sets is absent."""
    for table, names in (
        (gseval[::10], ("miou", "giou", "ciou", "written_box_acc@0.5", "pr@0.9")),
        (visual_cot[::40], ("written_box_iou", "miou")),
    ):
        right = [Comparison(e, e.gt_mask, Candidate(e.gt_mask, box=e.boxes[0])) for e in table]
        empty = [Comparison(e, RLE.empty(e.gt_mask.size), missing=True) for e in table]
        assert figures(right, *names) == {name: pytest.approx(1) for name in names}
        assert figures(empty, *names) == dict.fromkeys(names, 0)
        assert set(figures(empty, "miou:skip_missing").values()) == {None}  # nothing is left to count
