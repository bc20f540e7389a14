"""Sa2VA and RGA3 against what their original code gave for the same tiny random checkpoints.

The originals ran under transformers 4.57 (Sa2VA) and 4.49 (RGA3).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from pixfound.checkpoints import conversion
from pixfound.errors import UserError
from pixfound.models.pixel.sa2va import Sa2VA
from pixfound.models.pixel.sa2va_backbones import LINES as ARCHITECTURES
from pixfound.models.pixel.sa2va_backbones import QWEN_KEYS
from pixfound.models.pixel.sa2va_modules import Sa2VAModules
from pixfound.models.pixel.seg_tokens import hidden_states
from pixfound.types import Prompt
from tests.support.lens import check_lens
from tests.support.pixel import DATA, GATES, PICTURE, ROOT, furthest_from_eager, gates_of, run_whole
from tests.support.run import config_of

LINES = {
    "sa2va_qwen2_5": "sa2va_qwen2_5_vl_7b",
    "sa2va_qwen3": "sa2va_qwen3_vl_4b",
    "sa2va_internvl3": "sa2va_internvl3_2b",
    "rga3": "rga3",
}
REQUEST = (PICTURE, Prompt("x", "ground", "v", "Please segment it."))
FORMATS = ("architecture", "place", "final_norm", "bf16_mean")


def tiny(line: str, folder: Path | None = None, **options: object) -> Sa2VA:
    """The tiny checkpoint with the published line's formats."""
    published = yaml.safe_load((ROOT / "conf" / "model" / f"{LINES[line]}.yaml").read_text())
    settings = {name: published[name] for name in FORMATS}
    settings |= {"dtype": "float32", "device": "cpu", "generation": {"max_new_tokens": 16}, **options}
    return Sa2VA(path=str(folder or DATA / line / "model"), **settings)


def drawn(model: Sa2VA, ids: list[int]) -> np.ndarray:
    """(S, H, W) mask logits for an answer."""
    modules, seg = model._modules, model._processor.tokenizer.convert_tokens_to_ids("[SEG]")
    where = [i for i, one in enumerate(ids) if one == seg]
    with torch.inference_mode():
        states = hidden_states(model, REQUEST, ids, where, model.place, model.final_norm)
        return np.stack(list(modules.logits(PICTURE, states)))


@pytest.mark.verifies("native masks")
@pytest.mark.parametrize("line", LINES)
def test_the_original_says_and_draws_the_same(line: str) -> None:
    model, expected = tiny(line), np.load(DATA / line / "expected.npz")
    modules, ids = model._modules, expected["new"].tolist()
    assert model.answer([REQUEST])[0][1] == ids
    with torch.inference_mode():
        states = hidden_states(model, REQUEST, ids, range(len(ids)), "before")
        logits = modules.language.lm_head(states).numpy()
    assert np.abs(logits - expected["logits"][:-1]).max() < 1e-4
    masks = drawn(model, ids)
    assert masks.shape == expected["masks"].shape
    slack = 2e-5 * max(5, np.abs(expected["masks"]).max())  # float32 has 1.2e-7 of the largest, in sums of some hundred
    assert np.abs(masks - expected["masks"]).max() < slack
    found = model.generate([REQUEST])[0]
    assert len(found.masks) == len(masks) >= 2
    for mask, logit in zip(found.masks, expected["masks"], strict=True):
        assert ((mask.decode() == (logit > 0)) | (np.abs(logit) < slack)).all()


def original_masks(model: Sa2VA, request: tuple[Image.Image, Prompt], new: int) -> np.ndarray:
    """(S, H, W) logits by the original's steps: the states of `generate`, and [SEG] among all ids but the last.

    Its Qwen lines call `generate` with ids, which come back before the new ones; its InternVL lines with embeddings,
    so that only the new ones do.
    """
    modules = model._modules
    inputs = model.encode([request])
    out = modules.language.generate(
        **inputs, max_new_tokens=new, do_sample=False, output_hidden_states=True, return_dict_in_generate=True
    )
    states = torch.cat([step[-1][0] for step in out.hidden_states])
    ids = out.sequences[0][:-1]
    if model.architecture == "internvl":
        ids = ids[inputs["input_ids"].shape[1] :]
    chosen = states[len(states) - len(ids) :][ids == model._processor.tokenizer.convert_tokens_to_ids("[SEG]")]
    with torch.inference_mode():
        logits = list(modules.logits(PICTURE, chosen)) if len(chosen) else []
    return np.stack([one.numpy() for one in logits]) if logits else np.zeros((0, *PICTURE.size[::-1]))


