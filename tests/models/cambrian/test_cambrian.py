"""Cambrian-1 against what its original code gave for the same tiny random checkpoints (transformers 4.37, timm 0.9)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import CLIPVisionConfig, Dinov2Config, Dinov2Model, LlamaConfig, LlavaConfig

from pixfound.checkpoints import conversion
from pixfound.errors import UserError
from pixfound.models.cambrian.cambrian import KEYS, TOWERS, Cambrian
from pixfound.models.cambrian.inputs import CambrianProcessor, Pictures
from pixfound.models.cambrian.modules import Cambrian1, Design
from pixfound.models.cambrian.towers import CONVNEXT, build_convnext, resample_positions
from pixfound.models.geometry.layouts import kept_of_square
from pixfound.types import FloatArray, Generation, Prompt
from tests.support.lens import check_lens
from tests.support.pixel import DATA, GATES, PICTURE, gates_of, prompt_of, run_whole

HERE = DATA / "cambrian"
# 56 x 40 and 36 x 70 pixels: of the second, the bars reach into cells that are kept, and are masked there
PICTURES = {"wide": PICTURE, "tall": Image.open(HERE / "tall.png").convert("RGB")}
ASKED = Prompt("x", "open", "v", "Can you see it?")
EXPECTED = np.load(HERE / "expected.npz")


def tiny(folder: Path | None = None, **options: object) -> Cambrian:
    """The tiny checkpoint with the published prompt."""
    settings = {"dtype": "float32", "device": "cpu", "generation": {"max_new_tokens": 12}, **options}
    settings = {"towers": towers_of(HERE), "prompt": prompt_of("cambrian_8b"), **settings}
    return Cambrian(str(folder or HERE / "model"), **settings)  # type: ignore[arg-type]


def towers_of(folder: Path, **others: str) -> dict[str, dict[str, str | None]]:
    """The towers in a folder, or elsewhere."""
    return {name: {"path": others.get(name, str(folder / name))} for name in TOWERS}


@pytest.fixture(scope="module")
def model() -> Cambrian:
    return tiny()


def logits_of(model: Cambrian, image: Image.Image, ids: list[int]) -> FloatArray:
    """(T, V) the logits that led to each token of an answer."""
    inputs = model.encode([(image, ASKED)])
    told = torch.tensor([ids])
    whole = {
        "input_ids": torch.cat([inputs["input_ids"], told], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], torch.ones_like(told)], dim=1),
    }
    with torch.inference_mode():
        found = model.loaded()(**{**inputs, **whole}).logits[0]
    return np.asarray(found[inputs["input_ids"].shape[1] - 1 : -1])


@pytest.mark.verifies("attention", model="cambrian")
@pytest.mark.parametrize("name", PICTURES)
def test_the_original_says_and_looks_the_same(model: Cambrian, name: str) -> None:
    found, ids = model.answer([(PICTURES[name], ASKED)])[0]
    assert ids == EXPECTED[f"{name}_new"].tolist()[1:]  # the original's generation puts a begin token before them
    assert np.abs(logits_of(model, PICTURES[name], ids) - EXPECTED[f"{name}_logits"]).max() < 1e-4
    assert found.attention is not None and found.penultimate is not None
    rows = np.concatenate([found.penultimate[None], found.attention[1:]])  # of the paper's script: without row 0
    assert np.abs(rows - EXPECTED[f"{name}_attention"]).max() < 1e-6
    assert np.abs(found.attention[0] - EXPECTED[f"{name}_first"]).max() < 1e-6


def test_the_lens_is_that_of_its_hidden_states() -> None:
    check_lens(tiny(lens="all"), (PICTURE, ASKED))


def test_the_original_sees_the_same(model: Cambrian) -> None:
    pictures: Pictures = model._processor.image_processor
    views = [pictures.view(PICTURE, name) for name in TOWERS]
    for i, (name, view) in enumerate(zip(TOWERS, views, strict=True)):
        part = view if name != "convnext" else view[:, ::7, ::7]
        assert np.abs(part.numpy() - EXPECTED[f"view_{i}"]).max() < 1e-6, name
    with torch.inference_mode():
        grids = model.loaded().model.towers([view[None] for view in views])
    for i, (name, grid) in enumerate(zip(TOWERS, grids, strict=True)):
        part = grid[0] if name != "convnext" else grid[0, ::17]
        assert np.abs(part.numpy() - EXPECTED[f"tower_{i}"]).max() < 1e-4, name


def test_the_original_reads_the_same_prompt(model: Cambrian) -> None:
    """With a tokenizer that begins no text by itself, and with one that does."""
    processor: CambrianProcessor = model._processor
    text = model._encoder.chat(ASKED.text)
    place = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert [-200 if i == place else i for i in processor.ids(text, 1)] == EXPECTED["ids"].tolist()
    other: CambrianProcessor = tiny()._processor
    begin = TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", 0)])
    other.tokenizer.backend_tokenizer.post_processor = begin
    assert [-200 if i == place else i for i in other.ids(text, 1)] == EXPECTED["ids_bos"].tolist()


def test_the_layers_inside_read_where_the_config_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token too early, as the original does where a prompt is longer than the one that it was trained with."""
    folder = altered(tmp_path, {}, image_position=int(EXPECTED["ids"].tolist().index(-200)) - 1)
    shifted = tiny(folder)
    assert tiny().tiles(PICTURE) and not caplog.messages
    ids = shifted.answer([(PICTURE, ASKED)])[0][1]
    assert ids == EXPECTED["shifted_new"].tolist()[1:] != EXPECTED["wide_new"].tolist()[1:]
    assert np.abs(logits_of(shifted, PICTURE, ids) - EXPECTED["shifted_logits"]).max() < 1e-4
    assert "puts the image at token 441, and this checkpoint reads it at 440" in caplog.messages[0]


