from __future__ import annotations

import hashlib
import importlib.util
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from pixfound.benchmarks.photos import Photos, SkimageFile
from pixfound.errors import UserError
from pixfound.types import Example
from pixfound.types.masks import BoolMask, iou, union

skimage = pytest.importorskip("skimage")
IntArray = npt.NDArray[np.int64]
EXAMPLES = {example.id: example for example in Photos()}
every = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def pixels(id: str) -> tuple[IntArray, BoolMask]:
    """(H, W, 3) colours and the (H, W) mask of what is referred to."""
    example = EXAMPLES[id]
    return np.asarray(example.image.load(), dtype=np.int64), example.gt_mask.decode()


def grown(mask: BoolMask, by: int) -> BoolMask:
    """The mask with everything within `by` pixels of it (a square's reach)."""
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * by + 1))) > 0


def overlap(a: BoolMask, b: BoolMask) -> float:
    return float((a & b).sum() / (a | b).sum())


def pairs() -> list[tuple[Example, Example]]:
    sides: dict[str | None, list[Example]] = defaultdict(list)
    for example in EXAMPLES.values():
        sides[example.pair_id].append(example)
    return [(first, second) for first, second in sides.values()]


def test_size_of_the_benchmark():
    assert len(EXAMPLES) == len(Photos()) == 24
    assert len({example.tags["picture"] for example in EXAMPLES.values()}) >= 8
    assert sum(example.absent for example in EXAMPLES.values()) == 4
    assert Photos()[:2] == [Photos()[0], Photos()[1]]


@pytest.mark.parametrize(("first", "second"), pairs(), ids=lambda side: side.id)
def test_a_pair_asks_the_same_of_two_pictures_and_the_answers_differ(first, second):
    assert (first.question, first.options, first.expression) == (second.question, second.options, second.expression)
    assert first.tags["category"] == second.tags["category"]
    assert first.tags["picture"] != second.tags["picture"]
    assert len(first.options) == 2
    assert {first.answer, second.answer} == {0, 1}


@every
def test_masks_have_the_size_of_the_picture(example):
    picture = example.image.load()
    assert picture.mode == "RGB"
    for mask in (example.gt_mask, *example.objects):
        assert mask.size == (picture.height, picture.width)


@every
def test_what_is_absent_has_no_area_and_only_that(example):
    absent = example.tags["category"] == "presence" and example.options[example.answer] == "no"
    assert example.absent == absent
    assert (example.gt_mask.area == 0) == absent


@every
def test_objects_hold_the_referred_one(example):
    assert all(mask.area for mask in example.objects)
    if example.objects and not example.absent:
        assert max(iou(mask, example.gt_mask) for mask in example.objects) == 1.0


def test_objects_of_the_coins_are_all_of_them_and_each():
    together, *coins = EXAMPLES["count-coins"].objects
    assert len(coins) == 24
    assert together == union(coins, together.size)
    assert together.area == sum(coin.area for coin in coins)  # none touches another


def test_the_grey_pictures_load_as_colour():
    colours, _ = pixels("gaze-camera")
    assert (colours[..., :1] == colours).all()


def test_digest_is_of_the_file():
    source = EXAMPLES["gaze-astronaut"].image
    assert source.digest() == hashlib.sha256(source.path.read_bytes()).hexdigest()
    assert len({example.image.digest() for example in EXAMPLES.values()}) == 9


def test_making_the_benchmark_opens_no_picture(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened a picture"))
    assert len(Photos()) == 24


def test_without_scikit_image_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r'pip install "pixfound\[photos\]"'):
        Photos()


def test_other_pictures_than_the_outlines_are_refused():
    with pytest.raises(UserError, match=r"has no data/nothing\.png"):
        SkimageFile("nothing.png", (1, 1)).load()
    with pytest.raises(UserError, match=r"512 x 512 pixels, its outlines are for 300 x 400"):
        SkimageFile("camera.png", (300, 400)).load()


# What follows holds the outlines against properties of the pixels that did not serve to draw them.


def test_the_cell_is_what_is_bright():
    colours, mask = pixels("count-cell")
    assert overlap(mask, colours[..., 0] > 90) > 0.94
    assert np.argwhere(mask)[:, 1].mean() > mask.shape[1] / 2  # "right"


def test_each_coin_is_brighter_than_what_is_around_it():
    colours, together = pixels("count-coins")
    for coin in EXAMPLES["count-coins"].objects[1:]:
        mask = coin.decode()
        around = grown(mask, 5) & ~together
        between = (colours[..., 0][mask].mean() + colours[..., 0][around].mean()) / 2
        assert (colours[..., 0][mask] > between).mean() > 0.75
        assert (colours[..., 0][around] > between).mean() < 0.1


