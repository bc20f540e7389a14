"""`pixfound.attention` on a loaded model, against transformers' eager attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

import pixfound
from pixfound.types.token_spans import tokens_of

PROMPT = "What is this?"


def load(folder: Path, attention: str) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def loaded(models: Path) -> tuple[Any, Any]:
    return load(models / "llava", "sdpa").train(), AutoProcessor.from_pretrained(models / "llava")


def eager(folder: Path, processor: Any, picture: Image.Image, tokens: int) -> tuple[str, Any]:
    """The answer and (L, H, T, N) rows of `generate` with eager attention and `output_attentions`."""
    model = load(folder, "eager").eval()
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PROMPT}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text], images=[picture], return_tensors="pt")
    options = {"max_new_tokens": tokens, "do_sample": False, "output_attentions": True}
    with torch.inference_mode():
        out = model.generate(**inputs, **options, return_dict_in_generate=True)
    columns = (inputs["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
    rows = [torch.stack([layer[0, :, -1, columns] for layer in step]) for step in out.attentions]
    answer = processor.tokenizer.decode(out.sequences[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return answer, torch.stack(rows, dim=2).numpy()


def test_rows_equal_eager_and_the_model_is_as_it_was(
    models: Path, loaded: tuple[Any, Any], picture: Image.Image
) -> None:
    model, processor = loaded
    processor.tokenizer.padding_side = "right"
    found = pixfound.attention(model, processor, picture, PROMPT, keep="heads", max_new_tokens=6)
    answer, rows = eager(models / "llava", processor, picture, 6)
    assert found.text == answer.lstrip() and found.kept is not None and found.attention is not None
    assert np.abs(found.kept.rows[:, :, 1:] - rows).max() < 1e-5 < rows.max()
    assert np.abs(found.attention - rows.mean(axis=(0, 1))).max() < 1e-5
    assert model.training and model.config.get_text_config()._attn_implementation == "sdpa"
    assert processor.tokenizer.padding_side == "right"
    forced = pixfound.attention(model, processor, picture, PROMPT, answer=found.text)
    assert forced.text == found.text
    np.testing.assert_allclose(forced.attention[0], found.attention[0], atol=1e-5)  # type: ignore[index]


def test_a_map_is_brightest_where_its_rows_are(loaded: tuple[Any, Any], picture: Image.Image) -> None:
    found = pixfound.attention(*loaded, picture, PROMPT, answer="the red circle and the blue square", keep="layers")
    (tile,) = found.tiles
    assert found.attention is not None and found.kept is not None
    span = (found.text.index("red"), found.text.index("red") + 3)
    heat = pixfound.attention_map(found, "red", subtract_mean=False)
    values = found.attention[tokens_of(span, found.spans)].mean(axis=0).reshape(tile.grid)
    y, x = np.unravel_index(values.argmax(), tile.grid)
    x0, y0, x1, y1 = tile.box
    middle = (int(y0 + (y + 0.5) * (y1 - y0) / tile.grid[0]), int(x0 + (x + 0.5) * (x1 - x0) / tile.grid[1]))
    assert heat.shape == (48, 48)
    assert heat[middle] >= np.quantile(heat, 0.9)
    assert pixfound.attention_map(found, span, subtract_mean=False).tolist() == heat.tolist()
    of_layers = [pixfound.attention_map(found, "red", layers=i, subtract_mean=False) for i in found.kept.layers]
    np.testing.assert_allclose(np.mean(of_layers, axis=0), heat, atol=1e-6)
    drawn = np.asarray(pixfound.overlay(picture, found, "red")).astype(int)
    colourful = np.ptp(drawn, axis=2)
    assert colourful[np.unravel_index(pixfound.attention_map(found, "red").argmax(), (48, 48))] > 50
    with pytest.raises(pixfound.UserError, match="'green' is not in the answer"):
        pixfound.overlay(picture, found, "green")
    with pytest.raises(pixfound.UserError, match="not this one"):
        pixfound.overlay(picture.resize((60, 48)), found)


def test_a_model_whose_attention_cannot_be_captured_is_an_error(loaded: tuple[Any, Any], picture: Image.Image) -> None:
    model, processor = loaded
    model.config.is_encoder_decoder = True
    try:
        with pytest.raises(pixfound.UserError, match="cannot be captured"):
            pixfound.attention(model, processor, picture, PROMPT)
    finally:
        model.config.is_encoder_decoder = False
