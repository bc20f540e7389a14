"""Guided crop and mask-out against masks drawn by hand, on the released annotations, and through a run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.benchmarks.perturbed import SHARE, Varied, bounding_box, change, draw, draw_once, varied
from pixfound.benchmarks.photos import Photos
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.types import Example
from pixfound.types.masks import RLE
from tests.support.examples import ArrayImage, drawn, make_example
from tests.support.run import count_lines, run, scores_of

HERE = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixmmvp"
SHAPES = {"_target_": "pixfound.benchmarks.pixshapes.PixShapes", "pairs": 12, "seed": 7}
# What the original's own generator left of the masks of PixMMVP (286 examples, variations 0 to 9 of each kind).
ORIGINAL = {
    "crop": "27fbcff0 b9a49d1f 083023df 399a1238 9322e131 e8674163 c3645224 cae48f18 e0a51ab7 93ba8081",
    "mask_out": "30b82794 67bed32e 314cdfdf 0a59896e 44cd76a7 1864c119 33572692 4aee96a4 4f080430 53f68621",
}


class Scripted:
    """A generator that gives what it is told to."""

    def __init__(self, share: float, *integers: int) -> None:
        self.share, self.left = share, list(integers)

    def random(self) -> float:
        return self.share

    def randint(self, low: int, high: int) -> int:
        value = self.left.pop(0)
        assert low <= value < high
        return value


def pixels(*rows: str) -> Any:
    return drawn(*rows).decode()


def numbered(height: int, width: int) -> Any:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_a_mask_out_by_hand() -> None:
    mask = pixels("......", ".####.", ".####.", ".####.", ".####.")
    box = draw_once("mask_out", mask, Scripted(0.75 / 0.8, 2, 1))  # type: ignore[arg-type]
    assert box == (2, 1, 5, 4)
    assert change(RLE.encode(mask), "mask_out", box) == drawn("......", ".#....", ".#....", ".#....", ".####.")


def test_a_mask_out_that_misses_moves_to_the_corner_and_may_still_miss() -> None:
    mask = pixels("......", ".####.", ".####.", ".####.", ".####.")
    assert draw_once("mask_out", mask, Scripted(0.5 / 0.8, 4, 4)) == (1, 1, 3, 3)  # type: ignore[arg-type]
    assert draw_once("mask_out", mask, Scripted(0.4 / 0.8, 1, 1)) is None  # type: ignore[arg-type]


def test_a_crop_by_hand() -> None:
    mask = np.zeros((100, 120), dtype=bool)
    mask[20:90, 30:110] = True
    box = draw("crop", mask, Scripted(0.0))  # type: ignore[arg-type]
    assert box == (0, 0, 30 + 40, 20 + 35)  # half of each side, from the object's corner; all before it stays
    assert change(RLE.encode(mask), "crop", box).area == 40 * 35
    small = np.zeros((60, 50), dtype=bool)
    small[5:15, 8:18] = True
    assert draw("crop", small, Scripted(0.0)) == (0, 0, 38, 35)  # type: ignore[arg-type]  # 30 pixels at least
    corner = np.zeros((60, 50), dtype=bool)
    corner[50:, 40:] = True
    assert draw("crop", corner, Scripted(0.0)) == (0, 0, 50, 60)  # type: ignore[arg-type]  # never past the picture


def test_picture_masks_and_objects_change_together() -> None:
    gt, other, gone = drawn("##..", "##..", "...."), drawn("....", "..##", "..##"), drawn("#...", "....", "....")
    source = ArrayImage(numbered(3, 4))
    example = make_example(gt, image=source, id="7", pair_id="3", tags={"a": "b"}, objects=(gt, other, gone))
    cut = varied(example, "crop", (0, 0, 3, 2))
    assert np.array_equal(np.asarray(cut.image.load()), source.pixels[:2, :3])
    assert cut.gt_mask == drawn("##.", "##.")
    assert cut.objects == (drawn("##.", "##."), drawn("...", "..#"), drawn("#..", "..."))
    hidden = varied(example, "mask_out", (0, 0, 2, 1))
    black = source.pixels.copy()
    black[:1, :2] = 0
    assert np.array_equal(np.asarray(hidden.image.load()), black)
    assert hidden.gt_mask == drawn("....", "##..", "....")
    assert hidden.objects == (drawn("....", "##..", "...."), other)
    for made in (cut, hidden):
        kept = ("id", "pair_id", "question", "options", "answer", "expression", "tags")
        assert all(getattr(made, name) == getattr(example, name) for name in kept)
    digests = [e.image.digest() for e in (example, cut, hidden, varied(example, "crop", (0, 0, 2, 2)))]
    assert len(set(digests)) == 4
    assert cut.image.digest() == varied(example, "crop", (0, 0, 3, 2)).image.digest()


def test_instances_boxes_and_ignored_pixels_change_with_the_mask() -> None:
    left, right = drawn("##....", "##...."), drawn("...##.", "......")
    whole = drawn("##.##.", "##....")
    example = make_example(whole, instances=(left, right), boxes=((0, 0, 2, 2), (3.0, 0.0, 5.5, 1.0)), ignore=right)
    cropped = varied(example, "crop", (0, 0, 4, 2))
    assert cropped.instances == (drawn("##..", "##.."), drawn("...#", "...."))
    assert cropped.boxes == ((0, 0, 2, 2), (3.0, 0.0, 4, 1.0))
    assert cropped.ignore == drawn("...#", "....")
    out = varied(example, "mask_out", (3, 0, 6, 2))
    assert (out.gt_mask, out.instances, out.boxes) == (left, (left,), example.boxes)
    assert out.ignore == drawn("......", "......")
    assert varied(example, "crop", (0, 0, 3, 2)).boxes == ((0, 0, 2, 2),)


def test_a_picture_of_another_size_than_its_mask_is_an_error() -> None:
    cut = varied(make_example(drawn("#."), image=ArrayImage(numbered(3, 3))), "crop", (0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"the image is 3 x 3 pixels, its mask \(1, 2\)"):
        cut.image.load()


@settings(deadline=None, max_examples=60)
@given(st.integers(5, 60), st.integers(5, 60), st.integers(0, 2**31), st.sampled_from(["crop", "mask_out"]))
def test_enough_of_the_mask_is_kept_or_hidden(height: int, width: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((80, 90), dtype=bool)
    top, left = int(rng.integers(80 - height + 1)), int(rng.integers(90 - width + 1))
    mask[top : top + height, left : left + width] = rng.random((height, width)) < 0.7
    if not mask.any():
        return
    box = draw(kind, mask, rng)
    if box is None:
        return
    x0, y0, x1, y1 = box
    left, top, right, bottom = bounding_box(mask)
    assert mask[y0:y1, x0:x1].sum() > SHARE * mask.sum()
    if kind == "crop":
        assert (x0, y0) == (0, 0)
        assert x1 <= left + max(30, 0.8 * (right - left))
        assert y1 <= top + max(30, 0.8 * (bottom - top))
    else:
        assert left <= x0 < right
        assert top <= y0 < bottom
        assert change(RLE.encode(mask), kind, box).area == mask.sum() - mask[y0:y1, x0:x1].sum()


def test_a_single_draw_leaves_more_than_half_of_full_boxes_as_they_are() -> None:
    mask = np.ones((200, 200), dtype=bool)
    rng = np.random.RandomState(0)
    once = [draw_once("mask_out", mask, rng) is None for _ in range(4000)]
    assert np.mean(once) == pytest.approx(0.447 / 0.8, abs=0.025)  # the share must pass the root of 0.2
    again = np.random.default_rng(0)
    assert all(draw("mask_out", mask, again) is not None for _ in range(200))


def test_a_box_that_no_draw_can_serve_stays() -> None:
    line = np.zeros((5, 40), dtype=bool)
    line[2] = True  # one pixel high: a part of it is none
    assert draw("mask_out", line, np.random.default_rng(0)) is None


def same(a: Example, b: Example) -> bool:
    return a.gt_mask == b.gt_mask and a.image.digest() == b.image.digest()


@pytest.mark.parametrize("kind", ["crop", "mask_out"])
def test_a_variation_of_pixshapes(kind: str) -> None:
    plain = PixShapes(pairs=12, seed=7)
    first, again, other = (Varied(SHAPES, f"{kind}_{n}", least_pixels=5) for n in (0, 0, 1))
    assert [(e.id, e.pair_id, e.tags) for e in first] == [(e.id, e.pair_id, e.tags) for e in plain]
    assert [same(a, b) for a, b in zip(first, plain, strict=True)] == [e.absent for e in plain]
    assert same(again[-1], first[len(first) - 1])  # whatever was taken before
    assert [e.id for e in first[3:5]] == [e.id for e in plain[3:5]]
    for others in (other, Varied(SHAPES, f"{kind}_0", seed=5, least_pixels=5)):
        alike = [same(a, b) for a, b in zip(first, others, strict=True) if not a.absent]
        assert sum(alike) < len(alike) / 3  # small things by chance
    for example in first:
        assert np.asarray(example.image.load()).shape[:2] == tuple(example.gt_mask.size)
        assert all(mask.size == example.gt_mask.size for mask in example.objects)


def test_things_hardly_larger_than_the_least_are_cropped_alike() -> None:
    alike = [same(a, b) for a, b in zip(Varied(SHAPES, "crop_0"), Varied(SHAPES, "crop_1"), strict=True)]
    assert sum(alike) > len(alike) / 2


def test_photos_change_where_the_mask_does() -> None:
    pytest.importorskip("skimage")
    plain, hidden = Photos(), Varied({"_target_": "pixfound.benchmarks.photos.Photos"}, "mask_out_3")
    for before, after in zip(plain, hidden, strict=True):
        lost = before.gt_mask.decode() & ~after.gt_mask.decode()
        assert lost.any() != before.absent
        assert np.asarray(after.image.load())[lost].sum() == 0


@pytest.mark.parametrize("name", ["none", "vqa_t1", "ground_t3", "spelling_0"])
def test_variations_of_the_text_leave_the_pictures(name: str) -> None:
    made = Varied(SHAPES, name)
    assert all(same(a, b) for a, b in zip(made, PixShapes(pairs=12, seed=7), strict=True))


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"benchmark.variation=crap_1: .* did you mean crop_0"):
        Varied(SHAPES, "crap_1")
    with pytest.raises(UserError, match=r"benchmark.of.pairs=0: must be a whole number of at least 1"):
        Varied({**SHAPES, "pairs": 0})
    with pytest.raises(UserError, match=r"Varied.least_pixels=0: must be a whole number"):
        Varied(SHAPES, least_pixels=0)
    with pytest.raises(UserError, match=r"^benchmark.of.pears: .* did you mean pairs"):
        Varied({**SHAPES, "pears": 0})


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The released annotations beside a folder with one picture."""
    if not (HERE / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    folder = tmp_path_factory.mktemp("pixmmvp")
    for path in HERE.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "MMVP Images").mkdir()
    Image.new("RGB", (224, 224)).save(folder / "MMVP Images" / "1.jpg")
    return {"_target_": "pixfound.benchmarks.pixmmvp.PixMMVP", "root": str(folder)}


