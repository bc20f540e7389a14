"""Models that are prompted with the expression, against plain calls of their transformers models and arithmetic."""

from __future__ import annotations

import gc
import json
import weakref
from importlib.resources import files

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.utils import is_torchvision_available

from pixfound.errors import UserError
from pixfound.extractors.clipseg import ClipSeg
from pixfound.extractors.detector import TextDetector
from pixfound.extractors.sam3_concept import Sam3Concept
from pixfound.extractors.text_weights import TextWeights
from pixfound.interfaces import SegmenterMasks
from pixfound.masks import RLE, union
from pixfound.pipeline.evaluate import evaluate
from pixfound.types import Generation
from tests.support.random_text_prompted import MEAN, SAVE, SIDE, STD
from tests.support.run import config_of, random_models, scores_of

HEIGHT, WIDTH = 45, 91
SAID = Generation("", (HEIGHT, WIDTH))
EXPRESSION = " The red cat's left ear. "
TEXT = "the red cat's left ear"
DETECTORS = {
    "grounding_dino": ("GroundingDinoForObjectDetection", "{}."),
    "mm_grounding_dino": ("MMGroundingDinoForObjectDetection", "{}."),
    "owlv2": ("Owlv2ForObjectDetection", "{}"),
    "owlvit": ("OwlViTForObjectDetection", "{}"),
}


class BoxSegmenter:
    """Draws each box twice: whole (score 0.8), and its left top pixel (score 0.3). Keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def box_masks(self, image, boxes):
        self.asked.append(list(boxes))
        masks = np.zeros((len(boxes), 2, image.height, image.width), bool)
        for i, (x0, y0, x1, y1) in enumerate(boxes):
            masks[i, 0, int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
            masks[i, 1, int(y0), int(x0)] = True
        return SegmenterMasks(masks, np.tile(np.array([0.8, 0.3], np.float32), (len(boxes), 1)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("prompted")
    return {name: save(root / name) for name, save in SAVE.items()}


@pytest.fixture(scope="module")
def image():
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 9, WIDTH // 7, 3), dtype=np.uint8)
    return Image.fromarray(noise.repeat(9, axis=0).repeat(7, axis=1))


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


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


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_are_those_of_the_model_in_pixels_of_the_image(folders, image, name):
    segmenter = BoxSegmenter()
    template = DETECTORS[name][1]
    corners, scores = plain_boxes(folders[name], name, image, template.replace("{}", TEXT))
    keep = (scores > 0.25) & (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    order = [i for i in np.argsort(-scores, kind="stable") if keep[i]]
    assert 1 < len(order) <= 20
    extractor = TextDetector(segmenter, str(folders[name]), 0.25, template=template, combine="candidates")
    found = extractor.candidates(image, SAID, EXPRESSION)
    np.testing.assert_allclose([c.box for c in found], corners[order], atol=1e-2)
    np.testing.assert_allclose([c.score for c in found], scores[order], atol=1e-4)
    (asked,) = segmenter.asked
    assert asked == [c.box for c in found]
    assert [c.mask for c in found] == [RLE.encode(m[0]) for m in segmenter.box_masks(image, asked).masks]  # of 0.8
    united = TextDetector(segmenter, str(folders[name]), 0.25, template=template)
    (one,) = united.candidates(image, SAID, EXPRESSION)
    assert one.mask == union([c.mask for c in found], (HEIGHT, WIDTH))
    assert one.score == found[0].score and one.box is None
    few = TextDetector(segmenter, str(folders[name]), 0.25, 1, template=template)
    (best,) = few.candidates(image, SAID, EXPRESSION)
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
    extractor = TextDetector(BoxSegmenter(), str(folders[name]), 0.3, max_boxes=4)
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
    extractor = TextDetector(BoxSegmenter(), str(folders[name]), 0.0, max_boxes=1)
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


def bilinear(small, size):
    """An (h, w) array at (H, W), with pixels whose middles are samples; values beyond the edge are the edge's."""

    def places(old, new):
        at = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    y0, y1, fy = places(small.shape[0], size[0])
    x0, x1, fx = places(small.shape[1], size[1])
    rows = small[y0] * (1 - fy)[:, None] + small[y1] * fy[:, None]
    return rows[:, x0] * (1 - fx) + rows[:, x1] * fx