def test_a_batch_and_a_shared_prefix_change_nothing(model: Cambrian) -> None:
    more = Prompt("y", "open", "v", "Is there anything else in it?")
    requests = [(PICTURE, ASKED), (PICTURES["tall"], more), (PICTURE, more)]
    for request, found in zip(requests, model.generate(requests), strict=True):
        alone = model.generate([request])[0]
        assert found.text == alone.text
        assert found.tiles == alone.tiles
        assert close(found, alone)


def test_one_pass_over_the_answer_gives_the_same_attention(model: Cambrian) -> None:
    requests = [(PICTURE, ASKED), (PICTURES["tall"], ASKED)]
    forced = tiny(capture="forced").generate(requests)
    for found, expected in zip(forced, model.generate(requests), strict=True):
        assert found.text == expected.text
        assert close(found, expected)
    silent = tiny(capture="none").generate(requests)
    assert [g.text for g in silent] == [g.text for g in forced]
    assert all(g.attention is None for g in silent)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_looks_at_the_same_places(model: Cambrian, dtype: str) -> None:
    """Towers, aggregator and language model all have the dtype; the row before the answer depends on no token of it."""
    half = tiny(dtype=dtype)
    found, expected = half.generate([(PICTURE, ASKED)])[0], model.generate([(PICTURE, ASKED)])[0]
    assert {p.dtype for p in half.loaded().parameters()} == {getattr(torch, dtype)}
    assert found.attention is not None and expected.attention is not None
    assert np.abs(found.attention[0] - expected.attention[0]).max() < 0.05 * expected.attention[0].max()


def close(found: Generation, expected: Generation) -> bool:
    assert found.attention is not None and expected.attention is not None
    return bool(np.abs(found.attention - expected.attention).max() < 1e-6)


@pytest.mark.parametrize("name", PICTURES)
def test_a_tile_lies_where_its_tokens_read(model: Cambrian, name: str) -> None:
    """The token that changes most when a spot is painted is the one whose cell holds the spot."""
    image = PICTURES[name]
    (tile,) = model.tiles(image)
    rows, columns = tile.grid
    x0, y0, x1, y1 = tile.box
    pictures: Pictures = model._processor.image_processor
    assert pictures.count(image) == rows * tile.stride
    before = cells(model, image)
    hits = []
    for row in range(rows):
        for column in range(columns):
            x = x0 + (column + 0.5) * (x1 - x0) / columns
            y = y0 + (row + 0.5) * (y1 - y0) / rows
            pixels = np.array(image)
            spot = pixels[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2]
            spot[:] = 255 * (spot < 128)
            change = np.abs(cells(model, Image.fromarray(pixels)) - before).sum(axis=(1, 2))
            hits.append(int(change.argmax()) == row * columns + column)
    assert np.mean(hits) > 0.9


