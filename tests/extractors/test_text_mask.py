from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer

from pixfound.apps.evaluation import evaluate
from pixfound.config.factory import build, build_parts, fingerprints
from pixfound.errors import UserError
from pixfound.extractors.text_mask import TextMask
from pixfound.interfaces import Benchmark
from pixfound.types import Generation
from pixfound.types.masks import RLE, iou
from tests.support.examples import drawn
from tests.support.families import FAMILIES
from tests.support.mask_codes import painting_weights, random_weights, save, spell
from tests.support.places import BOX, box_of, made_to_say, masks_for, rectangle
from tests.support.run import config_of, random_models, scores_of

IMAGE = Image.new("RGB", (8, 8))
LEFT = drawn("........", ".###....", ".###....", ".###....", "........", "........", "........", "........")
RIGHT = drawn("........", "........", "........", "........", "........", "......##", "......##", "........")
BOTH = drawn("........", ".###....", ".###....", ".###....", "........", "......##", "......##", "........")


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    return str(save(painting_weights(), tmp_path_factory.mktemp("codes") / "vae-oid.npz"))


def said(text):
    return Generation(text, (8, 8))


def outline(*corners):
    """Corners in pixels of the 8 x 8 image as bins of 1000."""
    return "".join(f"<loc_{min(round(v * 125), 999)}>" for v in corners)


ONE, OTHER = outline(1, 1, 4, 1, 4, 4, 1, 4), outline(6, 5, 8, 5, 8, 7, 6, 7)


@pytest.mark.parametrize("text", [f"{ONE}<sep>{OTHER}", f"<poly>{ONE}</poly><poly>{OTHER}</poly>", f"a{ONE}b{OTHER}"])
def test_polygons_are_united(text):
    assert [c.mask for c in TextMask("loc_1000").extract_one(IMAGE, said(text), "")] == [BOTH]


def test_an_object_is_a_candidate_once_and_holds_all_of_its_polygons():
    each = TextMask("loc_1000", combine="candidates")
    text = f"<poly>{ONE}</poly><poly>{ONE}</poly><poly>{OTHER}</poly><poly>{outline(1, 1, 4, 4)}</poly>"
    assert [c.mask for c in each.extract_one(IMAGE, said(text), "")] == [LEFT, RIGHT]
    (kept,) = TextMask("loc_1000", combine="instances").extract_one(IMAGE, said(text), "")
    assert kept.mask == BOTH and [part.mask for part in kept.parts] == [LEFT, RIGHT]
    assert [c.mask for c in each.extract_one(IMAGE, said(f"{ONE}<sep>{OTHER}"), "")] == [BOTH]