def test_clipseg(folders, image):
    """The processor squashes by PIL; the map comes back to the image's own shape."""
    folder = folders["clipseg"]
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    pixels = torch.from_numpy((small - np.float32(MEAN)) / np.float32(STD)).permute(2, 0, 1)[None]
    tokens = transformers.AutoTokenizer.from_pretrained(folder)([TEXT], truncation=True, return_tensors="pt")
    model = transformers.CLIPSegForImageSegmentation.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = model(pixel_values=pixels, **tokens).logits.reshape(SIDE, SIDE).double().numpy()
    probability = sigmoid(bilinear(logits, (HEIGHT, WIDTH)))
    threshold = float(np.median(probability))
    (found,) = ClipSeg(str(folder), threshold).candidates(image, SAID, EXPRESSION)
    unsure = np.abs(probability - threshold) < 1e-3
    assert ((found.mask.decode() == (probability > threshold)) | unsure).all() and unsure.mean() < 0.2
    assert found.score == pytest.approx(probability[probability > threshold].mean(), abs=2e-3)
    assert ClipSeg(str(folder), float(probability.max()) + 0.001).candidates(image, SAID, EXPRESSION) == []


def sam3_plain(folder, image):
    """Scores (Q), mask probabilities (Q, h, w) and relative boxes (Q, 4) of Sam3Model, its picture made by PIL."""
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    pixels = torch.from_numpy((small - np.float32(MEAN)) / np.float32(STD)).permute(2, 0, 1)[None]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer([TEXT], padding="max_length", max_length=32, return_tensors="pt")
    model = transformers.Sam3Model.from_pretrained(folder).eval()
    given = {k: tokens[k] for k in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        out = model(pixel_values=pixels, **given)
    scores = sigmoid(out.pred_logits[0]) * sigmoid(out.presence_logits[0])
    return scores, sigmoid(out.pred_masks[0]), out.pred_boxes[0].double().numpy()


def test_sam3_concepts(folders, image):
    scores, masks, boxes = sam3_plain(folders["sam3_concept"], image)
    threshold = float(np.sort(scores)[-5] - 1e-5)  # five instances
    given = {"threshold": threshold, "mask_threshold": 0.45}
    extractor = Sam3Concept(str(folders["sam3_concept"]), **given, combine="candidates")
    found = extractor.candidates(image, SAID, EXPRESSION)
    order = np.argsort(-scores, kind="stable")[: len(found)]
    assert len(found) == 5
    np.testing.assert_allclose([c.score for c in found], scores[order], atol=5e-3)
    for candidate, index in zip(found, order, strict=True):
        probability = bilinear(masks[index], (HEIGHT, WIDTH))
        unsure = np.abs(probability - 0.45) < 0.02
        assert ((candidate.mask.decode() == (probability > 0.45)) | unsure).all() and unsure.mean() < 0.5
        expected = boxes[index] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        np.testing.assert_allclose(candidate.box, expected.clip(0, [WIDTH, HEIGHT] * 2), atol=0.5)
    (one,) = Sam3Concept(str(folders["sam3_concept"]), **given).candidates(image, SAID, EXPRESSION)
    assert one.mask == union([c.mask for c in found], (HEIGHT, WIDTH))


def test_sam3_comes_inside_of_its_video_model(folders, image, tmp_path):
    """As it is published: the detector's config and weights under a name of their own, with a tracker's beside them."""
    folder = SAVE["sam3_concept"](tmp_path / "video")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3_video", "detector_config": config}))
    tensors = {f"detector_model.{k}": v for k, v in load_file(folder / "model.safetensors").items()}
    save_file({**tensors, "tracker_model.x": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})
    alone, inside = (Sam3Concept(str(f), 0.1, combine="candidates") for f in (folders["sam3_concept"], folder))
    inside.identity()
    found = inside.candidates(image, SAID, EXPRESSION)
    assert found and found == alone.candidates(image, SAID, EXPRESSION)


@pytest.mark.skipif(not is_torchvision_available(), reason="SAM 3's own processor needs torchvision")
def test_sam3_concepts_are_those_of_its_own_processor(folders, image):
    from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

    images = Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["sam3_concept"])
    processor = transformers.Sam3Processor(images, tokenizer)
    model = transformers.Sam3Model.from_pretrained(folders["sam3_concept"]).eval()
    inputs = processor(images=image, text=TEXT, return_tensors="pt")
    with torch.inference_mode():
        out = model(**{k: inputs[k] for k in ("pixel_values", "input_ids", "attention_mask")})
    (wanted,) = processor.post_process_instance_segmentation(out, 0.1, 0.5, [(HEIGHT, WIDTH)])
    found = Sam3Concept(str(folders["sam3_concept"]), 0.1, combine="candidates").candidates(image, SAID, EXPRESSION)
    order = wanted["scores"].argsort(descending=True, stable=True)
    assert len(found) == len(order) > 1
    np.testing.assert_allclose([c.score for c in found], wanted["scores"][order], atol=1e-4)
    for candidate, index in zip(found, order, strict=True):
        assert (candidate.mask.decode() == wanted["masks"][index].numpy().astype(bool)).mean() > 0.999