@pytest.mark.parametrize("line", ["sa2va_qwen2_5", "sa2va_internvl3"])
def test_a_seg_in_the_prompt_counts_as_in_the_original(line: str) -> None:
    """It does where the original generates from ids, and does not where it generates from embeddings."""
    asked = (PICTURE, Prompt("x", "ground", "v", "Please [SEG] it and [SEG]."))
    model, silent = tiny(line), tiny(line, generation={"max_new_tokens": 1})
    for one, new in ((model, 16), (silent, 1)):
        expected = original_masks(one, asked, new)
        masks = one.generate([asked])[0].masks
        assert len(masks) == len(expected)
        for mask, logit in zip(masks, expected, strict=True):
            assert ((mask.decode() == (logit > 0)) | (np.abs(logit) < 1e-4)).all()
    assert len(silent.generate([asked])[0].masks) == (2 if line == "sa2va_qwen2_5" else 0)
    first = tiny(line, seg="first").generate([asked])[0].masks
    assert first == model.generate([asked])[0].masks[:1]


@pytest.mark.parametrize("line", ["sa2va_qwen2_5", "sa2va_internvl3", "rga3"])
def test_an_answer_cut_right_after_seg(line: str) -> None:
    """The last id has no state of its own, so Sa2VA draws nothing; the state before it is there for RGA3."""
    ids = np.load(DATA / line / "expected.npz")["new"].tolist()
    model = tiny(line)
    first = ids.index(model._processor.tokenizer.convert_tokens_to_ids("[SEG]"))
    cut = tiny(line, generation={"max_new_tokens": first + 1}).generate([REQUEST])[0]
    assert cut.cut and cut.text
    assert len(cut.masks) == (1 if line == "rga3" else 0)
    longer = tiny(line, generation={"max_new_tokens": first + 2}).generate([REQUEST])[0]
    assert len(longer.masks) == 1
    if line != "rga3":
        assert len(original_masks(model, REQUEST, first + 1)) == 0
        assert len(original_masks(model, REQUEST, first + 2)) == 1


@pytest.mark.verifies("certificate", model="sa2va_internvl3")
def test_its_certificate_shuts_no_gate(tmp_path: Path) -> None:
    where = f"model.path={DATA / 'sa2va_internvl3' / 'model'}"
    assert gates_of(tmp_path, "model=sa2va_internvl3_2b", where) == dict.fromkeys(GATES, True)


FORCED = "Sure, [SEG].<|im_end|>"


def test_rga3_is_made_to_say_what_the_original_forces_upon_it() -> None:
    """Its own steps: the chat template with the answer in it, one pass, the state before [SEG]."""
    model = tiny("rga3", answer_prefix=FORCED)
    modules, processor = model._modules, model._processor
    content = [{"type": "image"}, {"type": "text", "text": REQUEST[1].text}]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "Sure, [SEG]."}]},
    ]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    inputs = processor(text=[text], images=[[PICTURE]], return_tensors="pt")
    seg = processor.tokenizer.convert_tokens_to_ids("[SEG]")
    with torch.inference_mode():
        states = modules.language.model(**inputs).last_hidden_state[0]
        (where,) = [i for i, one in enumerate(inputs["input_ids"][0].tolist()) if one == seg]
        (logits,) = modules.logits(PICTURE, states[[where - 1]])
    (found,) = model.generate([REQUEST])
    (mask,) = found.masks
    assert ((mask.decode() == (logits > 0).numpy()) | (np.abs(logits.numpy()) < 1e-4)).all()
    assert found.text.startswith("Sure, ") and not found.cut
    assert mask.area != tiny("rga3").generate([REQUEST])[0].masks[0].area


