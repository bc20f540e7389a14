"""Boxes of detectors against a plain call of the transformers model and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors.detector import TextDetector
from pixfound.types.masks import RLE, union
from tests.support.prompted import DETECTORS, EXPRESSION, HEIGHT, SAID, TEXT, WIDTH, BoxSegmenter, sigmoid


def plain_boxes(folder, name, image, text):
    """Boxes in pixels, clamped to the image, with confidences; from the model's relative centres and sizes."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = getattr(transformers, DETECTORS[name][0]).from_pretrained(folder).eval()
    with torch.inference_mode():
        out = model(**processor(images=image, text=[text], truncation=True, return_tensors="pt"))
    return arithmetic(out.logits[0].numpy(), out.pred_boxes[0].numpy(), image.size, padded=name == "owlv2")


def arithmetic(logits, boxes, size, padded):
    """The same of logits (Q, C) and boxes (Q, 4) in cx, cy, w, h. padded: to a square, at the right and the bottom."""
    scale = np.array([max(size)] * 4 if padded else [*size, *size], np.float64)
    cx, cy, w, h = np.asarray(boxes, np.float64).T
    corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1) * scale
    return corners.clip(0, [*size, *size]), sigmoid(logits).max(axis=1)


@pytest.mark.verifies("boxes", by="name")
@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_are_those_of_the_model_in_pixels_of_the_image(folders, image, name):
    segmenter = BoxSegmenter()
    template = DETECTORS[name][1]
    corners, scores = plain_boxes(folders[name], name, image, template.replace("{}", TEXT))
    keep = (scores > 0.25) & (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    order = [i for i in np.argsort(-scores, kind="stable") if keep[i]]
    assert 1 < len(order) <= 20
    extractor = TextDetector(str(folders[name]), segmenter, 0.25, template=template, combine="candidates")
    found = extractor.extract_one(image, SAID, EXPRESSION)
    np.testing.assert_allclose([c.box for c in found], corners[order], atol=1e-2)
    np.testing.assert_allclose([c.score for c in found], scores[order], atol=1e-4)
    (asked,) = segmenter.asked
    assert asked == [c.box for c in found]
    assert [c.mask for c in found] == [
        RLE.encode(m[0]) for m in next(segmenter.box_masks([(image, asked)])).masks
    ]  # of 0.8
    united = TextDetector(str(folders[name]), segmenter, 0.25, template=template)
    (one,) = united.extract_one(image, SAID, EXPRESSION)
    assert one.mask == union([c.mask for c in found], (HEIGHT, WIDTH))
    assert one.score == found[0].score and one.box is None
    few = TextDetector(str(folders[name]), segmenter, 0.25, 1, template=template)
    (best,) = few.extract_one(image, SAID, EXPRESSION)
    assert best.mask == found[0].mask and best.box == found[0].box


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["owlv2", "owlvit", "grounding_dino"]),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    boxes=st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=6),
    data=st.data(),
)
def test_boxes_of_any_image_lie_in_it(folders, name, size, boxes, data):
    logits = [[data.draw(st.floats(-4, 4))] for _ in boxes]
    extractor = TextDetector(str(folders[name]), BoxSegmenter(), 0.3, max_boxes=4)
    outputs = type("Outputs", (), {})()
    outputs.logits, outputs.pred_boxes = torch.tensor([logits]), torch.tensor([boxes], dtype=torch.float32)
    outputs.input_ids = torch.zeros((1, 1), dtype=torch.long)
    found = extractor.boxes(Image.new("RGB", size), outputs)
    assert all(0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1] for (x0, y0, x1, y1), _ in found)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True) and len(found) <= 4 and all(score > 0.3 for score in scores)
    corners, all_scores = arithmetic(logits, np.float32(boxes), size, padded=name == "owlv2")
    for box, score in found:
        same = np.isclose(all_scores, score, atol=1e-5) & np.isclose(corners, box, atol=1e-2).all(axis=1)
        assert same.any()
    large = (corners[:, 2] - corners[:, 0] > 0.1) & (corners[:, 3] - corners[:, 1] > 0.1) & (all_scores > 0.301)
    assert len(found) >= min(4, large.sum())


def with_patch(size, at=None):
    """A grey picture of (W, H) with a square of 7 pixels in another colour around a point, or without."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    if at is not None:
        x, y = at
        pixels[y - 3 : y + 4, x - 3 : x + 4] = (255, 0, 200)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(91, 45), (45, 91)])
@pytest.mark.parametrize("name", ["owlv2", "owlvit"])
def test_the_box_of_a_place_lies_at_that_place(folders, name, size):
    """A token that sees its own cell alone, and a box that is the token's own: what changes is where the patch is."""
    extractor = TextDetector(str(folders[name]), BoxSegmenter(), 0.0, max_boxes=1)
    model = extractor._weights.model
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "box_head.dense2" in key or ("vision_model" in key and "out_proj" in key):
                parameter.zero_()
    cell = (max(size) / 4,) * 2 if name == "owlv2" else (size[0] / 4, size[1] / 4)
    for place in [(5, 5), (size[0] - 6, 5), (5, size[1] - 6), (size[0] - 6, size[1] - 6)]:
        before, after = (extractor._look(with_patch(size, at), TEXT) for at in (None, place))
        after.logits = (before.logits - after.logits).abs().log()
        (((x0, y0, x1, y1), _),) = extractor.boxes(with_patch(size), after)
        assert abs((x0 + x1) / 2 - place[0]) < cell[0] and abs((y0 + y1) / 2 - place[1]) < cell[1]


@pytest.mark.parametrize("arguments", [{"combine": "all"}, {"max_boxes": 0}, {"max_boxes": 1.5}])
def test_arguments_of_detectors_are_checked(folders, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(UserError, match=f"{name}={value}"):
        TextDetector(str(folders["owlv2"]), BoxSegmenter(), 0.1, **arguments)


def test_what_to_install_is_said(folders, image, monkeypatch):
    extractor = TextDetector(str(folders["owlv2"]), BoxSegmenter(), 0.1)

    def lacking(*args, **kwargs):
        raise ImportError("Owlv2ImageProcessorPil requires the scipy library")

    monkeypatch.setattr("pixfound.checkpoints.processors._installed", lambda name: False)
    monkeypatch.setattr(type(extractor._weights.processor), "__call__", lacking)
    with pytest.raises(UserError, match="pip install scipy"):
        extractor.extract_one(image, SAID, EXPRESSION)
