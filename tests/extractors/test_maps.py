"""The frame: units, proposers, smoothing, and their composition."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pixfound.config.factory import build, build_parts
from pixfound.errors import UserError
from pixfound.extractors.attention import AttentionPeak
from pixfound.extractors.attention_maps import cell_grid, smoothed
from pixfound.extractors.maps import MapExtractor
from pixfound.extractors.proposers import MeanBox, OtsuMask, Peak, PointsAtShare, QuantileMask, ViCropWindow, mean_box
from pixfound.extractors.sources import known_sources
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.extractors.units import AnswerTokens, Expression, NounPhrases
from pixfound.interfaces import Extractor, PhraseFinder
from pixfound.types import Generation, Phrase, Tile
from tests.support.examples import PointSegmenter
from tests.support.run import config_of

SIZE, SIDE = (20, 40), 4  # a cell is 5 pixels high and 10 wide
TILE = Tile(0, (SIDE, SIDE), SIDE, (0.0, 0.0, 40.0, 20.0))
IMAGE = Image.new("RGB", SIZE[::-1])
MAP = "map_source@extraction.extractors.map.source", "region_proposer@extraction.extractors.map.proposer"


class Words(PhraseFinder):
    def phrases(self, text):
        return [Phrase("cat", "cat", (4, 7))]


def drawn(*rows):
    """A map from a drawing of digits."""
    return np.array([[float(c) for c in row] for row in rows], np.float32).ravel()


def answered(*maps):
    """`The cat.`, each of whose tokens looks as a map says."""
    rows = np.stack([*maps])
    spans = ((0, 3), (3, 7), (7, 8), (8, 8))[: len(rows)]
    return Generation("The cat.", SIZE, spans, (TILE,), rows, np.zeros(SIDE**2, np.float32))


CORNER = drawn("9900", "9900", "0000", "0003")
FLAT = drawn(*["1111"] * 4)


@pytest.mark.parametrize(
    ("proposer", "expected"),
    [
        (MeanBox(), [(0, 0, 40, 20)]),
        (MeanBox("largest"), [(0, 0, 20, 10)]),
        (PointsAtShare(1.0), [(5, 2.5), (15, 2.5), (5, 7.5), (15, 7.5)]),
        (PointsAtShare(0.3), [(5, 2.5), (15, 2.5), (5, 7.5), (15, 7.5), (35, 17.5)]),
        (ViCropWindow(10), [(0, 0, 10, 10)]),  # two cells, one upon the other
    ],
)
def test_regions_by_hand(proposer, expected):
    found = proposer.regions(CORNER, [TILE], SIZE)
    assert list(found.points or found.boxes) == expected
    assert {"points": found.points, "boxes": found.boxes}[proposer.proposes]


def test_a_hull_joins_what_its_filling_touches():
    """A stick in a bowl that it does not touch."""
    cells = np.zeros((7, 7), np.float32)
    cells[3:, [0, 6]] = cells[6] = cells[:5, 3] = 1
    assert mean_box(cells, largest=True, hull=False) == (0, 3, 6, 6)
    assert mean_box(cells, largest=True, hull=True) == (0, 0, 6, 6)


@pytest.mark.parametrize("proposer", [OtsuMask(), QuantileMask(0.75)])
def test_masks_cover_what_is_high(proposer):
    (mask,) = proposer.regions(CORNER, [TILE], SIZE).masks
    assert mask[:8, :16].all() and not mask[12:, :28].any()
    assert abs(mask.mean() - 0.25) < 0.05


@pytest.mark.parametrize("proposer", [MeanBox(), MeanBox("largest", True), OtsuMask(), QuantileMask()])
def test_a_constant_map_has_no_region(proposer):
    found = proposer.regions(FLAT, [TILE], SIZE)
    assert not (found.points or found.boxes or found.masks)
    assert PointsAtShare().regions(-FLAT, [TILE], SIZE).points == ()
    assert Peak().regions(FLAT, [TILE], SIZE).points == [(0, 0)]


def test_what_lies_in_the_padding_is_cut_off():
    padded = [Tile(0, (SIDE, SIDE), SIDE, (0.0, -10.0, 40.0, 30.0))]  # a square around the picture: its middle two rows
    assert MeanBox().regions(CORNER, padded, SIZE).boxes == [(0, 0, 40, 20)]
    assert MeanBox("largest").regions(CORNER, padded, SIZE).boxes == [(0, 0, 20, 10)]
    assert MeanBox().regions(drawn("9999", *["0000"] * 3), padded, SIZE).boxes == ()
    assert PointsAtShare().regions(CORNER, padded, SIZE).points == [(5, 5), (15, 5)]


def test_cells_of_several_tiles_are_those_of_the_smallest():
    whole = Tile(0, (2, 2), 2, (0.0, 0.0, 40.0, 20.0))
    halves = [Tile(4 + 16 * i, (4, 4), 4, (20.0 * i, 0.0, 20.0 * (i + 1), 20.0)) for i in range(2)]
    values = np.concatenate([np.full(4, 2.0), np.full(16, 4.0), np.full(16, 6.0)]).astype(np.float32)
    grid = cell_grid(values, [whole, *halves], SIZE)
    assert grid.cells.shape == (4, 8) and grid.cell == (5, 5)
    np.testing.assert_allclose(grid.cells, [[3] * 4 + [4] * 4] * 4)


def test_a_gaussian_keeps_the_sum_unless_zeros_are_around():
    rows = Tile(1, (SIDE, SIDE - 1), SIDE, (0.0, 0.0, 40.0, 20.0))  # a token before, and one after each row
    values = np.arange(17, dtype=np.float32)
    mirrored, zero = smoothed(values, [rows], 1.0), smoothed(values, [rows], 1.0, radius=1, zero=True)
    inside = [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]
    assert mirrored[inside].sum() == pytest.approx(values[inside].sum(), rel=1e-5)
    assert zero[inside].sum() < values[inside].sum()
    np.testing.assert_array_equal(mirrored[[0, 4, 8, 12, 16]], values[[0, 4, 8, 12, 16]])


def test_attend_and_segment_is_a_composition():
    generation = answered(FLAT, CORNER, FLAT, FLAT)
    composed = MapExtractor(TokenAttention(), NounPhrases(Words()), Peak(), PointSegmenter())
    today = AttentionPeak(PointSegmenter(), Words())
    assert composed.extract_one(IMAGE, generation, "") == today.extract_one(IMAGE, generation, "") != []
    (phrase,) = Words().phrases("")
    np.testing.assert_array_equal(composed.attention_map(generation, phrase), today.attention_map(generation, phrase))


def test_units_of_an_answer():
    generation = answered(FLAT, CORNER, FLAT, FLAT)
    assert [(p.text, p.span) for p in AnswerTokens().units(generation, "")] == [
        ("The", (0, 3)),
        ("cat", (3, 7)),
        (".", (7, 8)),
    ]
    assert Expression().units(generation, "the cat") == [Phrase("the cat", "the cat", (0, 0))]


@pytest.mark.parametrize("row", ["predicting", "self"])
def test_the_expression_is_read_by_the_last_token_of_the_prompt(row):
    generation = answered(CORNER, FLAT, FLAT)
    extractor = MapExtractor(TokenAttention(row, subtract_mean=False), Expression(), MeanBox("largest"), None)
    (candidate,) = extractor.extract_one(IMAGE, generation, "the cat")
    assert candidate.box == (0, 0, 20, 10) and candidate.phrase == Phrase("the cat", "the cat", (0, 0))
    expected = np.zeros(SIZE, bool)
    expected[:10, :20] = True
    np.testing.assert_array_equal(candidate.mask.decode(), expected)


def test_parts_are_built_with_services_and_identity():
    parts = build_parts(config_of("extraction=map", f"{MAP[1]}=otsu_mask"))
    part = parts.extractors["map"]
    assert isinstance(part.built.proposer, OtsuMask) and part.built.segmenter is not None
    identity = part.identity()
    assert identity["uses"]["source"]["uses"]["model"] == parts.model.identity()
    assert "source" not in identity["options"]
    other = build_parts(config_of("extraction=map", f"{MAP[1]}=otsu_mask", "extraction.extractors.map.source.row=self"))
    assert other.extractors["map"].identity() != identity
    alone = build_parts(config_of("extraction=map", "+extraction.extractors.map.segmenter=null")).extractors["map"]
    assert alone.built.segmenter is None and "segmenter" not in alone.identity()["uses"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([f"{MAP[1]}=peak", "+extraction.extractors.map.segmenter=null"], "points of Peak need a segmenter"),
        (["extraction.extractors.map.proposer=5"], r"extraction\.extractors\.map\.proposer=5: must be a component"),
        ([f"{MAP[0]}=attention", "model.capture=none"], r"gives no attention.*model\.capture=step"),
        (["extraction.extractors.map.source.heads=1"], r"heads=1: .*model\.keep=heads"),
        (["extraction.extractors.map.proposer.region=one"], r"map\.proposer\.region=one: must be one of"),
    ],
)
def test_what_does_not_fit_is_said_when_it_is_configured(overrides, message):
    with pytest.raises(UserError, match=message):
        build_parts(config_of("extraction=map", *overrides))


def test_a_part_of_another_kind_is_refused():
    config = config_of("extraction=map")["extraction"]["extractors"]["map"]
    with pytest.raises(UserError, match=r"x\.source\._target_=.*is no MapSource"):
        build({**config, "source": config["proposer"]}, "x", Extractor, {"segmenter": SimpleNamespace(built=None)})


def test_a_source_that_cannot_map_an_answer_fails_that_one_alone():
    class Half(TokenAttention):
        def maps(self, requests):
            return [ValueError("no rows"), *super().maps(requests[1:])]

    extractor = MapExtractor(Half(), Expression(), MeanBox(), None)
    generation = answered(CORNER, FLAT, FLAT)
    failed, fine = extractor.extract([(IMAGE, generation, "a"), (IMAGE, generation, "b")])
    assert isinstance(failed, ValueError) and len(fine) == 1


def test_every_source_has_a_file_and_says_what_it_needs():
    assert TokenAttention in known_sources()
    assert all(source.needs for source in known_sources())