def extractors(folders, **given):
    """One of each family."""
    given = {"threshold": 0.1, **given}
    made = {name: TextDetector(BoxSegmenter(), str(folders[name]), **given) for name in DETECTORS}
    made["clipseg"] = ClipSeg(str(folders["clipseg"]), **given)
    made["sam3_concept"] = Sam3Concept(str(folders["sam3_concept"]), **given)
    return made


@pytest.mark.parametrize("name", SAVE)
def test_what_is_not_found_is_no_candidate(folders, image, name):
    extractor = extractors(folders, threshold=0.999999)[name]
    assert extractor.candidates(image, SAID, EXPRESSION) == []
    if name in DETECTORS:
        assert extractor.segmenter.asked == []


@pytest.mark.parametrize("name", SAVE)
def test_any_expression_and_any_image_can_be_asked(folders, name):
    """Longer than the model has positions for, beyond ASCII, grey, very flat: the mask has the image's size."""
    extractor = extractors(folders)[name]
    for size, mode, expression in [((7, 200), "L", "a cat " * 100), ((130, 9), "RGBA", "el niño 猫. And more")]:
        found = extractor.candidates(Image.new(mode, size, 128 if mode == "L" else (9, 99, 200, 255)), SAID, expression)
        assert all(candidate.mask.size == size[::-1] for candidate in found)


@pytest.mark.parametrize("expression", ["", "  ", " . "])
def test_without_an_expression_nothing_is_looked_for(folders, image, expression, monkeypatch):
    monkeypatch.setattr(TextWeights, "outputs", None)  # any use of the model fails
    for extractor in extractors(folders).values():
        assert extractor.candidates(image, SAID, expression) == []


def test_a_template_puts_the_expression_into_words(folders, image, monkeypatch):
    told = []
    monkeypatch.setattr(ClipSeg, "_look", lambda self, image, text: told.append(text) or torch.zeros(1, 4, 4))
    ClipSeg(str(folders["clipseg"]), template="a photo of {}").candidates(image, SAID, EXPRESSION)
    assert told == [f"a photo of {TEXT}"]


def test_the_model_is_asked_once_for_all_rows_and_prompts_of_an_image(folders, image, monkeypatch):
    asked, whole = [], TextWeights.outputs
    monkeypatch.setattr(TextWeights, "outputs", lambda self, inputs: asked.append(1) or whole(self, inputs))
    united = TextDetector(BoxSegmenter(), str(folders["owlvit"]), 0.25)
    each = TextDetector(BoxSegmenter(), str(folders["owlvit"]), 0.5, combine="candidates")
    for said in ("open", "ground"):
        for extractor in (united, each):
            extractor.candidates(image, Generation(said, (HEIGHT, WIDTH)), EXPRESSION)
    assert len(asked) == 1 and len(united.segmenter.asked) == len(each.segmenter.asked) == 1
    assert united._weights.model is each._weights.model
    united.candidates(image, SAID, EXPRESSION + "lobe")
    united.candidates(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), SAID, EXPRESSION + "lobe")
    assert len(asked) == 3


def test_weights_are_freed_with_the_last_that_has_them(folders, image):
    extractor = ClipSeg(str(folders["clipseg"]))
    extractor.candidates(image, SAID, EXPRESSION)
    model = weakref.ref(extractor._weights.model)
    del extractor
    gc.collect()
    assert model() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"threshold": True}, "threshold=True"),
        ({"template": "cat"}, "template=cat"),
        ({"template": "{} {}"}, "where the expression goes"),
        ({"dtype": "int8"}, "dtype=int8"),
    ],
)
def test_arguments_are_checked(folders, arguments, message):
    with pytest.raises(UserError, match=message):
        ClipSeg(str(folders["clipseg"]), **arguments)


