"""One thing in an image that is not square, whose box is known, and models that are made to say where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.interfaces import Benchmark, Box, Point, Segmenter, SegmenterMasks
from pixfound.types.masks import RLE
from tests.support.examples import ArrayImage, make_example
from tests.support.run import QUIET, config_of

SIZE = (160, 256)  # (H, W)
BOX = (68, 32, 204, 108)  # (x0, y0, x1, y1) in pixels
MIDDLE = (136, 70)


def one_thing() -> Benchmark:
    """A benchmark of that example alone."""
    mask = RLE.encode(rectangle(*BOX))
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return Benchmark([make_example(mask, image=ArrayImage(pixels), expression="the thing")])


def rectangle(x0: float, y0: float, x1: float, y1: float) -> npt.NDArray[np.bool_]:
    """(H, W) the pixels whose middles lie in a box."""
    rows, columns = np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5
    return np.outer((rows > y0) & (rows < y1), (columns > x0) & (columns < x1))


class Drawing(Segmenter):
    """A segmenter that draws a box as it is, and around a point a box of the thing's size."""

    def box_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Box]]]) -> Iterator[SegmenterMasks]:
        for image, boxes in requests:
            assert (image.height, image.width) == SIZE
            masks = np.stack([rectangle(*box) for box in boxes])[:, None]
            yield SegmenterMasks(masks, np.ones(masks.shape[:2], np.float32))

    def point_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Point]]]) -> Iterator[SegmenterMasks]:
        wide, high = BOX[2] - BOX[0], BOX[3] - BOX[1]
        around = [
            (image, [(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2) for x, y in points])
            for image, points in requests
        ]
        return self.box_masks(around)


def made_to_say(ids: Sequence[int]) -> dict[str, Any]:
    """Arguments of `generate` with which any model writes these tokens, the last of which ends its answer.

    After each beginning of the answer the next token is so much likelier that nothing else can be; a longer beginning
    outweighs all the shorter ones that it ends with.
    """
    bias = [[list(ids[: i + 1]), 1e3 * 2.0**i] for i in range(len(ids))]
    return {"sequence_bias": bias, "suppress_tokens": [], "max_new_tokens": len(ids) + 1, "do_sample": False}


def masks_for(outputs: Path, model: Mapping[str, Any], extraction: str, format: str, *more: str) -> list[RLE]:
    """Run a model over that example, and the masks that the row `extraction` has for the request for a mask."""
    config = config_of(
        f"extraction={extraction}", f"extraction.extractors.{extraction}.format={format}",
        "scoring.resamples=100", *QUIET, f"outputs_dir={outputs}", *more,
    )  # fmt: skip
    bundle = config["extraction"]
    alone = {kind: {extraction: bundle[kind][extraction]} for kind in ("extractors", "rows")}
    own = {
        "benchmark": {"_target_": "tests.support.places.one_thing"},
        "segmenter": {"_target_": "tests.support.places.Drawing"},
        "model": dict(model),
        "extraction": {**bundle, **alone},
    }
    result = evaluate({**config, **own})
    assert not result.failures
    (journal,) = outputs.glob("stages/extract/*/journal-*.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    (found,) = [record["value"] for record in records if "/ground/" in record["key"]]
    return [RLE.from_json(candidate["mask"]) for candidate in found["candidates"]]


def box_of(mask: RLE) -> list[int]:
    """(x0, y0, x1, y1) in pixels around a mask."""
    ys, xs = mask.decode().nonzero()
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
