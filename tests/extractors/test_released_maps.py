"""Maps, heads, boxes and masks against what the authors' released code made of the same random inputs.

released_maps.npz holds inputs and outputs of LocalizationHeads (c910d443), mllms_know (a64c5d5), DecAF (6c9766c) and
entropy-gradient-grounding (8a986ee), with ties, constant maps and maps of which nothing is left.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pixfound.extractors.attention_maps import smoothed
from pixfound.extractors.proposers import ElbowBoxes, MeanBox, OtsuMask, PointsAtShare, ViCropWindow, mean_box
from pixfound.extractors.sources.contrast import object_minus_background, weighted_heads
from pixfound.extractors.sources.localization_heads import (
    chosen_often,
    elbow_by_chord,
    head_criteria,
    ranked_heads,
)
from pixfound.extractors.sources.relative import relative_attention
from pixfound.models.attention.rollout import Rollout
from pixfound.types import Tile

RELEASED = np.load(Path(__file__).with_name("released_maps.npz"))
INFO = json.loads(str(RELEASED["info"]))
HEADS = RELEASED["heads_rows"]  # (samples, L, H, N)
LAYERS, COUNT, SIDE = range(HEADS.shape[1]), HEADS.shape[2], 8


def whole(shape, size):
    """The tile of a grid over all of an image of (width, height)."""
    return Tile(0, shape, shape[1], (0.0, 0.0, float(size[0]), float(size[1])))


def criteria(rows):
    return head_criteria(rows, rows.reshape(*rows.shape[:2], SIDE, SIDE), LAYERS, range(COUNT), "released")


FOUND = [criteria(rows) for rows in HEADS]


def test_thresholds_and_entropies_of_heads():
    for one, tau, entropy in zip(FOUND, RELEASED["heads_tau"], RELEASED["heads_entropy"], strict=True):
        assert elbow_by_chord(one.sums.ravel()) == pytest.approx(tau, abs=1e-6)
        np.testing.assert_allclose(one.entropies, entropy, atol=1e-5)
    assert np.isinf(RELEASED["heads_entropy"]).any() and (RELEASED["heads_entropy"] == 0).any()


@pytest.mark.parametrize("min_keep", [1, 5, 30])
def test_heads_are_ranked_alike(min_keep):
    for one, expected in zip(FOUND, INFO["heads_ranked"][str(min_keep)], strict=True):
        assert ranked_heads(one, "released", min_keep=min_keep) == [tuple(head) for head in expected]


def test_heads_are_counted_alike():
    counts = chosen_often([ranked_heads(one, "released") for one in FOUND], 3)
    assert [[*head, count] for head, count in counts] == INFO["heads_common"]


def test_maps_and_boxes_of_heads():
    for rows, expected, (cells, *boxes) in zip(HEADS, RELEASED["heads_maps"], RELEASED["heads_boxes"], strict=True):
        total = np.sum([rows[2, 1], rows[4, 2], rows[5, 0]], axis=0, dtype=np.float32)
        for size, box in zip(INFO["heads_sizes"], boxes, strict=True):
            tile = whole((SIDE, SIDE), size)
            values = smoothed(total, [tile], 1.0)
            np.testing.assert_allclose(values.reshape(SIDE, SIDE), expected, atol=1e-5)
            if expected.min() == expected.max():  # theirs is the first cell, of no cell above the mean
                assert list(cells) == [0, 0, 0, 0] and MeanBox().regions(values, [tile], size[::-1]).boxes == ()
                continue
            assert mean_box(values.reshape(SIDE, SIDE), False, False) == tuple(cells)
            (found,) = MeanBox().regions(values, [tile], size[::-1]).boxes
            assert (found[0], found[1], found[2] - 1, found[3] - 1) == tuple(box), "theirs includes the last pixel"


@pytest.mark.parametrize("number", range(len(INFO["vicrop"])))
def test_windows_of_vicrop(number):
    cells, (*size, side) = RELEASED[f"vicrop_{number}"], INFO["vicrop"][number]["size"]
    (box,) = ViCropWindow(side).regions(cells.ravel(), [whole(cells.shape, size)], tuple(size[::-1])).boxes
    assert list(box) == INFO["vicrop"][number]["box"]


@pytest.mark.parametrize("number", range(7))
def test_regions_of_entropy_gradients(number):
    """The code's regions, (x, y, width, height) in cells; none for a constant map."""
    cells, boxes = RELEASED[f"egg_{number}"], RELEASED[f"egg_{number}_boxes"]
    size = (3 * cells.shape[1], 3 * cells.shape[0])
    found = ElbowBoxes().regions(cells.ravel(), [whole(cells.shape, size)], size[::-1]).boxes
    assert [(x0 / 3, y0 / 3, (x1 - x0) / 3, (y1 - y0) / 3) for x0, y0, x1, y1 in found] == [tuple(b) for b in boxes]


@pytest.mark.parametrize("shape", [(1, 3), (3, 1)])
def test_a_cell_larger_than_the_window_is_one(shape):
    """Where the released code divides by zero cells."""
    cells = np.array([0, 5, 1], np.float32)
    (box,) = ViCropWindow(4).regions(cells, [whole(shape, (90, 90))], (90, 90)).boxes
    assert box == ((43, 43, 47, 47))


@pytest.mark.parametrize("number", range(4))
def test_object_minus_background(number):
    row, background, expected, mask, points = (
        RELEASED[f"decaf_{number}_{name}"] for name in ("object", "background", "map", "mask", "points")
    )
    size = mask.shape
    tile = whole(row.shape, size[::-1])
    found = object_minus_background(row.ravel(), background.ravel(), [tile], 1.0, 3, zero=True)
    np.testing.assert_allclose(found.reshape(row.shape), expected, atol=1e-5)
    smooth = smoothed(row.ravel(), [tile], 1.0, 3, zero=True).reshape(row.shape)
    np.testing.assert_allclose(smooth, RELEASED[f"decaf_{number}_smooth"], atol=1e-6)
    masks = OtsuMask().regions(found, [tile], size).masks
    np.testing.assert_array_equal(masks[0] if masks else np.zeros(size, bool), mask)
    cells = PointsAtShare(0.8).regions(found, [tile], size).points
    assert len(cells) == len(points) and bool(masks) == bool(len(points)) == (number != 3)
    np.testing.assert_allclose(np.array(cells).reshape(-1, 2) / size[::-1], points, atol=1e-6)


def test_heads_weigh_by_their_strongest_value():
    found = weighted_heads(RELEASED["decaf_attention"])
    np.testing.assert_allclose(found, RELEASED["decaf_weighted"], atol=1e-7)
    assert not weighted_heads(np.zeros((3, 2, 4), np.float32)).any()


def test_a_rollout_over_layers():
    found = Rollout(torch.arange(5, 17), first=0)
    for layer, attention in enumerate(torch.from_numpy(RELEASED["decaf_rollout_attention"])):
        found.record(layer, len(attention[0]), lambda rows, of=attention: of[None, :, rows[0]])
    np.testing.assert_allclose(found.product[-1], RELEASED["decaf_rollout"], atol=1e-7)


def test_a_ratio_of_nothing_to_nothing_is_nothing():
    row, neutral = np.array([0, 1, 2], np.float32), np.array([0, 2, 1], np.float32)
    np.testing.assert_array_equal(relative_attention(row, neutral), [0, 0.5, 2])
    np.testing.assert_allclose(relative_attention(row, neutral, 1, log=True), np.log([1, 2 / 3, 1.5]), rtol=1e-6)
    np.testing.assert_allclose(relative_attention(row, neutral, 1), [0, 1 / 3, 1], rtol=1e-6)