@pytest.mark.parametrize("arguments", [{"combine": "all"}, {"max_boxes": 0}, {"max_boxes": 1.5}])
def test_arguments_of_detectors_are_checked(folders, arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(UserError, match=f"{name}={value}"):
        TextDetector(BoxSegmenter(), str(folders["owlv2"]), 0.1, **arguments)
    with pytest.raises(UserError, match="mask_threshold=-1"):
        Sam3Concept(str(folders["sam3_concept"]), mask_threshold=-1)


def test_another_kind_of_model_is_noticed_before_its_weights_are_read(folders, tmp_path):
    with pytest.raises(UserError, match="holds a model of the type clipseg; this extractor takes grounding-dino or"):
        TextDetector(BoxSegmenter(), str(folders["clipseg"]), 0.1).identity()
    with pytest.raises(UserError, match="no such folder"):
        ClipSeg(str(tmp_path / "nothing")).identity()


def test_a_hub_id_without_network(image):
    with pytest.raises(UserError, match="is not in the hub's cache"):
        ClipSeg("someone/clipseg").candidates(image, SAID, EXPRESSION)


def test_what_to_install_is_said(folders, image, monkeypatch):
    extractor = TextDetector(BoxSegmenter(), str(folders["owlv2"]), 0.1)

    def lacking(*args, **kwargs):
        raise ImportError("Owlv2ImageProcessorPil requires the scipy library")

    monkeypatch.setattr("pixfound.models.processors._installed", lambda name: False)
    monkeypatch.setattr(type(extractor._weights.processor), "__call__", lacking)
    with pytest.raises(UserError, match="pip install scipy"):
        extractor.candidates(image, SAID, EXPRESSION)


def test_the_weights_identify_the_results(folders, tmp_path):
    same = ClipSeg(str(folders["clipseg"])).identity()
    other = SAVE["clipseg"](tmp_path / "m")
    assert ClipSeg(str(other)).identity() == same
    (other / "tokenizer_config.json").write_text("{}")
    assert ClipSeg(str(other)).identity() != same


def shapes(models, folders, outputs, *overrides):
    given = [g for g in random_models(models) if not g.startswith("limit=")]
    paths = [f"extraction.extractors.{name}.path={folders[name]}" for name in SAVE if any(name in o for o in overrides)]
    return evaluate(config_of(*given, f"outputs_dir={outputs}", "benchmark.pairs=2", *overrides, *paths))


@pytest.mark.parametrize("name", SAVE)
def test_a_baseline_alone_without_a_model(folders, tmp_path, name):
    low = f"extraction.extractors.{name}.threshold={'0.0001' if name == 'sam3_concept' else '0.1'}"
    result = evaluate(
        config_of(
            "model=none", f"extraction={name}", f"extraction.extractors.{name}.path={folders[name]}", low,
            "benchmark.pairs=2", "scoring.resamples=100", "report.pictures=2", f"outputs_dir={tmp_path}",
        )
    )  # fmt: skip
    assert not result.failures
    lines = scores_of(result)
    rows = [name] if name == "clipseg" else [name, f"{name}_best", f"{name}_oracle"]
    for row in rows:
        mine = {(line["example_id"], line["kind"]): line for line in lines if line["row"] == row}
        assert len(mine) == 8 and all(line["iou"] is not None for line in mine.values())
        for (id, kind), line in mine.items():  # what is asked changes nothing
            other = mine[id, {"open": "ground", "ground": "open"}[kind]]
            assert (line["iou"], line["area"]) == (other["iou"], other["area"])
    assert any(line["shown"] for line in lines if line["row"] == name)
    metrics = result.metrics["rows"][name]
    assert metrics["M"] == metrics["M_dagger"] and metrics["M"]["count"] == 4 and metrics["S"]["value"] is None
    answers = [line for line in lines if line["row"] is None]
    assert {line["reason"] for line in answers} == {"model=none was not asked"}
    assert all(line["correct"] is None for line in answers)


def test_baselines_are_rows_of_any_table(models, folders, tmp_path):
    result = shapes(models, folders, tmp_path, "baseline=[owlv2,clipseg]", "extraction=attend_segment")
    rows = list(result.metrics["rows"])
    assert rows[0] == "oracle" and rows[-4:] == ["owlv2", "owlv2_best", "owlv2_oracle", "clipseg"]
    alone = shapes(models, folders, tmp_path / "alone", "extraction=owlv2")
    for row in ("owlv2", "owlv2_best", "owlv2_oracle"):
        assert result.metrics["rows"][row]["M"] == alone.metrics["rows"][row]["M"]
    assert any(line["response"] for line in scores_of(result) if line["row"] is None)  # of the model beside them


BUNDLES = sorted(path.stem for path in files("pixfound.conf").joinpath("extraction").iterdir())


@pytest.mark.parametrize("bundle", BUNDLES)
def test_baselines_leave_a_bundle_as_it_is(bundle):
    """All of them beside any bundle: its own rows come first and mean what they meant."""
    given = [f"extraction={bundle}"]
    if bundle == "precomputed_selected":
        given.append("extraction.selectors.selected.selections=some/file")
    own = config_of(*given)["extraction"]
    both = config_of(*given, f"baseline=[{','.join(SAVE)}]")["extraction"]
    for part in ("extractors", "selectors", "rows"):
        assert own[part].items() <= both[part].items()
    assert list(both["rows"])[: len(own["rows"])] == list(own["rows"])
    assert set(SAVE) <= set(both["rows"])


def test_nothing_found_is_empty_on_purpose(models, folders, tmp_path):
    never = "extraction.extractors.sam3_concept.threshold=0.9999"
    result = shapes(models, folders, tmp_path, "extraction=sam3_concept", never)
    lines = [s for s in scores_of(result) if s["row"] in ("sam3_concept", "sam3_concept_best")]
    assert lines and all(line["choice"] == "empty" and line["shown"] is False for line in lines)
    assert all(line["iou"] == (1 if line["absent"] else 0) for line in lines)
