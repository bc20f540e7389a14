"""The frame of extraction from maps: source -> map of a phrase -> smoothing -> regions -> masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt
from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors import segment_boxes, segment_points
from pixfound.extractors.attention_maps import CellGrid, between_0_and_1, cell_grid, image_map, smoothed
from pixfound.extractors.consistency import NAME, attention_consistency
from pixfound.interfaces import (
    AttentionRows,
    Box,
    Extractor,
    ExtractRequest,
    MapRequest,
    MapSource,
    PhraseUnit,
    RegionProposer,
    Regions,
    Segmenter,
    without_errors,
)
from pixfound.types import Candidate, FloatArray, Generation, Phrase, Tile
from pixfound.types.arguments import Positive
from pixfound.types.masks import RLE

Padding = Literal["symmetric", "zero"]


class MapExtractor(Extractor):
    """Masks from the map of each phrase.

    source: where the model looked. unit: what a map is made for. proposer: what of a map is shown to the segmenter.
    segmenter: None takes a box as the rectangle of its pixels, and a mask itself; points need one, and of a mask it
        segments the box. sigma: of a Gaussian over the cells of each tile; None for no smoothing. radius: cells of the
        kernel to each side, 4 sigma by default. padding: beyond the tile `symmetric`, or `zero`.
    consistency: True stores with each candidate how well it agrees with its map
        (`pixfound.extractors.consistency.attention_consistency`).
    scorer: another source, whose scores of a phrase's map are stored with its candidates too, such as the internal
        confidence of the logit lens.
    """

    maps_attention = True

    def __init__(
        self,
        source: MapSource,
        unit: PhraseUnit,
        proposer: RegionProposer,
        segmenter: Segmenter | None,
        sigma: Annotated[float, Gt(0)] | None = None,
        radius: Positive | None = None,
        padding: Padding = "symmetric",
        consistency: bool = False,
        scorer: MapSource | None = None,
    ) -> None:
        self.source, self.unit, self.proposer, self.segmenter = source, unit, proposer, segmenter
        self.sigma, self.radius, self.padding, self.consistency = sigma, radius, padding, consistency
        self.scorer = scorer
        if segmenter is None and type(proposer).proposes == "points":
            raise UserError(f"segmenter=null: the points of {type(proposer).__name__} need a segmenter to be masks")

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate] | Exception]:
        """Candidates in the order of the phrases, of their regions, and of the segmenter's masks."""
        asked = [
            MapRequest(image, generation, expression, self.unit.units(generation, expression))
            for image, generation, expression in requests
        ]
        outcomes: list[list[Candidate] | Exception] = []
        scores: list[dict[Phrase, Mapping[str, float]]] = []
        fine: list[tuple[MapRequest, list[tuple[Phrase, Regions]]]] = []
        grids: list[dict[Phrase, CellGrid]] = []
        others = self.scorer.maps(asked) if self.scorer else [()] * len(asked)
        for request, maps, further in zip(asked, self.source.maps(asked), others, strict=True):
            if isinstance(maps, Exception):
                outcomes.append(maps)
                continue
            if isinstance(further, Exception):
                outcomes.append(further)
                continue
            outcomes.append([])
            fine.append((request, self._regions(request, maps)))
            scores.append(_scores(request, self.source, maps))
            if self.scorer:
                for phrase, named in _scores(request, self.scorer, further).items():
                    scores[-1][phrase] = {**scores[-1].get(phrase, {}), **named}
            grids.append(self._grids(request, maps) if self.consistency else {})
        candidates = iter(map(_scored, self._segmented(fine), scores, grids))
        return [outcome if isinstance(outcome, Exception) else next(candidates) for outcome in outcomes]

    def lacking(self, generation: Generation) -> str:
        """The reason why no phrase of an answer has a map; "" where one has, or there is no phrase."""
        phrases = self.unit.units(generation, "")
        return self.source.lacking(generation, phrases) if phrases else ""

    def attention_rows(self, generation: Generation) -> AttentionRows | None:
        """Those that the source reads."""
        return self.source.attention_rows(generation)

    def attention_map(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(H, W) the phrase's map over the image; None where it has none, or where the source would call the model."""
        if self.source.needs_image:
            return None
        return self.map_over_image(None, generation, "", phrase)

    def map_over_image(
        self, image: Image.Image | None, generation: Generation, expression: str, phrase: Phrase
    ) -> FloatArray | None:
        """(H, W) the smoothed map of one phrase; None without one. image: None where the source needs none."""
        request = MapRequest(image or Image.new("L", (1, 1)), generation, expression, [phrase])
        (values,) = without_errors(self.source.maps([request]))[0]
        tiles = self.source.tiles(request)
        return None if values is None else image_map(self._smoothed(values, tiles), tiles, generation.image_size)

    def _smoothed(self, values: FloatArray, tiles: Sequence[Tile]) -> FloatArray:
        if self.sigma is None:
            return values
        return smoothed(values, tiles, self.sigma, self.radius, self.padding == "zero")

    def _regions(self, request: MapRequest, maps: Sequence[FloatArray | None]) -> list[tuple[Phrase, Regions]]:
        """(phrase, regions) of each map."""
        tiles, size = self.source.tiles(request), request.generation.image_size
        return [
            (phrase, self.proposer.regions(self._smoothed(values, tiles), tiles, size))
            for phrase, values in zip(request.phrases, maps, strict=True)
            if values is not None
        ]

    def _grids(self, request: MapRequest, maps: Sequence[FloatArray | None]) -> dict[Phrase, CellGrid]:
        """The cells of each phrase's map, between 0 and 1."""
        tiles, size = self.source.tiles(request), request.generation.image_size
        return {
            phrase: cell_grid(between_0_and_1(self._smoothed(values, tiles), tiles), tiles, size)
            for phrase, values in zip(request.phrases, maps, strict=True)
            if values is not None
        }

    def _segmented(self, found: Sequence[tuple[MapRequest, list[tuple[Phrase, Regions]]]]) -> list[list[Candidate]]:
        """Candidates of each request from its regions."""
        if self.segmenter is None:
            return [_drawn(request.generation.image_size, regions) for request, regions in found]
        if type(self.proposer).proposes == "points":
            points = [[(phrase, point) for phrase, each in regions for point in each.points] for _, regions in found]
            return segment_points(
                self.segmenter,
                [(r.image, [p for _, p in of], [ph for ph, _ in of]) for (r, _), of in zip(found, points, strict=True)],
            )
        boxes = [[(phrase, box) for phrase, each in regions for box in _boxes(each)] for _, regions in found]
        return segment_boxes(
            self.segmenter,
            [(r.image, [b for _, b in of], [ph for ph, _ in of]) for (r, _), of in zip(found, boxes, strict=True)],
        )


def _scores(
    request: MapRequest, source: MapSource, maps: Sequence[FloatArray | None]
) -> dict[Phrase, Mapping[str, float]]:
    """The scores of each phrase that has a map of a source."""
    named = zip(request.phrases, maps, strict=True)
    return {phrase: source.scores(values) for phrase, values in named if values is not None}


def _scored(
    candidates: Sequence[Candidate],
    scores: Mapping[Phrase, Mapping[str, float]],
    grids: Mapping[Phrase, CellGrid],
) -> list[Candidate]:
    """Candidates with the scores of their phrase's map, and how well each agrees with it where `grids` has the map."""
    scored = []
    for candidate in candidates:
        phrase = candidate.phrase
        of = dict(scores.get(phrase, {})) if phrase else {}
        if phrase is not None and phrase in grids:
            of[NAME] = round(attention_consistency(grids[phrase], candidate.mask.decode()), 6)
        scored.append(replace(candidate, scores=of) if of else candidate)
    return scored


def _boxes(regions: Regions) -> list[Box]:
    """The boxes of regions; of a mask the box around it."""
    boxes = list(regions.boxes)
    for mask in regions.masks:
        ys, xs = np.nonzero(mask)
        if len(ys):
            boxes.append((float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1))
    return boxes


def _drawn(size: tuple[int, int], found: Sequence[tuple[Phrase, Regions]]) -> list[Candidate]:
    """A candidate of each box and each mask, without a segmenter. size: (H, W)."""
    candidates = []
    for phrase, regions in found:
        for box in regions.boxes:
            mask = np.zeros(size, dtype=np.bool_)
            x0, y0, x1, y1 = (round(edge) for edge in box)
            mask[y0:y1, x0:x1] = True
            candidates.append(Candidate(RLE.encode(mask), phrase, box=box))
        candidates += [Candidate(RLE.encode(mask), phrase) for mask in regions.masks]
    return candidates
