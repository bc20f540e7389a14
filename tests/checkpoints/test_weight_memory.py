"""The bytes of weights, and models that are too large, said before they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from pixfound.checkpoints import weight_memory
from pixfound.checkpoints.weight_memory import check_memory, free_bytes, weight_bytes
from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.models.pixel.lisa import Lisa
from pixfound.models.pixel.sa2va import Sa2VA
from pixfound.types import Prompt
from tests.support.pixel import DATA

Folder = Callable[[str], Path]
REQUEST = (Image.new("RGB", (64, 64)), Prompt("x", "open", "v", "What?"))


def test_too_little_memory(family_folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(family_folder("llava"))
    needed = weight_bytes(folder, "float32")
    monkeypatch.setattr(weight_memory, "free_bytes", lambda device: needed)
    check_memory(folder, "P", "float32", "cpu")
    monkeypatch.setattr(weight_memory, "free_bytes", lambda device: needed - 1)
    check_memory(folder, "P", "bfloat16", "cpu")
    with pytest.raises(UserError, match=r"weights take .* GiB as float32, and cpu has .* GiB free"):
        HuggingFace(folder, dtype="float32", device="cpu").generate([REQUEST])


@pytest.mark.parametrize("line", ["lisa", "glamm", "rga3", "sa2va_qwen2_5", "sa2va_internvl3"])
def test_too_little_memory_for_a_model_that_draws(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, clip = DATA / line / "model", DATA / line / "clip"
    model: Lisa | Sa2VA
    if clip.is_dir():
        model = Lisa(path=str(folder), vision_tower=str(clip), prompt="<image>{}", dtype="float32", device="cpu")
    else:
        architecture: Any = "internvl" if "internvl" in line else "qwen2_5_vl"
        model = Sa2VA(
            path=str(folder), architecture=architecture, place="at", bf16_mean=True, dtype="float32", device="cpu"
        )
    needed = sum(weight_bytes(str(one), "float32") for one in (folder, clip))
    stored = sum(f.stat().st_size for one in (folder, clip) for f in one.glob("*.[bs]*") if "json" not in f.suffix)
    assert 0.7 * stored < needed < 2.1 * stored  # some are kept in half precision
    monkeypatch.setattr(weight_memory, "free_bytes", lambda device: needed - 1)
    with pytest.raises(UserError, match=r"weights take .* GiB as float32, and cpu has .* GiB free: use model\.dtype"):
        model.generate([REQUEST])
    monkeypatch.setattr(weight_memory, "free_bytes", lambda device: needed)
    assert model.generate([REQUEST])


def test_bytes_of_pytorchs_files_are_those_of_safetensors(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 5).half(), "b": torch.zeros(7, dtype=torch.int64)}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    for dtype, expected in (("auto", 15 * 2 + 7 * 8), ("float32", 15 * 4 + 7 * 8)):
        assert weight_bytes(str(tmp_path), dtype) == expected
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert weight_bytes(str(tmp_path), "auto") == 4


def test_the_bytes_of_weights(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.int64)}, tmp_path / "one.safetensors")
    save_file({"c": torch.zeros(2, 2, dtype=torch.bfloat16)}, tmp_path / "two.safetensors")
    assert weight_bytes(str(tmp_path), "auto") == 15 * 4 + 7 * 8 + 4 * 2
    assert weight_bytes(str(tmp_path), "float32") == 15 * 4 + 7 * 8 + 4 * 4
    assert weight_bytes(str(tmp_path), "float16") == 15 * 2 + 7 * 8 + 4 * 2


def test_free_memory_is_what_the_machine_has() -> None:
    free = free_bytes("cpu")
    assert free is not None
    assert 2**20 < free < 2**50
