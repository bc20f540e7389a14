"""LISA and GLaMM against what their original code gave for the same tiny random checkpoints (transformers 4.31)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pixfound.checkpoints import conversion
from pixfound.errors import UserError
from pixfound.models.pixel.lisa import KEYS, Lisa
from pixfound.models.pixel.lisa_modules import LisaModules
from pixfound.models.pixel.seg_tokens import hidden_states
from pixfound.types import Prompt
from tests.support.lens import check_lens
from tests.support.pixel import DATA, GATES, PICTURE, furthest_from_eager, gates_of, prompt_of, run_whole

LINES = {"lisa": "lisa_7b", "glamm": "glamm"}
REQUEST = (PICTURE, Prompt("x", "ground", "v", "Can you segment it?"))


def tiny(line: str, folder: Path | None = None, **options: object) -> Lisa:
    """The tiny checkpoint with the published line's prompt."""
    settings = {"dtype": "float32", "device": "cpu", "generation": {"max_new_tokens": 16}, **options}
    settings |= {"path": str(folder or DATA / line / "model"), "vision_tower": str(DATA / line / "clip")}
    return Lisa(prompt=prompt_of(LINES[line]), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("line", LINES)
def test_a_seg_in_the_prompt_counts(line: str) -> None:
    """The originals look for it in all ids, and decode the state before each."""
    asked = (PICTURE, Prompt("x", "ground", "v", "Can you [SEG] it?"))
    model = tiny(line, generation={"max_new_tokens": 1})
    modules, token = model._modules, model._processor.tokenizer.convert_tokens_to_ids("[SEG]")
    said, ids = model.answer([asked])[0]
    inputs = model.encode([asked])
    where = [i for i, one in enumerate([*inputs["input_ids"][0].tolist(), *ids]) if one == token]
    assert len(where) == 1 + ids.count(token)
    with torch.inference_mode():
        states = modules.language.model(**inputs).last_hidden_state[0]
        expected = [logits.numpy() for logits in modules.logits(PICTURE, states[[i - 1 for i in where]])]
    for mask, logits in zip(model.generate([asked])[0].masks, expected, strict=True):
        assert ((mask.decode() == (logits > 0)) | (np.abs(logits) < 1e-4)).all()
    assert "[SEG]" in said.prompt and said.prompt.count("<image>") == 1


@pytest.mark.verifies("native masks")
@pytest.mark.parametrize("line", LINES)
def test_the_original_says_and_draws_the_same(line: str) -> None:
    model, expected = tiny(line), np.load(DATA / line / "expected.npz")
    modules = model._modules
    ids = expected["new"].tolist()
    assert model.answer([REQUEST])[0][1] == ids
    seg = model._processor.tokenizer.convert_tokens_to_ids("[SEG]")
    where = [i for i, one in enumerate(ids) if one == seg]
    with torch.inference_mode():
        states = hidden_states(model, REQUEST, ids, range(len(ids)), "before")
        logits = modules.language.lm_head(states).numpy()
        drawn = np.stack(list(modules.logits(PICTURE, states[where])))
    assert np.abs(logits - expected["logits"][:-1]).max() < 1e-4
    assert drawn.shape == expected["masks"].shape
    assert np.abs(drawn - expected["masks"]).max() < 1e-4
    found = model.generate([REQUEST])[0]
    assert len(found.masks) == len(where) >= 2
    sure = np.abs(expected["masks"]) > 1e-4
    for mask, logit, certain in zip(found.masks, expected["masks"], sure, strict=True):
        assert ((mask.decode() == (logit > 0)) | ~certain).all()


def test_the_first_seg_alone_as_an_option() -> None:
    every, first = tiny("lisa").generate([REQUEST])[0], tiny("lisa", seg="first").generate([REQUEST])[0]
    assert first.masks == every.masks[:1]
    assert first.text == every.text


@pytest.mark.parametrize("size", [(1, 1), (9, 6000), (6000, 9)])
def test_masks_are_of_the_size_of_the_oddest_images(size: tuple[int, int]) -> None:
    """Of a side of a few pixels nothing is left in the model's square."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    model = tiny("lisa")
    with torch.inference_mode():
        masks = model._modules.draw(Image.fromarray(pixels), torch.randn(2, 32))
    assert [mask.size for mask in masks] == [size, size]


def test_masks_of_logits_that_are_no_numbers_are_a_failure_and_not_empty() -> None:
    model = tiny("lisa")
    assert model.generate([REQUEST])[0].masks
    with torch.no_grad():
        next(model._modules.sam.mask_decoder.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="the logits of its masks are not finite"):
        model.generate([REQUEST])


def test_a_batch_changes_nothing_and_attention_comes_along() -> None:
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 70, 3), dtype=np.uint8))
    requests = [REQUEST, (wide, Prompt("y", "open", "v", "What?")), (PICTURE, Prompt("z", "open", "v", "Is it red?"))]
    model = tiny("lisa", capture="step")
    together = model.generate(requests)
    for request, found in zip(requests, together, strict=True):
        alone = model.generate([request])[0]
        assert (alone.text, alone.masks) == (found.text, found.masks)
        assert found.attention is not None
        assert found.attention.shape[1] == 256
        assert all(mask.size == (request[0].height, request[0].width) for mask in found.masks)


@pytest.mark.verifies("VQA", "native masks")
@pytest.mark.parametrize("line", LINES)
def test_goes_through_the_whole_pipeline(line: str, tmp_path: Path) -> None:
    folder = DATA / line
    clip = f"model.vision_tower={folder / 'clip'}"
    metrics = run_whole(tmp_path, f"model={LINES[line]}", f"model.path={folder / 'model'}", clip)
    assert metrics["failures"] == 0
    attend = ("extraction=attend_segment", "model.capture=step")
    more = run_whole(tmp_path, f"model={LINES[line]}", f"model.path={folder / 'model'}", clip, *attend)
    assert more["failures"] == 0


@pytest.mark.verifies("attention")
@pytest.mark.parametrize("line", LINES)
def test_attention_equals_eager(line: str) -> None:
    for options in ({}, {"layers": [0], "heads": [1]}):
        assert furthest_from_eager(tiny(line, capture="step", **options), REQUEST, **options) < 1e-5
    check_lens(tiny(line, lens="all"), REQUEST)


@pytest.mark.verifies("certificate", model="lisa")
def test_its_certificate_shuts_no_gate(tmp_path: Path) -> None:
    where = [f"model.path={DATA / 'lisa' / 'model'}", f"model.vision_tower={DATA / 'lisa' / 'clip'}"]
    assert gates_of(tmp_path, "model=lisa_7b", *where) == dict.fromkeys(GATES, True)


def test_it_draws_in_the_published_dtype_whatever_clip_was_saved_in() -> None:
    assert json.loads((DATA / "lisa" / "clip" / "config.json").read_text())["torch_dtype"] == "float32"
    model = tiny("lisa", dtype="bfloat16")
    assert model.generate([REQUEST])[0].masks
    assert {p.dtype for p in model._modules.parameters()} == {torch.bfloat16}


def test_no_seg_means_no_mask(tmp_path: Path) -> None:
    folder = altered(tmp_path, lambda state: state["lm_head.weight"][260].zero_())
    found = tiny("lisa", folder).generate([REQUEST])[0]
    assert found.text
    assert found.masks == ()


def test_every_key_is_used_or_dropped_for_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unexpected keys model\.layers\.0\.spare"):
        _ = tiny("lisa", altered(tmp_path / "a", lambda s: s.update({"model.layers.0.spare": torch.zeros(1)})))._model
    with pytest.raises(UserError, match=r"missing keys language\.lm_head\.weight"):
        _ = tiny("lisa", altered(tmp_path / "b", lambda s: s.pop("lm_head.weight")))._model
    with pytest.raises(UserError, match="has shape"):
        _ = tiny("lisa", altered(tmp_path / "c", lambda s: s.update({"lm_head.weight": torch.zeros(3, 32)})))._model
    names = conversion.Checkpoint(str(DATA / "glamm" / "model"), "x").names
    assert {n for n in names if not KEYS.targets(n)} >= {"model.region_encoder.weight", "model.region_encoder.bias"}


def test_what_is_wrong_is_one_line(tmp_path: Path, models: Path) -> None:
    folder = altered(tmp_path, lambda state: None)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UserError, match="has no weights"):
        _ = tiny("lisa", folder)._model
    with pytest.raises(UserError, match="without LISA's or GLaMM's config"):
        _ = tiny("lisa", models / "llava")._config
    with pytest.raises(UserError, match='must be one of "all", "first"'):
        tiny("lisa", seg="last")
    with pytest.raises(UserError, match="must hold <image> once"):
        Lisa(path="a/b", vision_tower="c/d", prompt="USER: {}")


def altered(folder: Path, change: object) -> Path:
    """A copy of LISA's tiny checkpoint with another state dict."""
    shutil.copytree(DATA / "lisa" / "model", folder, dirs_exist_ok=True)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    change(state)  # type: ignore[operator]
    torch.save(state, folder / "pytorch_model.bin")
    return folder


def test_the_published_prompts() -> None:
    for name in ("lisa_7b", "lisa_13b", "glamm"):
        config = yaml.safe_load((Path("conf/model") / f"{name}.yaml").read_text())
        Lisa(**{k: v for k, v in config.items() if k != "_target_"})
        assert config["prompt"].endswith("\n{} ASSISTANT:")
        assert "<im_start><image><im_end>" in config["prompt"]


def test_the_published_sam_is_vit_h() -> None:
    """Against the figures of Meta's own ViT-H: 641,090,608 parameters and the matrix of positions."""
    with torch.device("meta"):
        sam = LisaModules(tiny("lisa")._config, 256, None, linear=True).sam
    assert sum(p.numel() for p in sam.parameters()) == 641_090_608 + 2 * 128
    layers = sam.vision_encoder.layers
    assert [i for i, layer in enumerate(layers) if layer.window_size == 0] == [7, 15, 23, 31]
    assert {layer.window_size for layer in layers} == {0, 14}
    assert layers[0].attn.num_attention_heads == 16
    assert {n.eps for n in layers.modules() if isinstance(n, torch.nn.LayerNorm)} == {1e-6}
    norms = [n for n in sam.mask_decoder.transformer.modules() if isinstance(n, torch.nn.LayerNorm)]
    assert {n.eps for n in norms} == {1e-5} and len(norms) == 9


def test_it_keeps_its_layers_and_says_what_fits() -> None:
    model = tiny("lisa", capture="step", keep="layers")
    (said,) = model.generate([REQUEST])
    assert model.keep == "layers" and said.kept is not None and said.attention is not None
    assert np.abs(said.kept.mean()[1:] - said.attention).max() < 1e-6
    assert (
        np.abs(said.kept.mean(0)[1:] - tiny("lisa", capture="step", layers=[0]).generate([REQUEST])[0].attention).max()
        < 1e-6
    )
    assert model.max_batch([REQUEST]).prompts > 1
