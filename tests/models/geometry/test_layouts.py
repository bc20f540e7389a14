from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPImageProcessor, Qwen2VLImageProcessor

from pixfound.errors import UserError
from pixfound.models.geometry.encoded_example import Encoded
from pixfound.models.geometry.layouts import tiles_of
from pixfound.types import Tile

PATCH, SIDE = 8, 4  # pixels a patch, patches a side
SQUARE = {"height": PATCH * SIDE, "width": PATCH * SIDE}
CROPPING = {"size": {"shortest_edge": PATCH * SIDE}, "crop_size": SQUARE}
PLAIN = {"size": SQUARE, "do_center_crop": False}
ZOOMING = {"size": {"shortest_edge": 40}, "crop_size": SQUARE}  # resized to more than is kept
PADDING = {"size": {"shortest_edge": 24}, "crop_size": SQUARE}  # resized to less: black all around
SQUASHING = {"size": {"height": 40, "width": 48}, "crop_size": SQUARE}


ONE = {"input_ids": np.zeros((1, 9)), "pixel_values": np.zeros((1, 3, PATCH * SIDE, PATCH * SIDE))}


def whole(size):
    return ((0, 0, size[1], size[0]),)


def encoded(image_processor, inputs, count, size, index=0, views=whole, config=None):
    return Encoded(inputs, index, count, size, image_processor, config or SimpleNamespace(), views)


def tile_for(settings, size, count=SIDE * SIDE):
    (tile,) = tiles_of(encoded(CLIPImageProcessor(**settings), ONE, count, size))
    return tile


@pytest.mark.parametrize(
    ("settings", "size", "box"),
    [
        (PLAIN, (61, 97), (0, 0, 97, 61)),
        (PLAIN, (97, 61), (0, 0, 61, 97)),
        (CROPPING, (64, 64), (0, 0, 64, 64)),
        (CROPPING, (61, 97), (18, 0, 79, 61)),
        (CROPPING, (97, 61), (0, 18, 61, 79)),
        (CROPPING, (20, 35), (7.5, 0, 27.5, 20)),
        (ZOOMING, (50, 50), (5, 5, 45, 45)),
        (ZOOMING, (50, 100), (30, 5, 70, 45)),
        (PADDING, (48, 48), (-8, -8, 56, 56)),
        (PADDING, (48, 96), (16, -8, 80, 56)),
        (SQUASHING, (50, 90), (15, 5, 75, 45)),
    ],
)
def test_the_part_of_the_image_that_is_kept(settings, size, box):
    tile = tile_for(settings, size)
    assert tile.box == pytest.approx(box)
    assert (tile.first, tile.grid, tile.stride) == (0, (SIDE, SIDE), SIDE)


@pytest.mark.parametrize("settings", [CROPPING, PLAIN, ZOOMING, SQUASHING], ids=["crop", "plain", "zoom", "squash"])
@pytest.mark.parametrize("size", [(201, 127), (127, 201), (160, 160), (99, 301)])
def test_a_bright_spot_lands_in_the_patch_whose_cell_it_lies_in(settings, size):
    """The real processor is the oracle: paint the middle of a cell and see which patch of its output changes."""
    processor = CLIPImageProcessor(**settings)
    tile = tile_for(settings, size)
    x0, y0, x1, y1 = tile.box
    high, wide = (y1 - y0) / SIDE, (x1 - x0) / SIDE
    black = changed(processor, size, None)
    for row in range(SIDE):
        for column in range(SIDE):
            left, top = x0 + (column + 0.25) * wide, y0 + (row + 0.25) * high
            spot = [round(v) for v in (left, top, left + wide / 2, top + high / 2)]
            patches = np.abs(changed(processor, size, spot) - black).reshape(3, SIDE, PATCH, SIDE, PATCH)
            energy = patches.sum(axis=(0, 2, 4))
            assert np.unravel_index(energy.argmax(), energy.shape) == (row, column)
            assert energy.max() > 0.9 * energy.sum()


@pytest.mark.parametrize(("size", "spot"), [((60, 120), (0, 0, 27, 60)), ((120, 60), (0, 93, 60, 120))])
def test_what_is_outside_of_the_box_is_not_seen(size, spot):
    processor = CLIPImageProcessor(**CROPPING)
    np.testing.assert_array_equal(changed(processor, size, spot), changed(processor, size, None))


def changed(processor, size, spot):
    """The processed pixels (3, 32, 32) of a black image with a white rectangle (x0, y0, x1, y1)."""
    pixels = np.zeros((*size, 3), np.uint8)
    if spot is not None:
        pixels[spot[1] : spot[3], spot[0] : spot[2]] = 255
    return processor(images=Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]


@pytest.mark.parametrize(("index", "grid"), [(0, (2, 3)), (1, (4, 1))])
def test_a_grid_that_follows_the_image_is_merged(index, grid):
    inputs = {"image_grid_thw": np.array([[1, 4, 6], [1, 8, 2]])}
    image_processor = SimpleNamespace(merge_size=2)
    (tile,) = tiles_of(encoded(image_processor, inputs, grid[0] * grid[1], (30, 50), index))
    assert tile == Tile(0, grid, grid[1], (0.0, 0.0, 50.0, 30.0))


