"""Every family through the one adapter: capture against eager attention, geometry against moved pixels, prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText

from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.types import FloatArray, Generation, Prompt, Tile
from tests.support.families import EVERY_FAMILY, FAMILIES
from tests.support.family import adapter as adapter_of
from tests.support.family import skipped
from tests.support.lens import check_lens, near

Folder = Callable[[str], Path]
TEXTS = ("hi", "What is this thing here?", "Identify the red object in the scene, please.")
SIZES = ((64, 64), (60, 110), (130, 50))  # (H, W)
STEPS = 5
SETTINGS = {"max_new_tokens": STEPS, "min_new_tokens": STEPS}

every_family = pytest.mark.parametrize("family", EVERY_FAMILY)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


def adapter(folder: Path, **options: Any) -> HuggingFace:
    return adapter_of(folder, **{"generation": SETTINGS, **options})


@pytest.fixture(scope="module")
def requests() -> list[tuple[Image.Image, Prompt]]:
    return [(noise(size, i), Prompt(str(i), "open", "v", TEXTS[i])) for i, size in enumerate(SIZES)]


def eager_rows(model: Any, inputs: dict[str, Any], where: torch.Tensor) -> tuple[FloatArray, list[int]]:
    """Of one unpadded example: (1 + T, N) penultimate row and a row per step, all attention kept; and the ids."""
    length = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        out = model.generate(
            **inputs, **SETTINGS, do_sample=False, output_attentions=True, return_dict_in_generate=True
        )
    rows = []
    for step, maps in enumerate(out.attentions):
        picked = []
        for layer in maps:
            padded = layer.new_zeros(*layer.shape[1:3], length + step)
            padded[..., length + step - layer.shape[-1] :] = layer[0]  # a sliding window has lost the oldest keys
            picked.append(padded[..., where])
        mean = torch.stack(picked).mean((0, 1))
        rows += [mean[-2], mean[-1]] if step == 0 else [mean[-1]]
    return torch.stack(rows).numpy(), out.sequences[0, length:].tolist()


def check_gradients(model: HuggingFace, eager: Any, request: tuple[Image.Image, Prompt], layers: list[int]) -> None:
    """Eager attention of every token, and embeddings that are no leaf, within the start of an answer; rollout too."""
    image, rendered, layer = request[0], model._encoder.chat(request[1].text), layers[-2]
    inputs, given = model._written(image, rendered, "A dog"), []

    def note(_: Any, __: Any, keywords: dict[str, Any]) -> None:
        given.append(keywords["inputs_embeds"])
        given[-1].retain_grad()

    hook = eager.get_decoder().register_forward_pre_hook(note, with_kwargs=True)
    out = eager(**inputs, output_attentions=True, use_cache=False)
    hook.remove()
    where = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
    logs, weights = out.logits[0, -1].log_softmax(-1), out.attentions[layers.index(layer)]
    (gradient,) = torch.autograd.grad(logs.max(), weights, retain_graph=True)
    (-(logs.exp() * logs).sum()).backward()
    attention = (weights * gradient.relu())[0, :, -1].mean(0)[where].detach()
    asked = [(image, rendered, "A dog")]
    assert np.abs(model.rollout_maps(asked)[0] - rollout(out.attentions, where.numpy())).max() < 1e-5
    for (found,), expected in (
        (model.gradient_maps(asked, "attention", layer), attention),
        (model.gradient_maps(asked, "entropy"), given[0].grad[0, where].norm(dim=-1)),
    ):
        assert isinstance(found, np.ndarray) and found.max() > 0
        assert (
            np.abs(found - expected.numpy()).max() < 1e-4 * found.max()
        )  # the gradient of a sure answer is a difference


def rollout(attentions: Sequence[Any], where: Any) -> FloatArray:
    """(N,) DecAF's rollout in double precision. attentions: (1, H, P, P) of each layer. where: (N) image tokens."""
    product = np.eye(attentions[0].shape[-1])
    for layer in attentions[len(attentions) // 2 :]:
        heads = layer[0].detach().double().numpy()
        strength = heads[:, :, where].max(axis=2).mean(axis=1)
        mean = (heads * (strength / strength.max())[:, None, None]).mean(axis=0)
        product = (mean + np.eye(len(mean))) / 2 @ product
    return np.asarray(product[-1, where])


def attending(folder: Path) -> list[int]:
    """The layers for which transformers' eager attention gives weights."""
    text = AutoConfig.from_pretrained(folder).get_text_config(decoder=True)
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    return [i for i, kind in enumerate(kinds) if kind in ("full_attention", "sliding_attention", "chunked_attention")]


@every_family
@pytest.mark.parametrize("capture", ["none", "step"])
def test_logits_that_are_no_numbers_are_no_answer(
    family: str, capture: str, family_folder: Folder, requests: list[tuple[Image.Image, Prompt]]
) -> None:
    model = adapter(family_folder(family), capture=capture, generation={"max_new_tokens": 1})
    model.generate(requests[:1])
    head = model._model.get_output_embeddings()
    with torch.no_grad():
        right = head.weight[3].clone()
        head.weight[3] = torch.nan  # the row of one token
        try:
            with pytest.raises(FloatingPointError, match="the logits are not finite in float32"):
                model.generate(requests[:1])
        finally:
            head.weight[3] = right


@every_family
def test_a_kept_layer_and_head_are_those_captured_alone(
    family: str, family_folder: Folder, requests: list[tuple[Image.Image, Prompt]]
) -> None:
    """The first layer of some families slides; each has its own number of heads."""
    kept = adapter(family_folder(family), keep="heads").generate(requests)
    first, second, *_ = attending(family_folder(family))
    for layer, head in ((first, 1), (second, 0)):
        alone = adapter(family_folder(family), layers=[layer], heads=[head]).generate(requests)
        for one, other in zip(kept, alone, strict=True):
            assert one.text == other.text
            assert one.kept is not None and other.attention is not None
            assert np.abs(one.kept.mean(layer, head)[1:] - other.attention).max() < 1e-6


@pytest.mark.verifies("attention")
@every_family
def test_attention_equals_eager(family: str, family_folder: Folder, requests: list[tuple[Image.Image, Prompt]]) -> None:
    """A ragged, left-padded batch against one example at a time by `output_attentions=True`; lens and gradients too."""
    model = adapter(family_folder(family), lens="all")
    eager = AutoModelForImageTextToText.from_pretrained(
        family_folder(family), dtype=torch.float32, attn_implementation="eager"
    )
    assert len({len(model._encoder.chat(prompt.text)) for _, prompt in requests}) > 1
    for request, found in zip(requests, model.generate(requests), strict=True):
        inputs = model.encode([request])
        where = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
        rows, ids = eager_rows(eager, inputs, where)
        assert found.attention is not None
        assert found.penultimate is not None
        assert found.attention.shape == (STEPS, len(where))
        assert np.abs(found.attention - rows[1:]).max() < 1e-5
        assert np.abs(found.penultimate - rows[0]).max() < 1e-5
        assert found.attention.max() > 1e-3
        assert found.text == model.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
    assert len(check_lens(model, requests[1]).prompt) == len(TEXTS[1])  # a byte is a token
    check_gradients(model, eager, requests[1], attending(family_folder(family)))


def same(found: list[Generation], expected: list[Generation]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a.text, a.spans, a.tiles, a.image_size) == (b.text, b.spans, b.tiles, b.image_size)
        assert a.attention is not None
        assert b.attention is not None
        assert a.penultimate is not None
        assert b.penultimate is not None
        assert np.abs(a.attention - b.attention).max() < 1e-5
        assert np.abs(a.penultimate - b.penultimate).max() < 1e-5
        assert (a.lens is None) == (b.lens is None)
        if a.lens is not None and b.lens is not None:
            assert a.lens.to_json() == b.lens.to_json()
            for name, values in b.lens.arrays().items():
                near(a.lens.arrays()[name], torch.tensor(values))


@every_family
def test_the_forced_pass_gives_the_same_and_nothing_changes_the_text(
    family: str, family_folder: Folder, requests: list[tuple[Image.Image, Prompt]]
) -> None:
    by_step, forced, plain = (
        adapter(family_folder(family), capture=capture, lens=lens).generate(requests)
        for capture, lens in (("step", [0]), ("forced", [0]), ("none", None))
    )
    same(forced, by_step)
    assert [g.text for g in plain] == [g.text for g in by_step]
    assert all(g.attention is None for g in plain)


@every_family
def test_layers_and_heads_are_chosen(
    family: str, family_folder: Folder, requests: list[tuple[Image.Image, Prompt]]
) -> None:
    """The mean over layers is of each alone, and that of a layer of each of its heads."""
    folder, layers = family_folder(family), attending(family_folder(family))

    def attention(**chosen: Any) -> Any:
        (generation,) = adapter(folder, **chosen).generate(requests[:1])
        assert generation.attention is not None
        return generation.attention

    alone = [attention(layers=[layer]) for layer in layers]
    heads = [attention(layers=[layers[-1]], heads=[head]) for head in range(4)]
    assert np.abs(np.mean(alone, axis=0) - attention()).max() < 1e-5
    assert np.abs(np.mean(heads, axis=0) - alone[-1]).max() < 1e-5
    assert np.ptp(heads, axis=0).max() > 1e-5, "heads differ"


SHARED = [0, 1, 2, 0]  # which picture each prompt is about
UNSHARED = (
    "paligemma",  # the image is read in the light of the question
    "gemma3",  # its window is shorter than the prompt
    "molmo2",  # its pictures are told as places in a list
    "qwen3_5",  # some layers keep a state and no tokens
    "qwen3_5_moe",
    "lfm2_vl",
    "minicpmv4_6",
    "exaone4_5",  # its positions count padding
)


@pytest.mark.parametrize("family", ["qwen3_5", pytest.param("lfm2_vl", marks=skipped("torchvision"))])
def test_a_layer_that_hands_on_a_state_gives_no_attention(family: str, family_folder: Folder) -> None:
    """The mean is over the others, as eager attention's is; one that is asked for is named without the weights."""
    folder = family_folder(family)
    eager = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    inputs = adapter(folder)._encoder.encode([(noise((64, 64)), Prompt("x", "open", "v", "What?"))])
    assert len(eager(**inputs, output_attentions=True).attentions) == len(attending(folder)) == 2
    with pytest.raises(UserError, match=r"model\.layers: layer 1 of .* gives no attention weights; those .* are 0, 2"):
        _ = HuggingFace(str(folder), layers=[0, 1])._config


@every_family
@pytest.mark.parametrize(("capture", "sizes"), [("step", SIZES), ("forced", SIZES), ("step", [SIZES[1]] * 3)])
def test_a_shared_prefix_changes_nothing(capture: Any, sizes: Any, family: str, family_folder: Folder) -> None:
    model = adapter(family_folder(family), capture=capture, lens="all")
    images = [noise(size, i) for i, size in enumerate(sizes)]
    requests = [(images[which], Prompt(str(i), "open", "v", TEXTS[i % 3] + "?" * i)) for i, which in enumerate(SHARED)]
    encoded: list[int] = []
    hook = model._model.get_input_embeddings().register_forward_hook(lambda _, ids, __: encoded.append(len(ids[0])))
    together = model.generate(requests)
    hook.remove()
    shares = encoded[0] == len(images)
    assert shares == (family not in UNSHARED)
    same(together, [model.generate([request])[0] for request in requests])


def test_gemma_3_shares_a_picture_that_its_window_holds(tmp_path: Path) -> None:
    """Its picture sees itself in both directions, and all of it lies in what is shared."""
    family = FAMILIES["gemma3"]

    def wide(ids: Any, vocab: int) -> Any:
        config = family.config(ids, vocab)
        config.text_config.sliding_window = 512
        return config

    model = adapter(replace(family, config=wide).save(tmp_path))
    images = [noise(size, i) for i, size in enumerate(SIZES)]
    requests = [(images[which], Prompt(str(i), "open", "v", TEXTS[i % 3])) for i, which in enumerate(SHARED)]
    encoded: list[int] = []
    tower = model.loaded().model.vision_tower
    hook = tower.register_forward_hook(lambda _, __, out: encoded.append(len(out.last_hidden_state)))
    together = model.generate(requests)
    hook.remove()
    assert encoded == [len(images)]
    same(together, [model.generate([request])[0] for request in requests])


def image_embeddings(model: HuggingFace, image: Image.Image) -> FloatArray:
    """(N, D) what the decoder is given at the image's tokens."""
    given: list[torch.Tensor] = []

    def stop(_: Any, __: Any, keywords: dict[str, Any]) -> None:
        given.append(keywords["inputs_embeds"])
        raise StopIteration

    hook = model._model.get_decoder().register_forward_pre_hook(stop, with_kwargs=True)
    inputs = model.encode([(image, Prompt("x", "open", "v", "What?"))])
    with torch.inference_mode(), suppress(StopIteration):
        model._model(**inputs)
    hook.remove()
    return given[0][0][inputs["input_ids"][0] == model._config.image_token_id].numpy()


def cell(tile: Tile, row: int, column: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = tile.box
    high, wide = (y1 - y0) / tile.grid[0], (x1 - x0) / tile.grid[1]
    return x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide, y0 + (row + 1) * high


@every_family
@pytest.mark.parametrize(
    ("size", "layout"),
    [
        *[(size, "native") for size in [(192, 192), (180, 330), (330, 150), (64, 640), (640, 64)]],
        *[(size, "pad") for size in [(180, 330), (640, 64)]],
    ],
)
def test_moved_pixels_change_the_token_whose_cell_they_lie_in(
    size: tuple[int, int], layout: Any, family: str, family_folder: Folder
) -> None:
    model = adapter(family_folder(family), local=True, image_layout=layout, generation={"max_new_tokens": 1})
    before = image_embeddings(model, Image.new("RGB", (size[1], size[0])))
    (generation,) = model.generate([(Image.new("RGB", (size[1], size[0])), Prompt("x", "open", "v", "What?"))])
    rng = np.random.default_rng(0)
    tiles = generation.tiles
    tried = 0
    for tile in [tiles[i] for i in rng.permutation(len(tiles))]:
        for _ in range(0 if tried >= 6 else 40):
            row, column = rng.integers(tile.grid[0]), rng.integers(tile.grid[1])
            x0, y0, x1, y1 = cell(tile, int(row), int(column))
            high, wide = y1 - y0, x1 - x0
            spot = [max(0.0, x0 + wide / 12), max(0.0, y0 + high / 12)]
            spot += [min(float(size[1]), x1 - wide / 12), min(float(size[0]), y1 - high / 12)]
            if spot[2] - spot[0] < max(2.0, wide / 10) or spot[3] - spot[1] < max(2.0, high / 10):
                continue  # a bar beside the image, or too few pixels to hit
            check_spot(model, before, tiles, tile, (int(row), int(column)), spot, size)
            tried += 1
            if tried % 3 == 0:
                break
    assert tried >= 2


def check_spot(
    model: HuggingFace,
    before: FloatArray,
    tiles: tuple[Tile, ...],
    tile: Tile,
    place: tuple[int, int],
    spot: list[float],
    size: tuple[int, int],
) -> None:
    """White pixels in the middle of a cell change its token most in its own tile, and no tile that lies elsewhere."""
    pixels = np.zeros((*size, 3), np.uint8)
    x0, y0, x1, y1 = (round(v) for v in spot)
    pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = 255
    energy = np.square(image_embeddings(model, Image.fromarray(pixels)) - before).sum(axis=1)
    for other in tiles:
        index = other.first + np.arange(other.grid[0])[:, None] * other.stride + np.arange(other.grid[1])[None]
        grid = energy[index]
        if other == tile:
            assert np.unravel_index(int(grid.argmax()), grid.shape) == place
        high, wide = (other.box[3] - other.box[1]) / other.grid[0], (other.box[2] - other.box[0]) / other.grid[1]
        away = (
            x1 < other.box[0] - wide or x0 > other.box[2] + wide or y1 < other.box[1] - high or y0 > other.box[3] + high
        )
        if away:
            assert grid.max() < 0.05 * energy.max()
