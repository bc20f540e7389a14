"""What all models that are prompted with the expression do alike."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors.clipseg import ClipSeg
from pixfound.extractors.detector import TextDetector
from pixfound.extractors.text_weights import TextWeights
from pixfound.types import Generation
from tests.support.prompted import DETECTORS, EXPRESSION, HEIGHT, SAID, TEXT, WIDTH, BoxSegmenter, extractors
from tests.support.random_text_prompted import SAVE


@pytest.mark.parametrize("name", SAVE)
def test_what_is_not_found_is_no_candidate(folders, image, name):
    extractor = extractors(folders, threshold=0.999999)[name]
    assert extractor.extract_one(image, SAID, EXPRESSION) == []
    if name in DETECTORS:
        assert extractor.segmenter.asked == []


@pytest.mark.parametrize("name", SAVE)
def test_any_expression_and_any_image_can_be_asked(folders, name):
    """Longer than the model has positions for, beyond ASCII, grey, very flat: the mask has the image's size."""
    extractor = extractors(folders)[name]
    for size, mode, expression in [((7, 200), "L", "a cat " * 100), ((130, 9), "RGBA", "el niño 猫. And more")]:
        found = extractor.extract_one(
            Image.new(mode, size, 128 if mode == "L" else (9, 99, 200, 255)), SAID, expression
        )
        assert all(candidate.mask.size == size[::-1] for candidate in found)


@pytest.mark.parametrize("expression", ["", "  ", " . "])
def test_without_an_expression_nothing_is_looked_for(folders, image, expression, monkeypatch):
    monkeypatch.setattr(TextWeights, "outputs", None)  # any use of the model fails
    for extractor in extractors(folders).values():
        assert extractor.extract_one(image, SAID, expression) == []


def test_a_template_puts_the_expression_into_words(folders, image, monkeypatch):
    told = []
    monkeypatch.setattr(ClipSeg, "_look", lambda self, image, text: told.append(text) or torch.zeros(1, 4, 4))
    ClipSeg(str(folders["clipseg"]), template="a photo of {}").extract_one(image, SAID, EXPRESSION)
    assert told == [f"a photo of {TEXT}"]


def test_the_model_is_asked_once_for_all_rows_and_prompts_of_an_image(folders, image, monkeypatch):
    asked, whole = [], TextWeights.outputs
    monkeypatch.setattr(TextWeights, "outputs", lambda self, inputs: asked.append(1) or whole(self, inputs))
    united = TextDetector(str(folders["owlvit"]), BoxSegmenter(), 0.25)
    each = TextDetector(str(folders["owlvit"]), BoxSegmenter(), 0.5, combine="candidates")
    for said in ("open", "ground"):
        for extractor in (united, each):
            extractor.extract_one(image, Generation(said, (HEIGHT, WIDTH)), EXPRESSION)
    assert len(asked) == 1 and len(united.segmenter.asked) == len(each.segmenter.asked) == 1
    assert united._weights.model is each._weights.model
    united.extract_one(image, SAID, EXPRESSION + "lobe")
    united.extract_one(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), SAID, EXPRESSION + "lobe")
    assert len(asked) == 3


def test_weights_are_freed_with_the_last_that_has_them(folders, image):
    extractor = ClipSeg(str(folders["clipseg"]))
    extractor.extract_one(image, SAID, EXPRESSION)
    model = weakref.ref(extractor._weights.model)
    del extractor
    gc.collect()
    assert model() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"threshold": True}, "threshold=true"),
        ({"template": "cat"}, "template=cat"),
        ({"template": "{} {}"}, "where the expression goes"),
        ({"dtype": "int8"}, "dtype=int8"),
    ],
)
def test_arguments_are_checked(folders, arguments, message):
    with pytest.raises(UserError, match=message):
        ClipSeg(str(folders["clipseg"]), **arguments)


def test_another_kind_of_model_is_noticed_before_its_weights_are_read(folders, tmp_path):
    with pytest.raises(UserError, match="holds a model of the type clipseg; this extractor takes grounding-dino or"):
        TextDetector(str(folders["clipseg"]), BoxSegmenter(), 0.1).identity()
    with pytest.raises(UserError, match="no such folder"):
        ClipSeg(str(tmp_path / "nothing")).identity()


def test_a_hub_id_without_network(image):
    with pytest.raises(UserError, match="is not in the hub's cache"):
        ClipSeg("someone/clipseg").extract_one(image, SAID, EXPRESSION)


def test_the_weights_identify_the_results(folders, tmp_path):
    same = ClipSeg(str(folders["clipseg"])).identity()
    other = SAVE["clipseg"](tmp_path / "m")
    assert ClipSeg(str(other)).identity() == same
    (other / "tokenizer_config.json").write_text("{}")
    assert ClipSeg(str(other)).identity() != same