def cells(model: Cambrian, image: Image.Image) -> FloatArray:
    """(M, K, D) what the kept cells read of the tower with the finest grid; the others see the whole picture."""
    inputs = model.encode([(image, ASKED)])
    with torch.inference_mode():
        seen = model.loaded().model.get_image_features(inputs["pixel_values"], inputs["image_sizes"])
    return np.asarray(seen.windows.features[3])


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([6, 24, 96]))
def test_what_is_kept_of_a_square_holds_the_image(height: int, width: int, side: int) -> None:
    """Against the arithmetic of the original on the padded square; of very long images, two rows or columns."""
    top, foot, left, right = kept_of_square((height, width), side)
    rows, columns = foot - top, right - left
    assert max(rows, columns) == side and min(rows, columns) >= 2
    assert top + foot == side and left + right == side
    expected = side - 2 * ((side - int(min(height, width) * (side / max(height, width)))) // 2)
    assert min(rows, columns) == max(expected, 2)
    cell = max(height, width) / side
    assert min(rows, columns) * cell > min(height, width) - cell  # less than half a cell is lost at either edge


@pytest.mark.verifies("VQA", model="cambrian")
@pytest.mark.parametrize("extraction", ["attend_segment", "text_box"])
def test_goes_through_the_whole_pipeline(extraction: str, tmp_path: Path) -> None:
    where = [f"model.path={HERE / 'model'}", *(f"model.towers.{name}.path={HERE / name}" for name in TOWERS)]
    metrics = run_whole(tmp_path, "model=cambrian_8b", *where, f"extraction={extraction}", "limit=2")
    assert metrics["failures"] == 0


@pytest.mark.verifies("certificate", model="cambrian")
def test_its_certificate_shuts_no_gate(tmp_path: Path) -> None:
    where = [f"model.path={HERE / 'model'}", *(f"model.towers.{name}.path={HERE / name}" for name in TOWERS)]
    assert gates_of(tmp_path, "model=cambrian_8b", *where) == dict.fromkeys(GATES, True)


def test_every_key_is_used_or_dropped_for_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unexpected keys model\.vision_sampler_1\.x"):
        _ = tiny(altered(tmp_path / "a", {"model.vision_sampler_1.x": torch.zeros(1)}))._model
    with pytest.raises(UserError, match=r"missing keys model\.connector\.image_newline"):
        _ = tiny(altered(tmp_path / "b", {"model.image_newline": None}))._model
    with pytest.raises(UserError, match="has shape"):
        _ = tiny(altered(tmp_path / "c", {"model.vision_query": torch.zeros(1, 16)}))._model
    assert all(KEYS.targets(name) for name in conversion.Checkpoint(str(HERE / "model"), "x").names)
    dropped = {n for n in conversion.Checkpoint(str(HERE / "convnext"), "x").names if not CONVNEXT.targets(n)}
    assert {"logit_scale", "visual.head.proj.weight", "visual.trunk.head.norm.weight"} <= dropped
    assert not any(".stages." in name or ".stem." in name for name in dropped)


def test_a_tower_of_timms_own_repository_is_the_same(tmp_path: Path, model: Cambrian) -> None:
    """Their names have no `visual.trunk.` before them."""
    shutil.copytree(HERE / "convnext", tmp_path, dirs_exist_ok=True)
    state = load_file(tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_model.safetensors").unlink()
    trunk = {n.removeprefix("visual.trunk."): t for n, t in state.items() if n.startswith("visual.trunk.")}
    save_file(trunk, tmp_path / "model.safetensors")
    towers = towers_of(HERE, convnext=str(tmp_path))
    other = tiny(towers=towers)
    assert other.identity() != model.identity()
    assert other.answer([(PICTURE, ASKED)])[0][1] == EXPECTED["wide_new"].tolist()[1:]
    state = load_file(tmp_path / "model.safetensors")
    save_file({**state, "stages.9.spare": torch.zeros(1)}, tmp_path / "model.safetensors")
    other = tiny(towers=towers)
    with pytest.raises(UserError, match=r"model\.towers\.convnext\.path=.*unexpected keys stages\.9\.spare"):
        _ = other._model


def test_what_is_wrong_is_one_line(tmp_path: Path, models: Path) -> None:
    prompt, towers = prompt_of("cambrian_8b"), towers_of(Path("a"))
    with pytest.raises(UserError, match="must hold <image> once"):
        Cambrian("a/b", towers=towers, prompt="<|user|> {}")
    with pytest.raises(UserError, match=r"model\.towers\.clip\.path: is missing"):
        Cambrian("a/b", towers={**towers, "clip": {}}, prompt=prompt)
    with pytest.raises(UserError, match=r"model\.towers\.dino: no such tower.*dinov2"):
        Cambrian("a/b", towers={**towers, "dino": {"path": "a/b"}}, prompt=prompt)
    with pytest.raises(UserError, match=r"num_beams: must be 1"):
        Cambrian("a/b", towers=towers, prompt=prompt, generation={"num_beams": 2})
    with pytest.raises(UserError, match="without Cambrian-1's config"):
        _ = tiny(models / "llava")._published
    with pytest.raises(UserError, match="one query for each token"):
        _ = tiny(altered(tmp_path / "a", {}, query_num_list=[9, 36]))._published
    with pytest.raises(UserError, match="only the four towers"):
        _ = tiny(altered(tmp_path / "b", {}, mm_vision_tower_aux_list=["openai/clip"]))._sides
    short = tiny(prompt="<image>\n{}")
    with pytest.raises(UserError, match="puts the image at token 0, and this checkpoint reads it at 441"):
        short.tiles(PICTURE)


def altered(folder: Path, changes: dict[str, torch.Tensor | None], **config: object) -> Path:
    """A copy of the tiny checkpoint with other tensors (None takes one away) and other settings."""
    shutil.copytree(HERE / "model", folder, dirs_exist_ok=True)
    state = {**load_file(folder / "model.safetensors"), **changes}
    save_file({n: t for n, t in state.items() if t is not None}, folder / "model.safetensors")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **config}))
    return folder