def test_a_begun_answer_is_gone_on_with_beside_free_ones() -> None:
    """In one batch: what the model goes on with is what it says after a prompt with the same ids."""
    requests = [(PICTURE, Prompt("y", "open", "v", "Is it red?")), REQUEST]
    free, begun = tiny("rga3", capture="step"), tiny("rga3", capture="step", answer_prefix="Sure,")
    (open_free, _), (open_begun, found) = free.generate(requests), begun.generate(requests)
    assert open_begun.text == open_free.text
    assert np.abs(open_begun.attention - open_free.attention).max() < 1e-5
    told = begun.tokenizer("Sure,", add_special_tokens=False)["input_ids"]
    ids = begun.answer([REQUEST])[0][1]
    assert ids[: len(told)] == told
    inputs = begun.encode([REQUEST])
    longer = torch.cat([inputs["input_ids"], torch.tensor([told])], dim=1)
    pixels = {name: inputs[name] for name in ("pixel_values", "image_grid_thw")}
    kinds = {"mm_token_type_ids": (longer == begun.loaded().config.image_token_id).long()}
    mask = torch.ones_like(longer)
    out = begun.loaded().generate(longer, attention_mask=mask, **pixels, **kinds, max_new_tokens=16, do_sample=False)
    assert out[0, longer.shape[1] :].tolist() == ids[len(told) :]
    assert found.attention is not None and len(found.attention) == len(ids) == len(found.spans)
    forced = tiny("rga3", capture="forced", answer_prefix="Sure,").generate([REQUEST])[0]
    assert np.abs(forced.attention - found.attention).max() < 1e-5


def test_the_paper_forces_rga3_alone() -> None:
    for prompts, model, expected in (("paper", "rga3", FORCED), ("uniform", "rga3", None), ("paper", "lisa_7b", None)):
        config = config_of(f"model={model}", f"prompts={prompts}")
        assert config["model"]["answer_prefix"] == expected


def test_internvl_is_shown_what_the_original_shows_it() -> None:
    """Prompt and pixels: 4 x 3 tiles of the picture and the whole of it, and where they lie in it."""
    model, expected = tiny("sa2va_internvl3", capture="step"), np.load(DATA / "sa2va_internvl3" / "expected.npz")
    inputs = model.encode([REQUEST])
    assert inputs["input_ids"][0].tolist() == expected["ids"].tolist()
    assert np.abs(inputs["pixel_values"].numpy() - expected["pixels"]).max() < 1e-5
    tiles = model.generate([REQUEST])[0].tiles
    assert [tile.grid for tile in tiles] == [(2, 2)] * 13
    assert tiles[0].box == (0, 0, 14, 40 / 3)
    assert tiles[11].box == (42, 80 / 3, 56, 40)
    assert tiles[12].box == (0, 0, 56, 40)


def test_every_key_of_internvl_has_a_place_or_a_reason() -> None:
    names = conversion.Checkpoint(str(DATA / "sa2va_internvl3" / "model"), "x").names
    keys = ARCHITECTURES["internvl"].keys
    assert all("sam2_model." in n and ("mem" in n or "obj_ptr" in n or "no_obj" in n or "mask_down" in n)
               for n in names if not keys.targets(n))  # fmt: skip
    fused = [n for n in names if n.startswith("vision_model.") and ".qkv." in n]
    assert len(fused) == 4
    assert [t.name.split(".")[-2] for t in keys.targets(fused[0])] == ["q_proj", "k_proj", "v_proj"]
    assert [t.part for t in keys.targets(fused[0])] == [(0, 3), (1, 3), (2, 3)]


def test_an_internvl_that_is_not_read_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(DATA / "sa2va_internvl3" / "model", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["llm_config"]["model_type"] = "internlm2"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"its language model is internlm2.*model=precomputed"):
        _ = tiny("sa2va_internvl3", tmp_path)._model
    with pytest.raises(UserError, match=r"model\.pixels: InternVL cuts.*pixels=null"):
        _ = tiny("sa2va_internvl3", pixels=[1, 2])._model


