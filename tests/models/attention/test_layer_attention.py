"""Attention kept layer by layer: any subset of it is what a capture of that subset alone gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.store.records import pack_generation, unpack_generation
from pixfound.types import Generation, Prompt
from pixfound.types.layer_attention import LayerAttention

RNG = np.random.default_rng(0)
REQUESTS = [
    (Image.fromarray(RNG.integers(0, 256, (48, 48, 3), dtype=np.uint8)), Prompt("a", "open", "v", "What is this?")),
    (Image.fromarray(RNG.integers(0, 256, (32, 64, 3), dtype=np.uint8)), Prompt("b", "ground", "v", "Where?")),
]
SUBSETS = [(None, None), ([0], None), ([2], [3]), ([0, 2], [1, 2]), (None, [0]), ([1, 0, 2], [3, 1])]


def said(models: Path, **options: object) -> list[Generation]:
    settings = {"max_new_tokens": 5}
    return HuggingFace(str(models / "llava"), dtype="float32", generation=settings, **options).generate(REQUESTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("capture", ["step", "forced"])
def test_a_chosen_subset_equals_the_capture_of_it(models: Path, capture: str) -> None:
    kept = said(models, keep="heads", capture=capture)
    assert kept[0].kept is not None
    assert kept[0].kept.rows.shape == (3, 4, 1 + len(kept[0].spans), 16)
    for layers, heads in SUBSETS:
        for one, alone in zip(kept, said(models, layers=layers, heads=heads, capture=capture), strict=True):
            assert one.text == alone.text
            assert one.kept is not None and alone.kept is None
            rows = one.kept.mean(layers, heads)
            assert np.abs(rows[1:] - alone.attention).max() < 1e-6
            assert np.abs(rows[0] - alone.penultimate).max() < 1e-6
            assert np.abs(alone.attention).max() > 0.01


def test_layers_are_kept_as_means_over_the_chosen_heads(models: Path) -> None:
    kept = said(models, keep="layers", layers=[2, 0], heads=[1, 3])
    alone = said(models, layers=[2], heads=[1, 3])
    both = said(models, layers=[0, 2], heads=[1, 3])
    for one, two, whole in zip(kept, alone, both, strict=True):
        assert one.kept is not None
        assert (one.kept.layers, one.kept.heads, one.kept.rows.shape[:2]) == ((0, 2), (), (2, 1))
        assert np.abs(one.kept.mean(2)[1:] - two.attention).max() < 1e-6
        assert np.abs(one.attention - whole.attention).max() < 1e-6, "the mean is over what is kept"


def test_what_is_kept_is_stored(models: Path) -> None:
    for generation in (*said(models, keep="heads", layers=[1], heads=[3, 0]), *said(models)):
        value = pack_generation(generation)
        found = unpack_generation(value.data, value.arrays)
        if generation.kept is None:
            assert found.kept is None
            continue
        assert found.kept is not None
        assert (found.kept.layers, found.kept.heads) == ((1,), (3, 0))
        assert np.array_equal(found.kept.rows, generation.kept.rows)


ROWS = RNG.random((3, 2, 4, 5), dtype=np.float32)


def test_indices_are_those_of_the_model_and_others_are_refused() -> None:
    kept = LayerAttention(ROWS, (4, 7, 8), (1, 6))
    assert np.array_equal(kept.mean(7, 6), ROWS[1, 1])
    assert np.allclose(kept.mean([8, 4]), ROWS[[2, 0]].mean(axis=(0, 1)))
    with pytest.raises(UserError, match=r"layers: 5 was not stored; there are 4, 7, 8"):
        kept.mean([4, 5])
    with pytest.raises(UserError, match=r"heads: 0 was not stored; there are 1, 6"):
        kept.mean(None, 0)
    with pytest.raises(UserError, match=r"layers: 9 was not stored; there are 0 to 2"):
        LayerAttention(ROWS[:, :1], (0, 1, 2), ()).mean(9)
    with pytest.raises(UserError, match=r"use model\.keep=heads"):
        LayerAttention(ROWS[:, :1], (0, 1, 2), ()).mean(0, 0)
    with pytest.raises(ValueError, match="rows of shape"):
        LayerAttention(ROWS, (0, 1), (0, 1))


def test_options_are_checked_before_anything_is_loaded() -> None:
    with pytest.raises(UserError, match=r'HuggingFace\.keep=all: must be one of "mean", "layers", "heads"'):
        HuggingFace("embedded:tiny_llava", keep="all")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"model\.keep=heads: nothing is captured"):
        HuggingFace("embedded:tiny_llava", keep="heads", capture="none")
