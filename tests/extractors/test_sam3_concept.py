from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.utils import is_torchvision_available

from pixfound.errors import UserError
from pixfound.extractors.sam3_concept import Sam3Concept
from pixfound.types.masks import union
from tests.support.prompted import EXPRESSION, HEIGHT, SAID, TEXT, WIDTH, bilinear, sigmoid
from tests.support.random_text_prompted import MEAN, SAVE, SIDE, STD


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


@pytest.mark.verifies("native masks", model="sam3_concept")
def test_sam3_concepts(folders, image):
    scores, masks, boxes = sam3_plain(folders["sam3_concept"], image)
    threshold = float(np.sort(scores)[-5] - 1e-5)  # five instances
    given = {"threshold": threshold, "mask_threshold": 0.45}
    extractor = Sam3Concept(str(folders["sam3_concept"]), **given, combine="candidates")
    found = extractor.extract_one(image, SAID, EXPRESSION)
    order = np.argsort(-scores, kind="stable")[: len(found)]
    assert len(found) == 5
    np.testing.assert_allclose([c.score for c in found], scores[order], atol=5e-3)
    for candidate, index in zip(found, order, strict=True):
        probability = bilinear(masks[index], (HEIGHT, WIDTH))
        unsure = np.abs(probability - 0.45) < 0.02
        assert ((candidate.mask.decode() == (probability > 0.45)) | unsure).all() and unsure.mean() < 0.5
        expected = boxes[index] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
        np.testing.assert_allclose(candidate.box, expected.clip(0, [WIDTH, HEIGHT] * 2), atol=0.5)
    (one,) = Sam3Concept(str(folders["sam3_concept"]), **given).extract_one(image, SAID, EXPRESSION)
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
    found, wanted = (one.extract_one(image, SAID, EXPRESSION) for one in (inside, alone))
    assert found and len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):  # last bits depend on where weights lie in memory
        assert (one.mask.decode() == other.mask.decode()).mean() > 0.999
        np.testing.assert_allclose([one.score, *one.box], [other.score, *other.box], rtol=1e-4)


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
    found = Sam3Concept(str(folders["sam3_concept"]), 0.1, combine="candidates").extract_one(image, SAID, EXPRESSION)
    order = wanted["scores"].argsort(descending=True, stable=True)
    assert len(found) == len(order) > 1
    np.testing.assert_allclose([c.score for c in found], wanted["scores"][order], atol=1e-4)
    for candidate, index in zip(found, order, strict=True):
        assert (candidate.mask.decode() == wanted["masks"][index].numpy().astype(bool)).mean() > 0.999


def test_thresholds_are_checked(folders):
    for name in ("threshold", "mask_threshold"):
        with pytest.raises(UserError, match=f"{name}=-1"):
            Sam3Concept(str(folders["sam3_concept"]), **{name: -1})