@pytest.mark.parametrize("kind", ["crop", "mask_out"])
def test_without_redrawing_the_masks_are_the_originals(kind: str, real: dict[str, str]) -> None:
    for number, wanted in enumerate(ORIGINAL[kind].split()):
        found = hashlib.sha256()
        for example in Varied(real, f"{kind}_{number}", redraw=False):
            found.update(json.dumps(example.gt_mask.to_json()).encode())
        assert found.hexdigest()[:8] == wanted


def test_redrawing_changes_every_object_of_pixmmvp(real: dict[str, str]) -> None:
    plain = list(Varied(real))
    shares = {}
    for redraw in (True, False):
        made = Varied(real, "mask_out_4", redraw=redraw)
        unchanged = [a.gt_mask == b.gt_mask for a, b in zip(made, plain, strict=True) if not b.absent]
        shares[redraw] = float(np.mean(unchanged))
    assert shares[True] == 0
    assert 0.4 < shares[False] < 0.65


def test_what_the_benchmark_leaves_out_is_still_known(real: dict[str, str]) -> None:
    left_out = Varied(real, "crop_0").left_out
    assert len(left_out) == 14
    assert left_out["23"] == "23"
    assert Varied(SHAPES, "crop_0").left_out == {}


def test_a_run_shares_the_records_of_what_is_not_changed(models: Path, tmp_path: Path) -> None:
    run(models, tmp_path)
    lines = count_lines(tmp_path)
    run(models, tmp_path, "benchmark=varied")
    assert count_lines(tmp_path) == lines
    result = run(models, tmp_path, "benchmark=varied", "benchmark.variation=mask_out_0")
    absent = len({s["example_id"] for s in scores_of(result) if s["absent"]})
    assert absent
    assert count_lines(tmp_path)["generate"] == lines["generate"] + 3 * (result.metrics["examples"] - absent)