def test_the_published_prompt_and_towers() -> None:
    """Against the figures of the original's conversation `llama_3` and of its script for the 8B model."""
    config = yaml.safe_load(Path("conf/model/cambrian_8b.yaml").read_text())
    Cambrian(**{k: v for k, v in config.items() if k not in ("_target_", "coordinates")})
    assert tuple(config["towers"]) == TOWERS
    assert config["prompt"].count("\n    ") == 2
    end = "<|eot_id|><|start_header_id|>user<|end_header_id|><image>\n{}<|eot_id|>"
    end += "<|start_header_id|>assistant<|end_header_id|>"
    assert config["prompt"].endswith(f"open-ended questions. {end}")


def test_the_published_sizes_are_the_originals() -> None:
    """Against the original built with the settings of its script for the 8B model: 8,333,022,208 parameters in 776."""
    llama = LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8,
    )  # fmt: skip
    config = LlavaConfig(vision_config=CLIPVisionConfig(), text_config=llama)
    widths = [1152, 1024, 1536, 384 + 768 + 1536 + 3072]
    design = Design(
        [24, 24, 24, 96], widths, side=24, inner=1024, depth=3, samplers=10, start=0, stride=3, image_position=91
    )
    with torch.device("meta"):
        model = Cambrian1(config, design, Pictures({}, 24))
        convnext = build_convnext({})
    assert sum(p.numel() for p in model.parameters()) == 8_333_022_208
    assert len(model.state_dict()) == 776
    sampler = model.model.connector.samplers[9]
    assert sampler.proj_in.weight.shape == (1024, 4096 + 1024)
    assert [tuple(p.shape) for p in sampler.pos_embed.values()] == [(16, 1024)]
    assert sum(p.numel() for p in convnext.parameters()) == 843_391_872
    assert {m.eps for m in convnext.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-5}


def test_positions_are_resampled_as_the_original_does() -> None:
    """37 x 37 positions for a picture of 378 pixels: 27 cells, a tenth of one more in the scale."""
    model = Dinov2Model(Dinov2Config(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=518))
    stored = model.embeddings.position_embeddings.detach().clone()
    resample_positions(model, 378)
    found = model.embeddings.position_embeddings
    assert found.shape == (1, 1 + 27 * 27, 8)
    assert torch.equal(found[:, 0], stored[:, 0])
    square = stored[0, 1:].T.view(1, 8, 37, 37)
    ratio = torch.nn.functional.interpolate(square, size=(27, 27), mode="bicubic").flatten(2)[0].T
    assert float((found[0, 1:] - ratio).detach().abs().max()) > 1e-4  # what later versions would make of them
    unchanged = found.detach().clone()
    resample_positions(model, 378)
    assert torch.equal(unchanged, model.embeddings.position_embeddings)