@pytest.mark.parametrize("line", ["sa2va_qwen2_5", "sa2va_qwen3"])
def test_a_first_resize_changes_the_grid_alone(line: str) -> None:
    """40 x 56 pixels become 56 x 84 first, of which the processor makes 4 x 5 squares of 16."""
    once, twice = (tiny(line, first_pixels=first, capture="step") for first in (None, [3136, 12845056]))
    a, b = (model.generate([REQUEST])[0].tiles[0] for model in (once, twice))
    assert a.grid != b.grid
    assert a.box == b.box == (0, 0, 56, 40)
    assert b.grid == (4, 5)


@pytest.mark.parametrize("line", ["sa2va_qwen2_5", "sa2va_internvl3"])
def test_code_that_a_repository_brings_is_never_asked_for(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published configs name their own classes in `auto_map`; transformers would ask at the terminal."""

    def asked(question: str = "") -> str:
        raise AssertionError(question)

    monkeypatch.setattr("builtins.input", asked)
    shutil.copytree(DATA / line / "model", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_sa2va_chat.X", "AutoModel": "modeling_sa2va_chat.Y"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert tiny(line, tmp_path)._processor.tokenizer.convert_tokens_to_ids("[SEG]") > 0


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("format", ["place", "final_norm", "bf16_mean"])
def test_every_convention_matters(line: str, format: str) -> None:
    """With any of them the other way, the masks are far from the original's."""
    model, expected = tiny(line), np.load(DATA / line / "expected.npz")
    now = getattr(model, format)
    wrong = {"at": "before", "before": "at"}.get(now, not now)
    other = tiny(line, **{format: wrong})
    assert np.abs(drawn(other, expected["new"].tolist()) - expected["masks"]).max() > 1e-3


def test_a_batch_changes_nothing_and_attention_comes_along() -> None:
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 70, 3), dtype=np.uint8))
    requests = [REQUEST, (wide, Prompt("y", "open", "v", "What?")), (PICTURE, Prompt("z", "open", "v", "Is it red?"))]
    model = tiny("sa2va_qwen2_5", capture="step")
    for request, found in zip(requests, model.generate(requests), strict=True):
        alone = model.generate([request])[0]
        assert (alone.text, alone.masks) == (found.text, found.masks)
        assert found.attention is not None
        assert found.attention.shape[1] == found.tiles[0].grid[0] * found.tiles[0].grid[1]
        assert all(mask.size == (request[0].height, request[0].width) for mask in found.masks)


@pytest.mark.verifies("VQA", "native masks")
@pytest.mark.parametrize("line", LINES)
def test_goes_through_the_whole_pipeline(line: str, tmp_path: Path) -> None:
    metrics = run_whole(tmp_path, f"model={LINES[line]}", f"model.path={DATA / line / 'model'}", "model.pixels=null")
    assert metrics["failures"] == 0
    path = f"model.path={DATA / line / 'model'}"
    attend = ("extraction=attend_segment", "model.capture=step")
    more = run_whole(tmp_path, f"model={LINES[line]}", path, "model.pixels=null", *attend)
    assert more["failures"] == 0


@pytest.mark.verifies("attention")
@pytest.mark.parametrize("line", LINES)
def test_attention_equals_eager(line: str) -> None:
    for options in ({}, {"layers": [0], "heads": [1]}):
        assert furthest_from_eager(tiny(line, capture="step", **options), REQUEST, **options) < 1e-5
    check_lens(tiny(line, lens="all"), REQUEST)


def test_older_names_are_read_too(tmp_path: Path) -> None:
    """Checkpoints saved before transformers 4.52 name the language model's layers without `language_model`."""
    state = load_file(DATA / "sa2va_qwen2_5" / "model" / "model.safetensors")
    old = {n.replace("model.model.language_model.", "model.model.").replace("model.model.visual", "model.visual"): t
           for n, t in state.items()}  # fmt: skip
    assert set(old) != set(state)
    folder = altered(tmp_path, old)
    assert tiny("sa2va_qwen2_5", folder).generate([REQUEST])[0] == tiny("sa2va_qwen2_5").generate([REQUEST])[0]