@pytest.mark.parametrize("size", [(150, 211), (230, 140)])
def test_a_bright_spot_lands_in_the_merged_patch_of_its_cell(size):
    """Qwen's real processor: the patches of a merged token follow each other, four by four."""
    processor = Qwen2VLImageProcessor(min_pixels=28 * 28 * 12, max_pixels=28 * 28 * 24)

    def patches(spot):
        pixels = np.zeros((*size, 3), np.uint8)
        pixels[spot[1] : spot[3], spot[0] : spot[2]] = 255
        return processor(images=[Image.fromarray(pixels)], return_tensors="np")

    black = patches((0, 0, 0, 0))
    merged = len(black["pixel_values"]) // 4
    (tile,) = tiles_of(encoded(processor, black, merged, size))
    assert tile.grid[0] * tile.grid[1] == merged
    assert (tile.grid[0] < tile.grid[1]) == (size[0] < size[1])
    high, wide = size[0] / tile.grid[0], size[1] / tile.grid[1]
    for token in range(merged):
        row, column = divmod(token, tile.stride)
        spot = [round(v) for v in (column * wide + 5, row * high + 5, (column + 1) * wide - 5, (row + 1) * high - 5)]
        energy = np.abs(patches(spot)["pixel_values"] - black["pixel_values"]).reshape(merged, -1).sum(axis=1)
        assert energy.argmax() == tile.first + token


BATCH = {"input_ids": np.zeros((1, 9)), "pixel_values": np.zeros((3, 3, 8, 8))}  # three views of one image
PARTS = ((0, 0, 25, 30), (25, 0, 50, 30), (0, 0, 50, 30))


def test_every_view_is_a_tile_of_its_own():
    tiles = tiles_of(encoded(SimpleNamespace(), BATCH, 3 * 4, (30, 50), views=lambda size: PARTS))
    assert tiles == tuple(Tile(4 * i, (2, 2), 2, box) for i, box in enumerate(PARTS))


def test_tokens_that_do_not_go_into_the_views_are_refused():
    with pytest.raises(UserError, match="13 image tokens for 3 views"):
        tiles_of(encoded(SimpleNamespace(), BATCH, 13, (30, 50), views=lambda size: PARTS))


def test_a_wide_view_has_more_columns_than_rows():
    inputs = {"input_ids": np.zeros((1, 9)), "pixel_values": np.zeros((1, 3, 16, 32))}
    (tile,) = tiles_of(encoded(SimpleNamespace(), inputs, 32, (30, 50)))
    assert tile == Tile(0, (4, 8), 8, (0, 0, 50, 30))


def test_patches_that_are_not_whole_are_not_seen():
    """A tower of patches of 14 pixels sees 378 of 384: 27 patches a side."""
    inputs = {"input_ids": np.zeros((1, 9)), "pixel_values": np.zeros((1, 3, 384, 384))}
    config = SimpleNamespace(vision_config=SimpleNamespace(patch_size=14))
    (tile,) = tiles_of(encoded(SimpleNamespace(), inputs, 27 * 27, (192, 768), config=config))
    assert tile.box == (0, 0, 756, 189)


@pytest.mark.parametrize("count", [15, 2, 577, 1])
def test_a_count_that_fits_no_layout_says_what_to_do(count):
    with pytest.raises(UserError, match=rf"{count} image tokens.*model\.capture=none"):
        tile_for(CROPPING, (64, 64), count)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({**ONE, "num_local_patches": [4]}, "separate input for local views"),
        ({"image_patches": np.zeros((1, 16, 2700))}, "not given as pixel_values"),
    ],
)
def test_pictures_that_are_told_in_another_way_are_refused(inputs, why):
    """DeepSeek-OCR's parts and Fuyu's patches: sixteen tokens would make a fine grid."""
    with pytest.raises(UserError, match=rf"{why}.*model\.capture=none"):
        tiles_of(encoded(SimpleNamespace(), inputs, 16, (30, 50)))


def test_views_of_shapes_of_their_own_follow_each_other():
    """Of the second picture of a batch: two parts and the whole, eight patches wide or high, merged two by two."""
    inputs = {"input_ids": np.array([[7] * 4 + [0] * 10, [7] * 10 + [0] * 4]),
              "spatial_shapes": np.array([[4, 4], [2, 4], [2, 4], [4, 6]])}  # fmt: skip
    boxes = ((0, 0, 25, 30), (25, 0, 50, 30), (0, 0, 50, 30))
    config = SimpleNamespace(image_token_id=7)
    tiles = tiles_of(encoded(SimpleNamespace(), inputs, 10, (30, 50), 1, lambda size: boxes, config))
    assert tiles == (Tile(0, (1, 2), 2, boxes[0]), Tile(2, (1, 2), 2, boxes[1]), Tile(4, (2, 3), 3, boxes[2]))
    with pytest.raises(UserError, match="make no grid"):
        tiles_of(encoded(SimpleNamespace(), inputs, 10, (30, 50), 1, lambda size: boxes[:2], config))


def test_a_single_view_may_be_padded():
    """A processor is asked whether it pads, whatever the size of the picture at hand."""
    asked = []

    def views(size):
        asked.append(size)
        return ((0.0, 0.0, 2.0 * size[1], float(size[0])),)

    (tile,) = tiles_of(encoded(SimpleNamespace(), ONE, SIDE * SIDE, (30, 50), views=views))
    assert tile.box == (0, 0, 100, 30)
    assert len(asked) == 2
