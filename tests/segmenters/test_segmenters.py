"""Every family of segmenters against a plain call of its transformers model: one prompt, prepared by hand."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from pixfound.errors import PictureTooNarrow, UserError
from pixfound.segmenters.sam import Sam
from pixfound.segmenters.sam2 import Sam2
from tests.support.random_sam import save_random_sam
from tests.support.random_sam2 import SIDE, save_random_sam2, save_random_sam3_tracker, save_random_sam_hq

HEIGHT, WIDTH = 45, 90
POINTS = [(3.0, 7.0), (60.5, 40.0), (89.0, 44.0), (20.0, 20.0)]
BOXES = [(2.0, 3.0, 30.0, 40.0), (50.0, 0.0, 90.0, 45.0), (10.0, 10.0, 14.0, 15.0)]
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = ([0.5] * 3, [0.5] * 3)
FAMILIES = {
    "SamModel": (Sam, save_random_sam, IMAGENET),
    "SamHQModel": (Sam, save_random_sam_hq, IMAGENET),
    "Sam2Model": (Sam2, save_random_sam2, IMAGENET),
    "Sam3TrackerModel": (Sam2, save_random_sam3_tracker, HALF),
}


@pytest.fixture(scope="module")
def image():
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 9, WIDTH // 9, 3), dtype=np.uint8)
    return Image.fromarray(noise.repeat(9, axis=0).repeat(9, axis=1))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """A segmenter, and the transformers model of its folder."""
    kind, save, _ = FAMILIES[request.param]
    folder = save(tmp_path_factory.mktemp("sam") / "m")
    segmenter = kind(str(folder), device="cpu", architecture=request.param)
    return segmenter, getattr(transformers, request.param).from_pretrained(folder).eval()


def pixels_of(image, name):
    """The model's picture, and the (height, width) of the image within it; drawn by PIL."""
    size = (SIDE // 2, SIDE) if name in ("SamModel", "SamHQModel") else (SIDE, SIDE)
    mean, std = (np.array(v, np.float32) for v in FAMILIES[name][2])
    resized = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float32) / 255
    square = np.zeros((SIDE, SIDE, 3), np.float32)
    square[: size[0], : size[1]] = (resized - mean) / std
    return torch.from_numpy(square).permute(2, 0, 1)[None], size


def plain(model, image, multimask, **prompt):
    """Logits (K, H, W) in image pixels and scores (K) for one prompt in image pixels."""
    pixels, (height, width) = pixels_of(image, type(model).__name__)
    scale = torch.tensor([width / WIDTH, height / HEIGHT])
    given = {name: (torch.tensor(value).reshape(-1, 2) * scale) for name, value in prompt.items()}
    given = {k: v[None, None] if k == "input_points" else v.reshape(1, 1, 4) for k, v in given.items()}
    with torch.inference_mode():
        out = model(pixel_values=pixels, **given, multimask_output=multimask)
    logits = out.pred_masks[0]
    bilinear = {"mode": "bilinear", "align_corners": False}
    if height < SIDE:
        logits = torch.nn.functional.interpolate(logits, (SIDE, SIDE), **bilinear)[..., :height, :width]
    logits = torch.nn.functional.interpolate(logits, (HEIGHT, WIDTH), **bilinear)
    return logits[0].numpy(), out.iou_scores[0, 0].numpy()


def agree(found, expected):
    """Masks may differ where a logit is next to nothing: 8 bits of a resized picture are rounded in two ways."""
    assert found.masks.shape == (len(expected), len(expected[0][1]), HEIGHT, WIDTH)
    for masks, scores, (logits, wanted) in zip(found.masks, found.scores, expected, strict=True):
        np.testing.assert_allclose(scores, wanted, atol=2e-2)
        unsure = np.abs(logits) < 0.01 * np.abs(logits).max(axis=(1, 2), keepdims=True)
        assert ((masks == (logits > 0)) | unsure).all()
        assert unsure.mean() < 0.5


def test_points_are_those_of_a_plain_call(family, image):
    segmenter, model = family
    agree(
        next(segmenter.point_masks([(image, POINTS)])),
        [plain(model, image, True, input_points=point) for point in POINTS],
    )


@pytest.mark.parametrize("multimask", [False, True])
def test_boxes_are_those_of_a_plain_call(family, image, multimask, monkeypatch):
    segmenter, model = family
    monkeypatch.setattr(segmenter, "multimask_boxes", multimask)
    agree(
        next(segmenter.box_masks([(image, BOXES)])), [plain(model, image, multimask, input_boxes=box) for box in BOXES]
    )


