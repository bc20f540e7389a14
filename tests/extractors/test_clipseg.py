from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from pixfound.extractors.clipseg import ClipSeg
from tests.support.prompted import EXPRESSION, HEIGHT, SAID, TEXT, WIDTH, bilinear, sigmoid
from tests.support.random_text_prompted import MEAN, SIDE, STD


@pytest.mark.verifies("native masks", model="clipseg")
def test_the_map_comes_back_to_the_image(folders, image):
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
    (found,) = ClipSeg(str(folder), threshold).extract_one(image, SAID, EXPRESSION)
    unsure = np.abs(probability - threshold) < 1e-3
    assert ((found.mask.decode() == (probability > threshold)) | unsure).all() and unsure.mean() < 0.2
    assert found.score == pytest.approx(probability[probability > threshold].mean(), abs=2e-3)
    assert ClipSeg(str(folder), float(probability.max()) + 0.001).extract_one(image, SAID, EXPRESSION) == []