def test_shards_and_what_is_missing(tmp_path: Path) -> None:
    state = load_file(DATA / "sa2va_qwen2_5" / "model" / "model.safetensors")
    names = sorted(state)
    folder = altered(tmp_path, {n: state[n] for n in names[::2]})
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    save_file({n: state[n] for n in names[1::2]}, folder / "model-00002-of-00002.safetensors")
    places = {n: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, n in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert tiny("sa2va_qwen2_5", folder).generate([REQUEST])[0] == tiny("sa2va_qwen2_5").generate([REQUEST])[0]
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="lacks model-00002-of-00002"):
        _ = tiny("sa2va_qwen2_5", folder)._model


def test_what_is_dropped_has_a_reason_and_the_rest_must_fit(tmp_path: Path) -> None:
    names = conversion.Checkpoint(str(DATA / "sa2va_qwen2_5" / "model"), "x").names
    dropped = [n for n in names if not QWEN_KEYS.targets(n)]
    assert dropped
    assert all("sam2_model." in n and ("mem" in n or "obj_ptr" in n or "no_obj" in n or "mask_down" in n)
               for n in dropped)  # fmt: skip
    state = load_file(DATA / "sa2va_qwen2_5" / "model" / "model.safetensors")
    with pytest.raises(UserError, match=r"unexpected keys model\.spare"):
        _ = tiny("sa2va_qwen2_5", altered(tmp_path / "a", {**state, "model.spare.x": torch.zeros(1)}))._model
    part = {n: t for n, t in state.items() if "text_hidden_fcs" not in n}
    with pytest.raises(UserError, match=r"missing keys text_hidden_fcs"):
        _ = tiny("sa2va_qwen2_5", altered(tmp_path / "b", part))._model
    with pytest.raises(UserError, match='must be one of "qwen2_5_vl", "qwen3_vl", "internvl"'):
        Sa2VA(path="a/b", architecture="llava", place="at", bf16_mean=True)  # type: ignore[arg-type]


def altered(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """A copy of Sa2VA's tiny checkpoint with another state dict."""
    shutil.copytree(DATA / "sa2va_qwen2_5" / "model", folder, dirs_exist_ok=True)
    save_file({name: tensor.clone() for name, tensor in state.items()}, folder / "model.safetensors")
    return folder


def test_the_published_sam_2_is_hiera_l() -> None:
    """Against the figures of Meta's own Hiera-L: what its image encoder, prompt encoder and mask decoder hold."""
    from transformers import AutoConfig

    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model("qwen2_5_vl", text_config={**text, "num_key_value_heads": 2, "vocab_size": 8})
    with torch.device("meta"):
        sam2 = Sa2VAModules(config, None, bf16_mean=True).sam2
    assert sum(p.numel() for p in sam2.parameters()) + 2 * 128 == 216_925_121
    blocks = sam2.vision_encoder.backbone.blocks
    assert len(blocks) == 48
    assert [i for i, block in enumerate(blocks) if block.window_size == 0] == [23, 33, 43]
    assert [blocks[i].window_size for i in (0, 2, 3, 8, 9, 44, 45)] == [8, 8, 4, 4, 16, 16, 8]


def test_it_keeps_its_layers_and_says_what_fits() -> None:
    model = tiny("sa2va_qwen2_5", capture="step", keep="layers")
    (said,) = model.generate([REQUEST])
    assert model.keep == "layers" and said.kept is not None and said.attention is not None
    assert np.abs(said.kept.mean()[1:] - said.attention).max() < 1e-6
    assert (
        np.abs(
            said.kept.mean(0)[1:] - tiny("sa2va_qwen2_5", capture="step", layers=[0]).generate([REQUEST])[0].attention
        ).max()
        < 1e-6
    )
    assert model.max_batch([REQUEST]).prompts > 1
