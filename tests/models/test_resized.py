from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from pixfound.models.geometry.input_size import input_size


@pytest.mark.parametrize("size", [(100, 300), (57, 57), (28, 560)])
def test_it_is_the_size_that_the_processor_resized_to(size):
    processor = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, min_pixels=28 * 28, max_pixels=28 * 28 * 64)
    image = Image.fromarray(np.zeros((*size, 3), np.uint8))
    inputs = processor(images=[image], return_tensors="pt")
    height, width = input_size(inputs, 0, processor, None)
    assert (height % 28, width % 28) == (0, 0)
    assert height * width == len(inputs["pixel_values"]) * 14 * 14
    assert abs(height / width - size[0] / size[1]) / (size[0] / size[1]) < 0.35


def test_a_processor_that_reports_no_grid_has_none():
    assert input_size({}, 0, SimpleNamespace(patch_size=14), None) is None


def test_the_side_of_a_patch_may_be_the_models():
    config = SimpleNamespace(vision_config=SimpleNamespace(patch_size=14))
    assert input_size({"image_grid_thw": np.array([[1, 4, 6]])}, 0, SimpleNamespace(), config) == (56, 84)