def test_codes_are_drawn_in_their_boxes(painter):
    text = f"{spell(LEFT.decode())} cat ; {spell(RIGHT.decode())} dog ; {spell(RIGHT.decode())} dog"
    (united,) = TextMask("loc_1024", painter).extract_one(IMAGE, said(text), "")
    assert united.mask == BOTH and united.box is None
    each = TextMask("loc_1024", painter, "candidates").extract_one(IMAGE, said(text), "")
    assert [c.mask for c in each] == [LEFT, RIGHT] and each[0].box == (1, 1, 4, 4)
    (one,) = TextMask("loc_1024", painter).extract_one(IMAGE, said(spell(LEFT.decode())), "")
    assert one.mask == LEFT and one.box == (1, 1, 4, 4)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I see no cat.",
        outline(1, 1, 4, 4),
        outline(1, 1, 1, 1, 1, 1),
        "<loc0100><loc0100><loc0100><loc0100>" + "<seg001>" * 16,  # a box without area
        "<loc0100><loc0100><loc0200><loc0200>" + "<seg000>" * 16,  # nothing inside
    ],
)
@pytest.mark.parametrize("combine", ["union", "candidates"])
def test_an_answer_without_a_mask_gives_nothing(painter, text, combine):
    assert TextMask("loc_1000", combine=combine).extract_one(IMAGE, said(text), "") == []
    assert TextMask("loc_1024", painter, combine).extract_one(IMAGE, said(text), "") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "loc_1024"}, "text_mask.decoder to a local copy of gs://big_vision/paligemma/vae-oid.npz"),
        ({"format": "loc_1024", "decoder": "no/such.npz"}, "decoder=no/such.npz: there is no such file; set"),
        ({"format": "loc_1000", "decoder": "no/such.npz"}, "text_mask.decoder=null"),
        ({"format": "loc_1000", "combine": "all"}, "combine=all"),
        ({"format": "json_1000"}, "no format for masks"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(UserError, match=message):
        TextMask(**arguments)


def test_a_missing_file_is_named_before_a_model_is_looked_for(tmp_path):
    config = config_of("extraction=text_mask", "extraction.extractors.text_mask.format=loc_1024", "model=hf",
                       f"model.path={tmp_path / 'none'}", f"outputs_dir={tmp_path}")  # fmt: skip
    with pytest.raises(UserError, match=r"set extraction.extractors.text_mask.decoder to a local copy of gs://"):
        evaluate(config)


def test_records_depend_on_the_content_of_the_file_and_not_on_its_place(tmp_path, models):
    def prints(arrays, name):
        file = save(arrays, tmp_path / name)
        config = config_of(*random_models(models), "extraction=text_mask",
                           "extraction.extractors.text_mask.format=loc_1024",
                           f"extraction.extractors.text_mask.decoder={file}")  # fmt: skip
        return fingerprints(build_parts(config)).extract["text_mask"]

    first = prints(painting_weights(), "a.npz")
    assert prints(painting_weights(), "b.npz") == first != prints(random_weights(), "c.npz")


@pytest.mark.parametrize("format", ["loc_1000", "loc_1024"])
def test_the_whole_pipeline(models, tmp_path, painter, format):
    """The answers of a model that spells the truth, and of one that names no place."""
    given = [*random_models(models), f"outputs_dir={tmp_path}", "limit=4", "extraction=text_mask"]
    given.append(f"extraction.extractors.text_mask.format={format}")
    if format == "loc_1024":
        given.append(f"extraction.extractors.text_mask.decoder={painter}")
    config, ious = config_of(*given), {}
    for name in ("right", "none"):
        replies = {
            example.id: truth(example, format) if name == "right" else "No idea."
            for example in build(config["benchmark"], "benchmark", Benchmark).built
        }
        result = evaluate({**config, "model": {"_target_": "tests.support.saying.Saying", "replies": replies}})
        for line in scores_of(result):
            if line["kind"] == "ground" and not line["absent"]:
                ious.setdefault((name, line["row"]), []).append(line["iou"])
    assert min(ious["right", "text_mask"]) > 0.5 and min(ious["right", "oracle"]) > 0.5
    assert max(ious["none", "text_mask"]) == max(ious["none", "oracle"]) == 0


def truth(example, format):
    """An example's mask in 4 x 4 codes, or as the polygon around its rows."""
    mask = example.gt_mask.decode()
    if not mask.any():
        return "It is not there."
    if format == "loc_1024":
        return spell(mask) + " the thing"
    rows = np.flatnonzero(mask.any(axis=1))
    left = [(np.flatnonzero(mask[y])[0], y + 0.5) for y in rows]
    right = [(np.flatnonzero(mask[y])[-1] + 1, y + 0.5) for y in rows[::-1]]
    height, width = mask.shape
    return "".join(f"<loc_{int(x / width * 999)}><loc_{int(y / height * 999)}>" for x, y in left + right)


@pytest.mark.verifies("native masks", model="paligemma")
def test_what_a_paligemma_spells_is_drawn_there(tmp_path, painter):
    """A tiny random one that is made to write an object's box and codes: its tokens reach the decoder as they are."""
    thing = rectangle(*BOX)
    thing[: BOX[1] + (BOX[3] - BOX[1]) // 4, : (BOX[0] + BOX[2]) // 2] = False  # without two of its 4 x 4 cells
    words = re.findall("<[^>]+>", spell(thing))
    family = FAMILIES["paligemma"]
    roomy = replace(family, config=lambda ids, vocab: family.config(ids, vocab + len(set(words))))
    folder = roomy.save(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(sorted(set(words)))  # as in the published tokenizer: not special
    tokenizer.save_pretrained(folder)
    ids = [*tokenizer.convert_tokens_to_ids(words), tokenizer.eos_token_id]
    model = config_of("model=hf", f"model.path={folder}", "model.dtype=float32", "model.capture=none")["model"]
    decoder = f"extraction.extractors.text_mask.decoder={painter}"
    speaking = {**model, "generation": made_to_say(ids)}
    (mask,) = masks_for(tmp_path, speaking, "text_mask", "loc_1024", "prompts.ground=paligemma_mask", decoder)
    assert box_of(mask) == pytest.approx(BOX, abs=2)
    assert iou(mask, RLE.encode(thing)) > 0.95
