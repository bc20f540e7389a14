"""Pictures of any size: every family's processor, and the tiles that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.extractors.attention_maps import image_map
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt
from tests.support.families import EVERY_FAMILY

Folder = Callable[[str], Path]
ODD = [
    (1, 1),
    (1, 3),
    (3, 1),
    (2, 2),
    (1, 10),
    (10, 1),
    (3, 30),
    (30, 3),
    (40, 400),
    (400, 40),
    (33, 97),
    (33, 100),
    (1500, 2000),
]  # (H, W)
BARRED = [(1, 3), (3, 1), (40, 400), (33, 97)]  # a square of each, of which a processor makes what it makes of any
sizes = st.one_of(
    st.tuples(st.integers(1, 200), st.integers(1, 200)).filter(lambda s: max(s) <= 50 * min(s)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)


@cache
def encoder_of(folder: Path, layout: Any) -> Any:
    return HuggingFace(str(folder), image_layout=layout)._encoder


def check(encoder: Any, size: tuple[int, int]) -> None:
    """Each token has one place at most, nearly all of the image is covered, and the map is as large as the image."""
    image = Image.new("RGB", (size[1], size[0]), "grey")
    inputs = encoder.encode([(image, Prompt("x", "open", "v", "What?"))])
    columns = encoder.columns(inputs["input_ids"])
    count = columns.shape[1]
    tiles = encoder.tiles(inputs, 0, count, image)
    places = np.concatenate(
        [(t.first + np.arange(t.grid[0])[:, None] * t.stride + np.arange(t.grid[1])[None]).ravel() for t in tiles]
    )
    assert len(np.unique(places)) == len(places) <= count
    assert places.min() == 0
    assert places.max() < count
    settings = encoder.processor.image_processor
    crops = getattr(settings, "do_center_crop", False) and len(tiles) == 1
    for tile in tiles:
        x0, y0, x1, y1 = tile.box
        assert x0 < x1
        assert y0 < y1
        beside = x0 >= size[1] or y0 >= size[0] or x1 <= 0 or y1 <= 0  # a view of nothing but a bar
        assert not beside or encoder.image_layout == "pad" or hasattr(settings, "resize_to_max_canvas")
    if not crops or encoder.image_layout == "pad":
        left, top = min(t.box[0] for t in tiles), min(t.box[1] for t in tiles)
        right, foot = max(t.box[2] for t in tiles), max(t.box[3] for t in tiles)
        assert max(left / size[1], top / size[0], 1 - right / size[1], 1 - foot / size[0]) < 0.1
    values = np.random.default_rng(0).random(count, dtype=np.float32)
    heat = image_map(values, tiles, size)
    assert heat.shape == size
    assert np.isfinite(heat).all()


@pytest.mark.parametrize(
    ("size", "layout"), [*((size, "native") for size in ODD), *((size, "pad") for size in BARRED)], ids=str
)
@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_extreme_sizes(family: str, size: tuple[int, int], layout: str, family_folder: Folder) -> None:
    check(encoder_of(family_folder(family), layout), size)


@pytest.mark.parametrize("family", EVERY_FAMILY)
@given(size=sizes)
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size(family: str, size: tuple[int, int], family_folder: Folder) -> None:
    check(encoder_of(family_folder(family), "native"), size)