def test_the_dark_sky_is_what_is_bluer_than_red_above_the_lamps():
    colours, mask = pixels("sky-rocket")
    blue = colours[..., 2] - colours[..., 0] > 5
    assert overlap(mask[:350], blue[:350]) > 0.92


def test_the_rocket_is_not_blue():
    colours, mask = pixels("wings-rocket")
    blue = colours[..., 2] - colours[..., 0] > 5
    assert blue[mask].mean() < 0.07
    assert blue[grown(mask, 15) & ~grown(mask, 6)].mean() > 0.6


def test_the_bright_sky_holds_nothing_dark_and_misses_little():
    colours, mask = pixels("sky-camera")
    assert (colours[..., 0][mask] > 170).mean() > 0.99
    assert overlap(mask[:100], colours[:100, :, 0] > 170) > 0.99
    assert colours[..., 0][mask].mean() > pixels("sky-rocket")[0][pixels("sky-rocket")[1]].mean() + 100


def test_the_cameraman_is_what_is_dark():
    colours, mask = pixels("gaze-camera")
    near = grown(mask, 10)
    assert overlap(mask & near, (colours[..., 0] < 80) & near) > 0.88
    assert (colours[..., 0][near & ~mask] < 80).mean() < 0.2


def test_the_orange_suit_is_the_persons():
    colours, mask = pixels("gaze-astronaut")
    orange = (colours[..., 0] - colours[..., 2] > 80) & (colours[..., 0] > 120)
    orange[:, 370:] = False  # the brown tank of the spacecraft
    orange[:, :18] = False  # the flag
    assert (orange & mask).sum() / orange.sum() > 0.94


def test_one_head_of_hair_is_black_and_one_is_not():
    black, mask = pixels("hair-camera")
    assert (black[mask] < 60).mean() > 0.85
    assert (black[grown(mask, 5) & ~mask] < 60).mean() < 0.5
    blond, mask = pixels("hair-astronaut")
    assert (blond[mask].mean(axis=-1) < 60).mean() < 0.4
    assert blond[mask][:, 0].mean() > blond[mask][:, 2].mean() + 40


def test_the_helmet_has_no_colour_and_its_left_is_the_suit():
    colours, mask = pixels("helmet-astronaut")
    vivid = colours.max(axis=2) - colours.min(axis=2) > 40
    assert vivid[mask].mean() < 0.05
    left = grown(mask, 8) & ~mask
    left[:, 320:] = False
    assert vivid[left].mean() > 0.5


def test_the_eyes_are_greener_than_the_fur():
    colours, mask = pixels("eyes-chelsea")
    greenness = colours[..., 1] - colours[..., 0]
    assert greenness[mask].mean() > greenness[grown(mask, 8) & ~mask].mean() + 12


def test_the_spoon_is_less_vivid_than_cup_and_saucer():
    colours, mask = pixels("spoon-coffee")
    vividness = colours.max(axis=2) - colours.min(axis=2)
    assert vividness[mask].mean() < vividness[grown(mask, 12) & ~grown(mask, 2)].mean() - 25


def test_the_tripod_is_black_or_shiny_and_the_lawn_is_neither():
    colours, mask = pixels("tripod-camera")
    striking = (colours[..., 0] < 90) | (colours[..., 0] > 200)
    lawn = pixels("ground-camera")[1]
    assert striking[mask].mean() > 0.6
    assert striking[lawn].mean() < 0.05
    assert not (mask & lawn).sum() > 0.02 * mask.sum()


def test_light_and_shadow_of_the_crater_are_inside():
    colours, mask = pixels("side-moon")
    grey = colours[..., 0]
    striking = (abs(grey - np.median(grey)) > 25) & grown(mask, 8)
    assert (striking & mask).sum() / striking.sum() > 0.95
    assert np.argwhere(mask)[:, 1].mean() < mask.shape[1] / 2  # "left"


def test_the_garage_floor_and_the_motorcycle_share_nothing():
    colours, floor = pixels("ground-motorcycle")
    _, motorcycle = pixels("wheels-motorcycle")
    assert (floor & motorcycle).sum() < 0.01 * motorcycle.sum()
    red = colours[..., 0] - colours[..., 1:].max(axis=2) > 60
    assert red[floor].mean() < 0.01
    assert red[motorcycle].mean() > 0.1
