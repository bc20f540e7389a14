"""A checkpoint that is a pickle with code in it: no loader runs the code, and each says what to do instead."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors.clipseg import ClipSeg
from pixfound.extractors.parsers.vqvae import MaskDecoder
from pixfound.models.encoder_decoder import Plain
from pixfound.models.huggingface import HuggingFace
from pixfound.segmenters.sam import Sam
from pixfound.segmenters.sam2 import Sam2
from pixfound.types import Generation, Prompt
from tests.models.cambrian.test_cambrian import HERE as CAMBRIAN
from tests.models.cambrian.test_cambrian import tiny as cambrian
from tests.models.cambrian.test_cambrian import towers_of
from tests.models.pixel.test_lisa import tiny as lisa
from tests.models.pixel.test_sa2va import tiny as sa2va
from tests.support.pixel import DATA
from tests.support.plain import save_florence2
from tests.support.random_llava import save_random_llava
from tests.support.random_sam import save_random_sam
from tests.support.random_sam2 import save_random_sam2, save_random_sam_hq
from tests.support.random_text_prompted import save_random_clipseg

IMAGE = Image.new("RGB", (64, 64), "grey")
REQUEST = (IMAGE, Prompt("x", "ground", "v", "What?"))


class Marker:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def write_raw(file: Path, canary: Path) -> None:
    file.write_bytes(pickle.dumps({"a": Marker(canary)}, protocol=2))


def write_zip(file: Path, canary: Path) -> None:
    torch.save({"a": torch.zeros(1), "b": Marker(canary)}, file)


def write_old(file: Path, canary: Path) -> None:
    torch.save({"a": torch.zeros(1), "b": Marker(canary)}, file, _use_new_zipfile_serialization=False)


def poisoned(source: Path, folder: Path, write: Callable[[Path, Path], None]) -> Path:
    """A copy of a folder whose weights are such a pickle."""
    shutil.copytree(source, folder)
    for weights in [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
        weights.unlink()
    write(folder / "pytorch_model.bin", folder / "ran")
    return folder


def saved(save: Callable[..., Any]) -> Callable[[Path], Path]:
    def at(folder: Path) -> Path:
        save(folder / "good")
        return folder / "good"

    return at


Load = Callable[[str], object]
LOADERS: dict[str, tuple[Callable[[Path], Path], Load]] = {
    "hf": (saved(save_random_llava), lambda path: HuggingFace(path, device="cpu").generate([REQUEST])),
    "word vectors": (saved(save_random_llava), lambda path: HuggingFace(path, device="cpu").text_vectors().vector("a")),
    "plain": (saved(save_florence2), lambda path: Plain(path, device="cpu").generate([REQUEST])),
    "lisa": (lambda _: DATA / "lisa/model", lambda path: lisa("lisa", Path(path)).generate([REQUEST])),
    "glamm": (lambda _: DATA / "glamm/model", lambda path: lisa("glamm", Path(path)).generate([REQUEST])),
    "lisa's tower": (lambda _: DATA / "lisa/clip", lambda path: tower_of_lisa(path).generate([REQUEST])),
    "sa2va": (
        lambda _: DATA / "sa2va_qwen2_5/model",
        lambda path: sa2va("sa2va_qwen2_5", Path(path)).generate([REQUEST]),
    ),
    "cambrian": (lambda _: CAMBRIAN / "model", lambda path: cambrian(Path(path)).generate([REQUEST])),
    **{
        f"cambrian's {name}": (
            lambda _, name=name: CAMBRIAN / name,  # type: ignore[misc]
            lambda path, name=name: tower_of_cambrian(name, path).generate([REQUEST]),  # type: ignore[misc]
        )
        for name in towers_of(CAMBRIAN)
    },
    "sam": (saved(save_random_sam), lambda path: next(Sam(path, device="cpu").point_masks([(IMAGE, [(1.0, 1.0)])]))),
    "sam_hq": (
        saved(save_random_sam_hq),
        lambda path: next(Sam(path, device="cpu", architecture="SamHQModel").point_masks([(IMAGE, [(1.0, 1.0)])])),
    ),
    "sam2": (saved(save_random_sam2), lambda path: next(Sam2(path, device="cpu").point_masks([(IMAGE, [(1.0, 1.0)])]))),
    "clipseg": (
        saved(save_random_clipseg),
        lambda path: ClipSeg(path, device="cpu").extract_one(IMAGE, Generation("", (64, 64)), "a thing"),
    ),
}


def tower_of_lisa(path: str) -> Any:
    model = lisa("lisa")
    model.vision_tower = path
    return model


def tower_of_cambrian(name: str, path: str) -> Any:
    model = cambrian()
    model.towers = towers_of(CAMBRIAN, **{name: path})  # type: ignore[assignment]
    return model


@pytest.mark.parametrize("write", [write_raw, write_zip, write_old], ids=["raw", "zip", "old"])
@pytest.mark.parametrize("name", LOADERS)
def test_no_loader_runs_it(name: str, write: Callable[[Path, Path], None], tmp_path: Path) -> None:
    source, load = LOADERS[name]
    folder = poisoned(source(tmp_path), tmp_path / "evil", write)
    with pytest.raises(UserError) as refused:
        load(str(folder))
    assert not (folder / "ran").exists()
    said = str(refused.value)
    assert "\n" not in said and len(said) < 500
    assert str(folder) in said
    assert "is not r" in said and "*.safetensors" in said, "what was done, and what to do instead"
    assert "weights_only" not in said, "advice that would run it"


def test_the_codes_of_paligemma_are_no_pickles(tmp_path: Path) -> None:
    write_raw(tmp_path / "vae.npz", tmp_path / "ran")
    with pytest.raises(UserError, match=r"set some\.key to a local copy of gs://big_vision"):
        MaskDecoder(str(tmp_path / "vae.npz"), "some.key")
    assert not (tmp_path / "ran").exists()


def test_the_marker_marks(tmp_path: Path) -> None:
    write_raw(tmp_path / "file", tmp_path / "ran")
    pickle.loads((tmp_path / "file").read_bytes())
    assert (tmp_path / "ran").exists()


def test_tensors_alone_are_read_in_either_format_of_pytorch(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(DATA / "lisa/model", folder)
    file = folder / "pytorch_model.bin"
    torch.save(torch.load(file, weights_only=True), file, _use_new_zipfile_serialization=False)
    assert lisa("lisa", folder).generate([REQUEST]) == lisa("lisa").generate([REQUEST])
