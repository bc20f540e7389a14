"""Packed attention, against the rows themselves."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from pixfound.report.page.attention_rows import LONGEST, pack_rows


def unpacked(packed: dict[str, Any]) -> Any:
    mean, steps = (zlib.decompress(base64.b64decode(packed[name])) for name in ("mean", "differences"))
    stored = np.frombuffer(mean, "<u2").astype(int)
    order = sorted(range(packed["cells"]), key=lambda cell: (-stored[cell], cell))
    differences = np.zeros((packed["tokens"], packed["cells"]))
    differences[:, order] = np.frombuffer(steps, dtype=np.int8).reshape(packed["cells"], packed["tokens"]).T
    return stored * packed["mean_scale"] + differences * np.array(packed["scales"])[:, None]


def test_rows_come_back_within_half_a_step_and_are_small() -> None:
    draw = np.random.default_rng(0)
    sinks = draw.lognormal(-7, 1.6, 576)  # a few image tokens take most, whatever is said
    rows = (sinks * draw.lognormal(0, 0.7, (97, 576))).astype(np.float32)
    packed = pack_rows(rows)
    step = np.array(packed["scales"])[:, None]
    assert (np.abs(unpacked(packed) - rows) <= 0.51 * step + packed["mean_scale"]).all()
    assert step.max() <= 1.01 * np.abs(rows - rows.mean(axis=0)).max() / 31
    assert len(packed["mean"]) + len(packed["differences"]) < 17_000  # three answers of an example of 60 kB


def test_odd_rows() -> None:
    assert unpacked(pack_rows(np.zeros((3, 4), np.float32))).tolist() == np.zeros((3, 4)).tolist()
    one = np.array([[0.1, 0.2, np.nan]], np.float32)
    np.testing.assert_allclose(unpacked(pack_rows(one)), [[0.1, 0.2, 0]], atol=1e-5)
    long = pack_rows(np.ones((LONGEST + 9, 2), np.float32))
    assert long["tokens"] == LONGEST
