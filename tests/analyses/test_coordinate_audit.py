"""A model that writes boxes in one format and is read in another."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixfound.analyses.coordinate_audit import CoordinateAudit
from pixfound.extractors.text import TextBox
from pixfound.types import Generation
from pixfound.types.masks import RLE
from tests.extractors.test_text import BoxSegmenter
from tests.support.examples import make_example

HEIGHT, WIDTH, RESIZED = 300, 400, (448, 616)


def make_run(write: Any, format: str, count: int = 12) -> Any:
    """A run whose model writes the right boxes, as `write(box in pixels)` has them; the last object is absent."""
    rng, items, said = np.random.default_rng(0), [], []
    for i in range(count):
        x0, y0 = int(rng.integers(10, 200)), int(rng.integers(10, 150))
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
        mask[y0 : y0 + 90, x0 : x0 + 120] = i < count - 1
        items.append(SimpleNamespace(index=i, example=make_example(RLE.encode(mask), id=str(i))))
        box = write(np.array([x0, y0, x0 + 120, y0 + 90], dtype=float))
        said.append(Generation(f"Here: {[round(float(v), 3) for v in box]}", (HEIGHT, WIDTH), input_size=RESIZED))
    extractors = {name: TextBox(BoxSegmenter(), format) for name in ("text_box", "each_box")}
    return SimpleNamespace(
        examples=items,
        parts=SimpleNamespace(extractors={name: SimpleNamespace(built=one) for name, one in extractors.items()}),
        scores=SimpleNamespace(cluster_of=np.arange(count)),
        answer=lambda item, kind: said[item.index] if kind == "ground" else None,
    )


def thousandths(box: Any) -> Any:
    return box / [WIDTH, HEIGHT, WIDTH, HEIGHT] * 1000


WRITTEN = {
    "pixels": lambda box: box,
    "pixels of the model's input": lambda box: box * np.tile([RESIZED[1] / WIDTH, RESIZED[0] / HEIGHT], 2),
    "0-1000, y before x": lambda box: thousandths(box)[[1, 0, 3, 2]],
    "0-1000 of the padded square": lambda box: (box + np.array([0, 50, 0, 50])) / WIDTH * 1000,
}


@pytest.mark.parametrize("reading", WRITTEN)
def test_the_reading_that_fits_is_named_and_not_taken(reading: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = CoordinateAudit(resamples=200).compute(make_run(WRITTEN[reading], "list_1000"))
    assert list(found) == ["text_box"]  # each_box reads the same
    about = found["text_box"]
    assert (about["declared"], about["better"]) == ("0-1000", reading)
    assert about["readings"][reading]["iou"]["value"] > 0.98 > 0.08 + about["readings"]["0-1000"]["iou"]["value"]
    assert (about["answers"], about["with_box"], about["readings"][reading]["iou"]["count"]) == (12, 12, 11)
    text = "\n".join(CoordinateAudit().sections(found))
    for told in (caplog.text, text):
        assert f"as {reading} " in told and "extraction.extractors.text_box.format=NAME" in told


def test_the_declared_reading_brings_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    found = CoordinateAudit(resamples=200).compute(make_run(thousandths, "list_1000"))
    assert found["text_box"]["better"] is None and not caplog.text
    assert found["text_box"]["readings"]["0-1000"]["iou"]["value"] > 0.98
    assert found["text_box"]["readings"]["0-1000"]["difference"] is None


def test_shares_count_coordinates_and_boxes() -> None:
    boxes = iter([(0.5, 0.5, 1.0, 1.0), (350, 299, 100, 301), (-1, 2, 1001, 3)])
    about = CoordinateAudit(resamples=200).compute(make_run(lambda box: np.array(next(boxes)), "list_1000", 3))[
        "text_box"
    ]
    of = {name: round(12 * share) for name, share in about["shares"].items()}
    assert of == {"over_1": 7, "over_side": 2, "over_1000": 1, "negative": 1, "swapped": 4}  # 1 of 3 boxes


def test_it_does_not_apply_where_no_box_is_written() -> None:
    run = make_run(lambda box: [], "list_1000")
    assert CoordinateAudit().compute(run) == {}
    run.parts.extractors = {"attention": SimpleNamespace(built=object())}
    assert CoordinateAudit().compute(run) == {}


def test_boxes_that_fit_by_chance_bring_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Large random boxes overlap with much, and a few answers are few."""
    rng = np.random.default_rng(15)

    def anywhere(box: Any) -> Any:
        corner = rng.uniform(0, 300, 2)
        return np.array([*corner, *(corner + rng.uniform(40, 300, 2))])

    found = CoordinateAudit(resamples=200).compute(make_run(anywhere, "list_1000", 20))["text_box"]
    differences = [of["difference"] for of in found["readings"].values() if of["difference"]]
    assert max(d["value"] for d in differences if d["low"] > 0) > 0.1  # without a look at chance it would warn
    few = CoordinateAudit(resamples=200).compute(make_run(lambda box: box, "list_1000", 5))["text_box"]
    assert few["readings"]["pixels"]["iou"]["value"] == 1.0
    assert (found["better"], few["better"], caplog.text) == (None, None, "")
