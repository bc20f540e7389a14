"""The adapter on a random LLaVA: capture against eager, both ways of capturing, batches, geometry, vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from pixfound.errors import UserError
from pixfound.models.attention.teacher_forcing import answer_ids
from pixfound.models.decoder_model import Capture
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation, Prompt

TEXTS = ("hi", "What is this thing here?", "Identify the red object in the scene, please.")
SIZES = ((32, 32), (40, 64), (90, 50))
SETTINGS = {"max_new_tokens": 12}


@pytest.fixture(scope="module")
def requests() -> list[tuple[Image.Image, Prompt]]:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for h, w in SIZES]
    return [
        (image, Prompt(str(i), "open", "v", text)) for i, (image, text) in enumerate(zip(images, TEXTS, strict=True))
    ]


@pytest.fixture(scope="module")
def captured(models: Path, requests: list[tuple[Image.Image, Prompt]]) -> list[Generation]:
    return HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS).generate(requests)


def test_attention_equals_eager(
    models: Path, requests: list[tuple[Image.Image, Prompt]], captured: list[Generation]
) -> None:
    """The whole path again by other means: one example at a time, eager, all attention kept, reduced by hand."""
    folder = models / "llava"
    processor = AutoProcessor.from_pretrained(folder)
    eager = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    for (image, prompt), found in zip(requests, captured, strict=True):
        inputs = processor(text=f"USER: <image>\n{prompt.text} ASSISTANT:", images=image, return_tensors="pt")
        out = eager.generate(
            **inputs, max_new_tokens=12, do_sample=False, output_attentions=True, return_dict_in_generate=True
        )
        where = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
        assert len(where) == 16
        steps = [torch.stack([layer[0][:, :, where] for layer in step]).mean((0, 1)) for step in out.attentions]
        rows = torch.stack([step[-1] for step in steps]).numpy()
        assert found.attention is not None
        assert found.penultimate is not None
        assert np.abs(found.attention - rows).max() < 1e-5
        assert np.abs(found.penultimate - steps[0][-2].numpy()).max() < 1e-5
        ids = out.sequences[0, inputs["input_ids"].shape[1] :]
        assert found.text == processor.tokenizer.decode(ids, skip_special_tokens=True).lstrip()


def test_forced_capture_equals_stepwise(
    models: Path, requests: list[tuple[Image.Image, Prompt]], captured: list[Generation]
) -> None:
    forced = HuggingFace(str(models / "llava"), dtype="float32", capture="forced", generation=SETTINGS)
    same(forced.generate(requests), captured)


def test_plain_generation_says_the_same(
    models: Path, requests: list[tuple[Image.Image, Prompt]], captured: list[Generation]
) -> None:
    plain = HuggingFace(str(models / "llava"), dtype="float32", capture="none", generation=SETTINGS).generate(requests)
    assert [g.text for g in plain] == [g.text for g in captured]
    assert all(g.attention is None for g in plain)


def test_batches_change_nothing(
    models: Path, requests: list[tuple[Image.Image, Prompt]], captured: list[Generation]
) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    same([model.generate([request])[0] for request in requests], captured)


def test_attention_of_text_from_elsewhere(models: Path, requests: list[tuple[Image.Image, Prompt]]) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    texts = ["A red car.", "No", "Zwei Äpfel & ein Vogel"]
    together = model.attend(requests, texts)
    assert [g.text for g in together] == texts
    same([model.attend([r], [t])[0] for r, t in zip(requests, texts, strict=True)], together)
    for generation in together:
        assert generation.attention is not None
        assert len(generation.attention) == len(generation.spans)
        covered = sorted(i for start, end in set(generation.spans) for i in range(start, end))
        assert covered == list(range(len(generation.text)))


def test_attending_to_the_models_own_text_gives_its_own_rows(models: Path) -> None:
    """With ASCII bytes as tokens the text determines the tokens, so both ways must agree."""
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    rng = np.random.default_rng(4)
    image = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    request = (image, Prompt("x", "open", "v", "Say it."))
    said = model.attend([request], ["the cat"])[0]
    inputs = model.encode([request])
    ids = answer_ids(model.tokenizer, inputs["input_ids"][0], "the cat")
    assert model.tokenizer.decode(ids, skip_special_tokens=True) == " the cat"
    assert said.attention is not None
    assert said.attention.shape == (len(ids), 16)


def test_subsets_of_layers_and_heads(models: Path, requests: list[tuple[Image.Image, Prompt]]) -> None:
    parts = [
        HuggingFace(str(models / "llava"), dtype="float32", layers=[layer], generation=SETTINGS).generate(requests[:1])[
            0
        ]
        for layer in range(3)
    ]
    whole = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS).generate(requests[:1])[0]
    rows = [part.attention for part in parts]
    assert np.abs(np.mean(rows, axis=0) - whole.attention).max() < 1e-6
    assert np.abs(rows[0] - rows[1]).max() > 1e-3


def test_vectors_are_the_input_embeddings(models: Path) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32")
    loaded = AutoModelForImageTextToText.from_pretrained(models / "llava", dtype=torch.float32)
    table = loaded.get_input_embeddings().weight.detach().numpy()
    ids = AutoProcessor.from_pretrained(models / "llava").tokenizer(" ab")["input_ids"]
    expected = table[ids].mean(0) - table.mean(0)
    assert np.allclose(model.text_vectors().vector("ab"), expected, atol=1e-6)
    assert "_model" not in vars(model), "reading vectors must not load the model"


def test_a_folder_without_weights_is_one_line(models: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((models / "llava" / "config.json").read_text())
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((models / "llava" / name).read_bytes())
    image = Image.new("RGB", (32, 32))
    with pytest.raises(UserError, match=r"model\.path=.* has no weights"):
        HuggingFace(str(tmp_path)).generate([(image, Prompt("x", "open", "v", "hi"))])


def same(found: list[Generation], expected: list[Generation]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.text == b.text
        assert a.spans == b.spans
        assert a.tiles == b.tiles
        assert a.attention is not None
        assert b.attention is not None
        assert a.attention.shape == b.attention.shape
        assert np.abs(a.attention - b.attention).max() < 1e-5
        assert a.penultimate is not None
        assert b.penultimate is not None
        assert np.abs(a.penultimate - b.penultimate).max() < 1e-5


@pytest.fixture(scope="module")
def shared(requests: list[tuple[Image.Image, Prompt]]) -> list[tuple[Image.Image, Prompt]]:
    """Three prompts about each of two images, mixed, and one about a third."""
    texts = [prompt for _, prompt in requests]
    first, second, third = (image for image, _ in requests)
    return [
        (first, texts[0]),
        (second, texts[1]),
        (first, texts[2]),
        (third, texts[0]),
        (second, texts[2]),
        (first, texts[1]),
    ]


@pytest.mark.parametrize("capture", ["step", "forced", "none"])
def test_an_image_shared_by_prompts_is_encoded_once_and_changes_nothing(
    capture: Capture, models: Path, shared: list[tuple[Image.Image, Prompt]]
) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", capture=capture, generation=SETTINGS)
    encoded: list[int] = []
    tower = model._model.model.vision_tower
    hook = tower.register_forward_hook(lambda _, __, out: encoded.append(len(out.last_hidden_state)))
    together = model.generate(shared)
    hook.remove()
    assert encoded == [3]
    alone = [model.generate([request])[0] for request in shared]
    if capture == "none":
        assert [g.text for g in together] == [g.text for g in alone]
    else:
        same(together, alone)


def test_text_from_elsewhere_shares_images_too(models: Path, shared: list[tuple[Image.Image, Prompt]]) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    texts = ["A red car.", "No", "Two birds", "x", "The end of it all.", ""]
    same(model.attend(shared, texts), [model.attend([r], [t])[0] for r, t in zip(shared, texts, strict=True)])


def test_a_wide_and_a_tall_picture_of_the_same_bytes_are_two(models: Path) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    pixels = np.random.default_rng(2).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    wide, tall = Image.fromarray(pixels), Image.fromarray(pixels.reshape(64, 40, 3))
    assert wide.tobytes() == tall.tobytes()
    requests = [(image, Prompt("x", "open", "v", "What is it?")) for image in (wide, tall)]
    same(model.generate(requests), [model.generate([request])[0] for request in requests])


def test_a_model_without_image_tokens_is_one_line(models: Path, requests: list[tuple[Image.Image, Prompt]]) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", generation=SETTINGS)
    model._config.image_token_id = 3
    with pytest.raises(UserError, match="no image tokens are found in its prompts"):
        model.generate(requests)
