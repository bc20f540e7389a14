from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.evaluation import evaluate
from pixfound.config.factory import build
from pixfound.errors import UserError
from pixfound.extractors.text import TextBox, TextPoint
from pixfound.interfaces import Benchmark, SegmenterMasks
from pixfound.types import Generation
from tests.support.examples import PointSegmenter, drawn
from tests.support.run import config_of, random_models, scores_of

IMAGE = Image.new("RGB", (8, 4))


@dataclass
class BoxSegmenter(PointSegmenter):
    """Draws two masks for each box: the box (score 0.3) and its left top pixel (score 0.8)."""

    boxes: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def box_masks(self, requests):
        return (self._boxes(image, boxes) for image, boxes in requests)

    def _boxes(self, image, boxes):
        self.boxes.append(list(boxes))
        masks = np.zeros((len(boxes), 2, image.height, image.width), bool)
        for i, (x0, y0, x1, y1) in enumerate(boxes):
            masks[i, 0, int(y0) : int(y1), int(x0) : int(x1)] = True
            masks[i, 1, int(y0), int(x0)] = True
        return SegmenterMasks(masks, np.tile(np.array([0.3, 0.8], np.float32), (len(boxes), 1)))


def said(text, input_size=None):
    return Generation(text, (4, 8), input_size=input_size)


TWO = '[{"bbox_2d": [0, 0, 4, 2]}, {"bbox_2d": [12, 4, 16, 8]}]'  # of a picture twice as large
LEFT = drawn("##......", "........", "........", "........")
RIGHT = drawn("........", "........", "......##", "......##")
BOTH = drawn("##......", "........", "......##", "......##")
CORNERS = drawn("#.......", "........", "......#.", "........")


@pytest.mark.parametrize(
    ("pick", "mask", "score"), [("first", BOTH, 0.3), ("last", CORNERS, 0.8), ("best", CORNERS, 0.8)]
)
def test_boxes_are_united(pick, mask, score):
    (found,) = TextBox(BoxSegmenter(), "json_resized", pick=pick).extract_one(IMAGE, said(TWO, (8, 16)), "")
    assert found.mask == mask and found.score == pytest.approx(score)
    assert found.box is None and found.point is None  # there is no one place


def test_every_mask_of_every_box_may_be_a_candidate():
    segmenter = BoxSegmenter()
    found = TextBox(segmenter, "json_resized", "candidates").extract_one(IMAGE, said(TWO, (8, 16)), "")
    assert [c.mask for c in found[::2]] == [LEFT, RIGHT]
    assert [c.box for c in found] == [(0, 0, 2, 1)] * 2 + [(6, 2, 8, 4)] * 2
    assert [c.score for c in found] == pytest.approx([0.3, 0.8] * 2)
    assert len(segmenter.boxes) == 1  # one call for all
    (kept,) = TextBox(segmenter, "json_resized", "instances").extract_one(IMAGE, said(TWO, (8, 16)), "")
    assert [(part.mask, part.box) for part in kept.parts] == [(c.mask, c.box) for c in found[1::2]]


def test_points():
    text = '<points x1="25" y1="50" x2="75" y2="0">'
    (united,) = TextPoint(PointSegmenter(), "tags").extract_one(IMAGE, said(text), "")
    assert united.mask == drawn("......#.", "........", "..#.....", "........")
    each = TextPoint(PointSegmenter(), "tags", "candidates").extract_one(IMAGE, said(text), "")
    assert [c.point for c in each] == [(2, 2)] * 2 + [(6, 0)] * 2
    (kept,) = TextPoint(PointSegmenter(), "tags", "instances").extract_one(IMAGE, said(text), "")
    assert replace(kept, parts=()) == united and kept.instances == tuple(each[::2])
    (one,) = TextPoint(PointSegmenter(), "tags").extract_one(IMAGE, said('<point x="25" y="50">'), "")
    assert one.point == (2, 2) and one.mask.contains(one.point)


@pytest.mark.parametrize("text", ["", "I see no cat.", '{"bbox_2d": [3, 3, 3, 3]}'])
def test_an_answer_without_a_box_gives_nothing_and_asks_no_segmenter(text):
    segmenter = BoxSegmenter()
    assert TextBox(segmenter, "json_1000").extract_one(IMAGE, said(text), "") == []
    assert TextPoint(segmenter, "tags").extract_one(IMAGE, said(text), "") == []
    assert segmenter.boxes == segmenter.calls == []


@pytest.mark.parametrize("options", [{"combine": "all"}, {"pick": "second"}])
def test_options_are_checked(options):
    ((name, value),) = options.items()
    for kind in (TextBox, TextPoint):
        with pytest.raises(UserError, match=f"{name}={value}"):
            kind(BoxSegmenter(), "json_1000", **options)


@pytest.mark.parametrize("kind", ["box", "point"])
def test_the_whole_pipeline(models, tmp_path, kind):
    """The answers of a perfect model, and of one that names no place: the former finds the objects, the latter none."""
    given = [*random_models(models), f"outputs_dir={tmp_path}", "limit=4", f"extraction=text_{kind}", "segmenter=tiny"]
    given[given.index(f"segmenter.path={models / 'sam'}")] = "segmenter.path=embedded:tiny_sam"
    given.append(f"extraction.extractors.text_{kind}.format=list_image")
    config = config_of(*given)
    ious = {}
    for name, reply in {"right": lambda example: place(example, kind), "none": lambda example: "No idea."}.items():
        replies = {example.id: reply(example) for example in build(config["benchmark"], "benchmark", Benchmark).built}
        result = evaluate({**config, "model": {"_target_": "tests.support.saying.Saying", "replies": replies}})
        for line in scores_of(result):
            if line["kind"] == "ground" and not line["absent"]:
                ious.setdefault((name, line["row"]), []).append(line["iou"])
    least = 0.3 if kind == "point" else 0.05  # the miniature SAM never learned from boxes
    assert min(ious["right", f"text_{kind}"]) > least and min(ious["right", "oracle"]) > least
    assert max(ious["none", f"text_{kind}"]) == max(ious["none", "oracle"]) == 0


def place(example, kind):
    """The box of an example's mask, or a point in it, in 0 to 1 of the image."""
    ys, xs = np.nonzero(example.gt_mask.decode())
    if not len(xs):
        return "It is not there."
    height, width = example.gt_mask.size
    if kind == "box":
        values = (xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height)
    else:
        values = (xs[len(xs) // 2] / width, ys[len(ys) // 2] / height)
    return str([round(float(v), 4) for v in values])
