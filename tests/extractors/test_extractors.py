from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.extractors.attention import AttentionPeak
from pixfound.extractors.native import NativeMasks
from pixfound.extractors.null_baselines import CentrePoint, RandomPoint
from pixfound.interfaces import Model, PhraseFinder
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Candidate, Generation, Phrase, Prompt, Tile
from pixfound.types.layer_attention import LayerAttention
from tests.support.examples import PointSegmenter, drawn

HEIGHT, WIDTH, SIDE = 20, 40, 4  # a cell is 5 pixels high, 10 wide
IMAGE = Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
TEXT = "The cat sits on a red mat"
SPANS = ((0, 3), (3, 7), (7, 12), (12, 15), (15, 17), (17, 21), (21, 25), (25, 25))  # the end token is empty
CAT, MAT = Phrase("The cat", "cat", (0, 7)), Phrase("a red mat", "mat", (16, 25))
TILE = Tile(0, (SIDE, SIDE), SIDE, (0.0, 0.0, float(WIDTH), float(HEIGHT)))


class KnownPhrases(PhraseFinder):
    def __init__(self, *phrases):
        self.found = list(phrases)

    def phrases(self, text):
        return [p for p in self.found if text[p.span[0] : p.span[1]] == p.text]


def said(cells, text=TEXT, spans=SPANS, before=(0, 0)):
    """A generation whose rows look at one cell (row, column) each."""
    rows = np.zeros((len(cells), SIDE * SIDE), np.float32)
    for row, (y, x) in zip(rows, cells, strict=True):
        row[y * SIDE + x] = 1
    penultimate = np.zeros(SIDE * SIDE, np.float32)
    penultimate[before[0] * SIDE + before[1]] = 1
    return Generation(text, (HEIGHT, WIDTH), spans, (TILE,), rows, penultimate)