def test_prompts_do_not_depend_on_each_other(family, image, monkeypatch):
    """All in one call, in calls of three, or each in its own."""
    segmenter, _ = family
    together = next(segmenter.point_masks([(image, POINTS)]))
    monkeypatch.setattr("pixfound.segmenters.prompted._CHUNK", 3)
    for again in (
        next(segmenter.point_masks([(image, POINTS)])),
        *[next(segmenter.point_masks([(image, [point])])) for point in POINTS[:1]],
    ):
        assert (again.masks == together.masks[: len(again.masks)]).all()
        np.testing.assert_allclose(again.scores, together.scores[: len(again.scores)], atol=1e-5)
    assert len({masks.tobytes() for masks in together.masks}) > 1  # the prompt matters


def pictures():
    """Images of several shapes, among them one twice and one that is not asked about."""
    rng = np.random.default_rng(1)
    sizes = [(45, 90), (90, 45), (64, 64), (7, 31), (45, 90), (200, 33)]
    found = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]
    return [*found, found[1].copy()]


def prompts_for(image, count, boxes):
    rng = np.random.default_rng(count)
    corners = rng.random((count, 2, 2)) * (image.width, image.height)
    if boxes:
        return [(*pair.min(0).tolist(), *pair.max(0).tolist()) for pair in corners]
    return [tuple(pair[0].tolist()) for pair in corners]


@pytest.mark.parametrize("chunk", [64, 5])
@pytest.mark.parametrize("name", ["point_masks", "box_masks"])
def test_images_and_prompts_do_not_depend_on_what_goes_with_them(family, name, chunk, monkeypatch):
    """Ragged shapes and numbers of prompts, together and one image at a time: the same logits."""
    monkeypatch.setattr("pixfound.segmenters.prompted._CHUNK", chunk)
    segmenter, _ = family
    together, alone = (type(segmenter)(segmenter.path, device="cpu", architecture=segmenter.architecture) for _ in "ab")
    logits = {}
    for one in (together, alone):
        kept, restore = logits.setdefault(one, []), one._restore
        monkeypatch.setattr(one, "_restore", lambda *a, k=kept, r=restore: (k.append(r(*a)), k[-1])[1])
    counts = [3, 1, 7, 2, 0, 12, 4]
    requests = [(i, prompts_for(i, n, name == "box_masks")) for i, n in zip(pictures(), counts, strict=True)]
    found = list(getattr(together, name)(requests))
    expected = [next(getattr(alone, name)([request])) for request in requests]
    assert len(logits[together]) == len(logits[alone]) == 6
    for ours, theirs in zip(logits[together], logits[alone], strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-4 * max(1, float(theirs.abs().max())))
    for (image, prompts), ours, theirs in zip(requests, found, expected, strict=True):
        assert ours.masks.shape == theirs.masks.shape
        assert ours.masks.shape[2:] == (image.height, image.width)
        assert len(ours.masks) == len(prompts)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        assert (ours.masks != theirs.masks).sum() <= 1e-4 * ours.masks.size


def test_images_are_encoded_in_few_calls_and_each_once(family, monkeypatch):
    segmenter, _ = family
    fresh = type(segmenter)(segmenter.path, device="cpu", architecture=segmenter.architecture)
    encode, sizes = fresh._model.get_image_embeddings, []
    monkeypatch.setattr(fresh._model, "get_image_embeddings", lambda p: (sizes.append(len(p)), encode(p))[1])
    asked = [(image, [(3.0, 3.0)]) for image in pictures()]
    list(fresh.point_masks(asked))
    assert sizes == [6]  # seven pictures, two of which are the same
    list(fresh.box_masks([(image, [(1.0, 1.0, 9.0, 5.0)]) for image, _ in asked]))
    assert sizes == [6]
    monkeypatch.setattr("pixfound.segmenters.encoded._ENCODED", 16 * SIDE * SIDE)  # a quarter of it on a CPU
    again = type(segmenter)(segmenter.path, device="cpu", architecture=segmenter.architecture)
    again.__dict__["_model"] = fresh._model
    list(again.point_masks(asked))
    assert sizes == [6, 4, 2]
    assert list(again.point_masks([])) == []


