"""Models with code of their own on a picture of 12 million pixels, against what they make of a ninth of them.

As in `tests/test_odd_images.py`, all that takes time there grows with the pixels alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.config.factory import build
from pixfound.interfaces import Model
from pixfound.models import batch_memory
from pixfound.types import Generation, Prompt
from tests.support.pixel import DATA, PICTURE
from tests.support.run import config_of

TOWERS = ("siglip", "clip", "dinov2", "convnext")
FEWER = ["model.pixels=[3136,200704]", "model.first_pixels=[3136,200704]"]  # both pictures have more
MODELS = {
    "lisa": ["model=lisa_7b", f"model.vision_tower={DATA / 'lisa/clip'}"],
    "glamm": ["model=glamm", f"model.vision_tower={DATA / 'glamm/clip'}"],
    "rga3": ["model=rga3", *FEWER],
    "sa2va_qwen2_5": ["model=sa2va_qwen2_5_vl_7b", *FEWER],
    "sa2va_qwen3": ["model=sa2va_qwen3_vl_4b", *FEWER],
    "sa2va_internvl3": ["model=sa2va_internvl3_2b"],
    "cambrian": ["model=cambrian_8b", *(f"model.towers.{name}.path={DATA / 'cambrian' / name}" for name in TOWERS)],
}
ASKED = Prompt("x", "ground", "v", "Please segment it.")
SMALL = PICTURE.resize((1334, 1000), Image.Resampling.BICUBIC)
HUGE = SMALL.resize((4002, 3000), Image.Resampling.NEAREST)
BYTES = 16  # of memory that each of the huge picture's pixels may take beside the picture


def model_of(name: str) -> Any:
    """The tiny checkpoint, which says [SEG] twice where it has such a token, and then stops."""
    over = [f"model.path={DATA / name / 'model'}", "model.dtype=float32", "model.device=cpu", "model.capture=step"]
    config = config_of(*MODELS[name], *over)["model"]
    seg = build(config, "model", Model).built._processor.tokenizer.convert_tokens_to_ids("[SEG]")
    said = {"sequence_bias": [[[seg], 1000.0]]} if seg is not None else {}
    config["generation"] = {"max_new_tokens": 2, "do_sample": False, **said}
    return build(config, "model", Model).built


@pytest.mark.parametrize("name", MODELS)
def test_a_huge_picture_is_answered_as_a_small_one(name: str) -> None:
    model = model_of(name)
    (small,) = model.generate([(SMALL, ASKED)])
    found: list[Generation] = []
    (taken,) = batch_memory._peaks(lambda: found.extend(model.generate([(HUGE, ASKED)])), ["cpu"])
    (huge,) = found
    assert taken < BYTES * HUGE.width * HUGE.height
    assert huge.text == small.text
    assert huge.image_size == (HUGE.height, HUGE.width)
    # Sa2VA draws nothing for a [SEG] with which an answer is cut.
    drawn = 0 if name == "cambrian" else 1 if name.startswith("sa2va") else 2
    assert len(huge.masks) == len(small.masks) == drawn
    for large, little in zip(huge.masks, small.masks, strict=True):
        assert large.size == huge.image_size
        assert (large.decode()[1::3, 1::3] == little.decode()).mean() > 0.98
    assert huge.attention is not None and small.attention is not None
    assert np.abs(huge.attention[0] - small.attention[0]).max() < 0.05 * small.attention[0].max()
    assert [tile.grid for tile in huge.tiles] == [tile.grid for tile in small.tiles]
    for large, little in zip(huge.tiles, small.tiles, strict=True):
        assert np.allclose(large.box, 3 * np.array(little.box), atol=2)