def cells_of(candidates):
    """The cell (row, column) of each candidate's point."""
    return [(int(c.point[1] // (HEIGHT // SIDE)), int(c.point[0] // (WIDTH // SIDE))) for c in candidates]


# Rows that predict the tokens: The, cat, sits, on, a, red, mat, end.
CELLS = [(0, 3), (0, 3), (1, 1), (1, 1), (3, 0), (3, 0), (3, 0), (2, 2)]


def test_the_point_is_where_the_attention_of_the_phrase_peaks():
    segmenter = PointSegmenter()
    found = AttentionPeak(segmenter, KnownPhrases(CAT, MAT)).extract_one(IMAGE, said(CELLS), "the cat")
    assert cells_of(found) == [(0, 3), (0, 3), (3, 0), (3, 0)]
    assert [c.phrase for c in found] == [CAT, CAT, MAT, MAT]
    assert [c.score for c in found] == [0.9, 0.4, 0.9, 0.4]
    for c in found:
        assert c.mask.size == (HEIGHT, WIDTH)
        assert c.mask.contains(c.point)
    assert [c.mask.area for c in found] == [1, WIDTH, 1, WIDTH]
    assert len(segmenter.calls) == 1  # one call for all points
    assert segmenter.calls[0] == [found[0].point, found[2].point]


def test_the_row_of_a_token_itself_is_the_next():
    shifted = [(2, 2), *CELLS[:-1]]  # row i + 1 is the query of token i
    found = AttentionPeak(PointSegmenter(), KnownPhrases(CAT, MAT), row="self").extract_one(IMAGE, said(shifted), "")
    assert cells_of(found)[::2] == [(0, 3), (3, 0)]
    predicting = AttentionPeak(PointSegmenter(), KnownPhrases(CAT, MAT)).extract_one(IMAGE, said(CELLS), "")
    assert [c.point for c in found] == [c.point for c in predicting]


def test_a_phrase_at_the_very_end_may_have_no_row_of_its_own():
    """Cut off after its only token: the query of the last token was never made."""
    last = Phrase("mat", "mat", (22, 25))
    cut = said(CELLS[:7], spans=SPANS[:7])
    assert AttentionPeak(PointSegmenter(), KnownPhrases(last), row="self").extract_one(IMAGE, cut, "") == []
    found = AttentionPeak(PointSegmenter(), KnownPhrases(CAT, last), row="self").extract_one(IMAGE, cut, "")
    assert {c.phrase for c in found} == {CAT}
    assert len(AttentionPeak(PointSegmenter(), KnownPhrases(last)).extract_one(IMAGE, cut, "")) == 2


def test_what_all_tokens_look_at_is_subtracted():
    """Every row looks at one cell the most, a sink; the phrase's own cell comes second."""
    generation = said(CELLS)
    generation.attention[:, 1 * SIDE + 2] += 5
    with_mean = AttentionPeak(PointSegmenter(), KnownPhrases(CAT), subtract_mean=False)
    without = AttentionPeak(PointSegmenter(), KnownPhrases(CAT))
    assert cells_of(with_mean.extract_one(IMAGE, generation, ""))[0] == (1, 2)
    assert cells_of(without.extract_one(IMAGE, generation, ""))[0] == (0, 3)


def test_the_rows_of_a_phrase_are_averaged():
    """Two tokens that look at a cell a little outweigh one that looks at another cell more."""
    generation = said([(0, 3), (1, 1), *CELLS[2:]])
    generation.attention[:2, 2 * SIDE] = 0.8
    extractor = AttentionPeak(PointSegmenter(), KnownPhrases(CAT), subtract_mean=False)
    assert cells_of(extractor.extract_one(IMAGE, generation, ""))[0] == (2, 0)


@pytest.mark.parametrize(("step0", "cell"), [("last", (0, 3)), ("penultimate", (2, 1))])
def test_the_first_token_may_be_read_from_the_row_before(step0, cell):
    the = Phrase("The", "The", (0, 3))
    extractor = AttentionPeak(PointSegmenter(), KnownPhrases(the), step0=step0)
    assert cells_of(extractor.extract_one(IMAGE, said(CELLS, before=(2, 1)), ""))[0] == cell


def test_an_answer_of_a_single_token_keeps_its_row():
    """Less the mean over one row nothing would be left, and the point would fall into the corner."""
    generation = said([(2, 3)], "Left", ((0, 4),))
    left = KnownPhrases(Phrase("Left", "Left", (0, 4)))
    assert cells_of(AttentionPeak(PointSegmenter(), left).extract_one(IMAGE, generation, ""))[0] == (2, 3)
    assert AttentionPeak(PointSegmenter(), left, row="self").extract_one(IMAGE, generation, "") == []


def test_the_heat_is_the_map_that_the_point_is_taken_from():
    extractor, generation = AttentionPeak(PointSegmenter(), KnownPhrases(CAT)), said(CELLS)
    heat = extractor.attention_map(generation, CAT)
    (x, y) = extractor.extract_one(IMAGE, generation, "")[0].point
    assert heat.shape == (HEIGHT, WIDTH)
    assert heat[int(y), int(x)] == heat.max()
    assert extractor.attention_map(generation, Phrase("", "", (25, 30))) is None


@pytest.mark.parametrize("text", ["", "The dog"])
def test_without_phrases_there_are_no_candidates_and_no_call(text):
    segmenter = PointSegmenter()
    generation = said(CELLS, text=text) if text else said([(0, 0)], "", ((0, 0),))
    assert AttentionPeak(segmenter, KnownPhrases(CAT)).extract_one(IMAGE, generation, "the cat") == []
    assert segmenter.calls == []


def test_a_model_without_attention_is_refused_at_once():
    with pytest.raises(UserError, match=r"model\.capture=step"):
        AttentionPeak(PointSegmenter(), KnownPhrases(CAT), model=Model())
    extractor = AttentionPeak(PointSegmenter(), KnownPhrases(CAT), model=SimpleNamespace(captures=True, keep="mean"))
    with pytest.raises(ValueError, match="no attention"):
        extractor.extract_one(IMAGE, Generation(TEXT, (HEIGHT, WIDTH)), "")


def test_the_second_peak_may_be_taken_and_the_last_where_there_is_none():
    """Two cells apart from each other: the one that is looked at less is the second."""
    generation = said(CELLS)
    generation.attention[:2, 3 * SIDE] = 0.5
    options = {"phrases": KnownPhrases(CAT), "subtract_mean": False}
    ranked = [AttentionPeak(PointSegmenter(), rank=rank, **options) for rank in (1, 2, 99)]
    found = [cells_of(extractor.extract_one(IMAGE, generation, ""))[0] for extractor in ranked]
    assert found[:2] == [(0, 3), (3, 0)]
    flat = generation.attention[0].reshape(SIDE, SIDE)
    assert flat[found[2]] == 0


def kept(*layers):
    """A generation of several layers, each of two heads that look at a cell each: `layers` are pairs of such lists."""
    heads = [[said(cells) for cells in pair] for pair in layers]
    rows = np.stack([np.stack([np.concatenate([h.penultimate[None], h.attention]) for h in pair]) for pair in heads])
    mean = rows.mean(axis=(0, 1))
    apart = LayerAttention(rows, (3, 5), (0, 2))
    return replace(heads[0][0], attention=mean[1:], penultimate=mean[0], kept=apart)


def test_layers_and_heads_are_chosen_from_what_was_kept():
    one, two, three = ([(y, x)] * 2 + CELLS[2:] for y, x in ((1, 2), (2, 0), (3, 3)))
    generation = kept((one, one), (two, three))
    model = SimpleNamespace(captures=True, keep="heads")

    def cell(**options):
        extractor = AttentionPeak(PointSegmenter(), KnownPhrases(CAT), model=model, subtract_mean=False, **options)
        candidate, *_ = extractor.extract_one(IMAGE, generation, "")
        if "rank" not in options:
            (x, y), heat = candidate.point, extractor.attention_map(generation, CAT)
            assert heat[int(y), int(x)] == heat.max(), "the map that is shown is that of the chosen layers"
        return cells_of([candidate])[0]

    assert cell() == (1, 2)
    assert cell(layers=5, heads=0) == (2, 0)
    assert cell(layers=[5], heads=[2]) == (3, 3)
    assert {cell(heads=[2], layers=[3, 5], rank=rank) for rank in (1, 2)} == {(1, 2), (3, 3)}
    with pytest.raises(UserError, match="layers: 4 was not stored"):
        cell(layers=4)


@pytest.mark.parametrize(
    ("keep", "options", "advice"),
    [
        ("mean", {"layers": [1]}, r"layers=\[1\]: .*use model\.keep=layers"),
        ("layers", {"layers": [1], "heads": 0}, r"heads=0: .*use model\.keep=heads"),
    ],
)
def test_layers_that_no_model_keeps_are_refused_at_once(keep, options, advice):
    model = SimpleNamespace(captures=True, keep=keep)
    with pytest.raises(UserError, match=advice):
        AttentionPeak(PointSegmenter(), KnownPhrases(CAT), model=model, **options)
    extractor = AttentionPeak(PointSegmenter(), KnownPhrases(CAT), **options)
    with pytest.raises(ValueError, match="does not carry"):
        extractor.extract_one(IMAGE, said(CELLS), "")


@pytest.mark.parametrize("options", [{"row": "next"}, {"step0": "first"}, {"rank": 0}, {"rank": 1.5}])
def test_options_are_checked(options):
    (name, value), *_ = options.items()
    with pytest.raises(UserError, match=f"{name}={value}"):
        AttentionPeak(PointSegmenter(), KnownPhrases(), **options)


def test_native_masks_are_united():
    left, right = drawn("#...", "#...", "...."), drawn("...#", "#...", "....")
    image = Image.new("RGB", (4, 3))
    both = Generation("", (3, 4), masks=(left, right))
    assert NativeMasks().extract_one(image, both, "") == [Candidate(drawn("#..#", "#...", "...."))]
    (kept,) = NativeMasks("instances").extract_one(image, both, "")
    assert kept.parts == (Candidate(left), Candidate(right)) and kept.mask == drawn("#..#", "#...", "....")
    for extractor in (NativeMasks(), NativeMasks("instances")):
        assert extractor.extract_one(image, Generation("", (3, 4), masks=(left,)), "") == [Candidate(left)]
    assert NativeMasks().extract_one(image, Generation("", (3, 4)), "") == []
    with pytest.raises(ValueError, match="different sizes"):
        NativeMasks().extract_one(image, Generation("", (4, 3), masks=(left,)), "")


SILENT = Generation("", (HEIGHT, WIDTH))


def points(extractor, image=IMAGE, expression="the cat", generation=SILENT):
    return [c.point for c in extractor.extract_one(image, generation, expression)]


def test_the_centre_is_in_the_middle():
    assert points(CentrePoint(PointSegmenter())) == [(20.0, 10.0)] * 2
    assert points(CentrePoint(PointSegmenter()), Image.new("RGB", (1, 7))) == [(0.0, 3.0)] * 2


def test_a_random_point_depends_on_image_expression_and_seed_alone():
    segmenter = PointSegmenter()
    one = points(RandomPoint(segmenter))
    assert one == points(RandomPoint(segmenter)) == points(RandomPoint(segmenter), generation=said(CELLS))
    others = [
        points(RandomPoint(segmenter, seed=1)),
        points(RandomPoint(segmenter), expression="the dog"),
        points(RandomPoint(segmenter), Image.new("RGB", (WIDTH, HEIGHT), "white")),
    ]
    assert all(other != one for other in others)
    assert len(segmenter.calls) == 6 and all(len(call) == 1 for call in segmenter.calls)


def test_random_points_cover_the_image():
    found = [points(RandomPoint(PointSegmenter(), seed=seed))[0] for seed in range(400)]
    xs, ys = np.array(found).T
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (0, WIDTH - 1, 0, HEIGHT - 1)
    assert abs(xs.mean() - (WIDTH - 1) / 2) < 2 and abs(ys.mean() - (HEIGHT - 1) / 2) < 1


def test_points_of_no_phrase_have_none():
    assert all(c.phrase is None for c in RandomPoint(PointSegmenter()).extract_one(IMAGE, SILENT, ""))


@pytest.mark.parametrize("step0", ["last", "penultimate"])
@given(seed=st.integers(0, 10**6), tokens=st.integers(2, 300), scale=st.sampled_from([1e-30, 1e-4, 1.0]))
@settings(max_examples=40)
def test_a_phrase_that_is_all_of_a_cut_answer_has_no_peak(step0, seed, tokens, scale):
    """Less the mean over the same rows nothing is left of it but rounding; of all tokens but one there is."""
    rng = np.random.default_rng(seed)
    rows = (rng.dirichlet(np.full(SIDE * SIDE, 0.1), tokens + 1) * scale).astype(np.float32)
    spans = tuple((i, i + 1) for i in range(tokens))
    cut = Generation("x" * tokens, (HEIGHT, WIDTH), spans, (TILE,), rows[1:], rows[0], cut=True)
    for kept, peaks in ((tokens, 0), (tokens - 1, 1)):
        phrases = KnownPhrases(Phrase("x" * kept, "x", (0, kept)))
        extractor = AttentionPeak(PointSegmenter(), phrases, step0=step0)
        assert len(extractor.extract_one(IMAGE, cut, "")) == 2 * peaks
        assert (extractor.attention_map(cut, phrases.found[0]) is None) == (peaks == 0)
        assert ("all of the answer" in extractor.lacking(cut)) == (peaks == 0)
    plain = AttentionPeak(PointSegmenter(), KnownPhrases(Phrase("x" * tokens, "x", (0, tokens))), subtract_mean=False)
    assert len(plain.extract_one(IMAGE, cut, "")) == 2


def test_why_there_is_no_candidate():
    last = Phrase("mat", "mat", (22, 25))
    cut = said(CELLS[:7], spans=SPANS[:7])
    assert "row of its own" in AttentionPeak(PointSegmenter(), KnownPhrases(last), row="self").lacking(cut)
    assert AttentionPeak(PointSegmenter(), KnownPhrases(last)).lacking(cut) == ""
    assert AttentionPeak(PointSegmenter(), KnownPhrases()).lacking(cut) == ""


class WholeAnswer(PhraseFinder):
    def phrases(self, text):
        return [Phrase(text, text, (0, len(text)))]


@pytest.mark.parametrize("subtract", [True, False])
def test_no_point_of_a_cut_answer_moves_with_the_batch_size(subtract):
    """A trained model's answers, cut after two tokens, each of which is one phrase."""
    model = HuggingFace("embedded:tiny_llava", device="cpu", generation={"max_new_tokens": 2, "min_new_tokens": 2})
    examples = PixShapes(pairs=2, seed=0)
    requests = [(e.image.load(), Prompt(e.id, "ground", "v", f"Identify {e.expression}.")) for e in examples]
    extractor = AttentionPeak(PointSegmenter(), WholeAnswer(), subtract_mean=subtract)
    found = []
    for size in (1, 3, len(requests)):
        batches = [requests[start : start + size] for start in range(0, len(requests), size)]
        said = [generation for batch in batches for generation in model.generate(batch)]
        assert all(generation.cut for generation in said)
        found.append(
            [
                [c.point for c in extractor.extract_one(image, g, "")]
                for (image, _), g in zip(requests, said, strict=True)
            ]
        )
    assert found[0] == found[1] == found[2]
    assert all(bool(points) is not subtract for points in found[0])
