"""A model spread over devices says and sees what it does on one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from pixfound.apps.launch import launch
from pixfound.checkpoints.device_map import input_device
from pixfound.errors import UserError
from pixfound.models.attention.recorder import Recorder, capturing_attention
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt
from tests.support.run import config_of, random_models

RNG = np.random.default_rng(0)
IMAGES = [Image.fromarray(RNG.integers(0, 256, (40, 56, 3), dtype=np.uint8)) for _ in range(2)]
REQUESTS = [
    (IMAGES[i // 2], Prompt(str(i), "open", "v", text)) for i, text in enumerate(("Hi", "Why?", "Where is it?"))
]
DISK = {"model.vision_tower": "cpu", "model.multi_modal_projector": "disk", "lm_head": "cpu"} | {
    f"model.language_model.{name}": place
    for name, place in (("embed_tokens", "disk"), ("layers.0", "cpu"), ("layers.1", "disk"), ("layers.2", "disk"),
                        ("norm", "disk"), ("rotary_emb", "cpu"))
}  # fmt: skip


@pytest.mark.parametrize("capture", ["step", "forced"])
@pytest.mark.parametrize("device_map", [{"": "cpu"}, DISK, "auto"], ids=["cpu", "disk", "auto"])
def test_a_spread_model_equals_the_plain_one(models: Path, device_map: dict[str, str], capture: str) -> None:
    folder = str(models / "llava")
    options = {"dtype": "float32", "capture": capture, "keep": "layers", "generation": {"max_new_tokens": 6}}
    spread = HuggingFace(folder, device_map=device_map, **options)
    for one, other in zip(spread.generate(REQUESTS), HuggingFace(folder, **options).generate(REQUESTS), strict=True):
        assert one.text == other.text
        assert np.array_equal(one.attention, other.attention)
        assert np.array_equal(one.kept.rows, other.kept.rows)
    if device_map is DISK:
        assert spread.loaded().model.language_model.layers[1].mlp.up_proj.weight.device.type == "meta", "is on the disk"
        assert input_device(spread.loaded()) == torch.device("cpu")


@pytest.mark.parametrize("keep", ["mean", "layers", "heads"])
def test_layers_on_two_devices_give_rows_on_the_first(keep: str) -> None:
    """Fake tensors know their device, and an operation over two devices raises; of `lazy` any machine has several."""
    with FakeTensorMode():
        recorder = Recorder(torch.zeros((2, 5), dtype=torch.long, device="lazy:0"), keep=keep)  # type: ignore[arg-type]
        for queries, length in ((7, 7), (1, 8)):
            with recorder.active():
                for index in range(2):
                    query, key, value = (
                        torch.zeros((2, 4, tokens, 8), device=f"lazy:{index}") for tokens in (queries, length, length)
                    )
                    module = SimpleNamespace(layer_idx=index, is_causal=True)
                    output, _ = capturing_attention(module, query, key, value, None)  # type: ignore[arg-type]
                    assert output.device == torch.device(f"lazy:{index}")
        passes = recorder.passes()
        assert [tuple(rows.shape) for rows in passes] == [
            (2, count, 5 * {"mean": 1, "layers": 2, "heads": 8}[keep]) for count in (2, 1)
        ]
        assert {rows.device for rows in passes} == {torch.device("lazy:0")}


def test_a_spread_model_is_for_one_process(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(*random_models(models), f"outputs_dir={tmp_path}", "model.device_map=auto")
    with pytest.raises(UserError, match=r"2 processes would each do so: use launch\.num_processes=1"):
        launch(config, 2)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="4 processes"):
        HuggingFace("embedded:tiny_llava", device_map="auto")
    HuggingFace("embedded:tiny_llava")


def test_options_are_checked() -> None:
    with pytest.raises(UserError, match=r"model\.device_map=all: give null, auto"):
        HuggingFace("embedded:tiny_llava", device_map="all")
    with pytest.raises(UserError, match="both say where the model goes"):
        HuggingFace("embedded:tiny_llava", device_map="auto", device="cpu")