def test_large_masks_are_made_a_few_at_a_time(family, image, monkeypatch):
    segmenter, _ = family
    expected = next(segmenter.point_masks([(image, POINTS)]))
    monkeypatch.setattr("pixfound.segmenters.prompted._RESTORED", 1)
    restore, sizes = segmenter._restore, []
    monkeypatch.setattr(segmenter, "_restore", lambda *a: (sizes.append(len(a[0])), restore(*a))[1])
    found = next(segmenter.point_masks([(image, POINTS)]))
    assert sizes == [1] * expected.scores.size
    assert (found.masks == expected.masks).all()


def test_an_image_is_encoded_once(family, image, monkeypatch):
    segmenter, _ = family
    next(segmenter.point_masks([(image, POINTS)]))
    monkeypatch.setattr(segmenter, "_prepare", lambda _: pytest.fail("encoded again"))
    next(segmenter.box_masks([(image, BOXES)]))


def test_a_picture_that_is_too_narrow_is_named(family):
    segmenter, _ = family
    line = Image.new("RGB", (2 * SIDE + 1, 1))
    if isinstance(segmenter, Sam):
        with pytest.raises(
            PictureTooNarrow, match=f"{2 * SIDE + 1} x 1 pixels is too narrow for a segmenter of {SIDE}"
        ):
            next(segmenter.point_masks([(line, [(3.0, 0.0)])]))
        line = Image.new("RGB", (2 * SIDE, 1))
    assert next(segmenter.point_masks([(line, [(3.0, 0.0)])])).masks.shape[2:] == (1, line.width)


def test_no_prompt_is_no_mask(family, image):
    segmenter, _ = family
    assert (
        next(segmenter.point_masks([(image, [])])).masks.shape[0]
        == next(segmenter.box_masks([(image, [])])).masks.shape[0]
        == 0
    )
    assert next(segmenter.point_masks([(image, [])])).masks.shape[2:] == (HEIGHT, WIDTH)


def test_a_class_of_another_family_is_refused():
    with pytest.raises(UserError, match=r"architecture=Sam2Modell.*Sam2Model"):
        Sam2("a/b", architecture="Sam2Modell")


# The second channel of `chequered` at 3 x 4 pixels, from the processors of transformers 5.23 with torchvision 0.28.
PROCESSED = {
    "sam2": [
        [-0.5126, -0.8627, 0.923, 0.5728],
        [-0.2675, -0.6176, 1.1681, 0.8179],
        [-0.0224, -0.3726, 0.0826, 0.9405],
    ],
    "sam3": [
        [-0.3176, -0.4745, 0.3255, 0.1686],
        [-0.2078, -0.3647, 0.4353, 0.2784],
        [-0.098, -0.2549, -0.051, 0.3333],
    ],
}


def settings_of(folder, name, size):
    mean, std = IMAGENET if name == "sam2" else HALF
    settings = {"size": size, "image_mean": mean, "image_std": std, "rescale_factor": 1 / 255}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return Sam2(str(folder))


@pytest.mark.parametrize("name", PROCESSED)
def test_pictures_are_prepared_as_by_the_models_own_processor(name, tmp_path):
    chequered = Image.fromarray((np.arange(105) * 37 % 256).astype(np.uint8).reshape(5, 7, 3))
    prepared = settings_of(tmp_path / "m", name, {"height": 3, "width": 4})._prepare(chequered)
    assert prepared.size == (3, 4)
    np.testing.assert_allclose(prepared.pixels[0, 1].numpy(), PROCESSED[name], atol=1e-4)


@pytest.mark.parametrize("name", PROCESSED)
@pytest.mark.parametrize("shape", [(45, 90), (480, 640), (1500, 1100), (7, 2000)])
def test_pictures_equal_those_of_the_models_own_processor(name, shape, tmp_path):
    pytest.importorskip("torchvision", reason="the models' own processors need torchvision")
    module = importlib.import_module(f"transformers.models.{name}.image_processing_{name}")
    processor = getattr(module, f"{name.capitalize()}ImageProcessor")()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    size = {"height": processor.size["height"], "width": processor.size["width"]}
    ours = settings_of(tmp_path / "m", name, size)._prepare(image).pixels
    theirs = processor(image, return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)


def test_settings_that_lack_a_size_are_named(tmp_path, image):
    folder = save_random_sam2(tmp_path / "m")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(UserError, match="names no image_std and no size"):
        next(Sam2(str(folder)).point_masks([(image, POINTS)]))
