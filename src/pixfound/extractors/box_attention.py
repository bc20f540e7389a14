"""Box attention: the attention inside a written box while it was written (MTLA, arXiv 2607.05978)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pixfound.extractors.attention_maps import token_index
from pixfound.extractors.parsers.grammars import spans_of
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.extractors.text import Combine, Pick, TextBox
from pixfound.interfaces import Box, ExtractRequest, Model, Segmenter
from pixfound.types import Candidate, FloatArray, Generation, Tile
from pixfound.types.layer_attention import Indices
from pixfound.types.token_spans import tokens_of

NAME = "box_attention"  # among `Candidate.scores`
_EDGE = 1e-6  # of a cell: an edge of a box that lies so near to that of a cell lies on it


class BoxAttention(TextBox):
    """`TextBox`, whose candidates have the score `box_attention`: a confidence of each box that the model wrote.

    It is the mean, over the tokens of the box's numbers and of its label, of the attention inside the box by the query
    of the token itself. A mask of several boxes has the mean of theirs. A box with the last token of the answer, which
    is no query, has none.
    layers: an index or several of those that the model keeps; None for the mean over all. The authors take 8 to 21 of
    36. model: used only to check that it gives this attention. The others: see `TextBox`.
    """

    version = 2  # 2: boxes of one list share their label; labels with a quote, a bracket, or after their box

    def __init__(
        self,
        segmenter: Segmenter,
        format: str | None,
        combine: Combine = "union",
        pick: Pick = "best",
        layers: Indices = None,
        model: Model | None = None,
    ) -> None:
        super().__init__(segmenter, format, combine, pick)
        self.source = TokenAttention("self", subtract_mean=False, layers=layers, model=model)

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """The candidates of `TextBox`, with their scores. Raises ValueError for an answer without attention."""
        return [
            _scored(candidates, self.box_scores(generation)) if candidates else []
            for (_, generation, _), candidates in zip(requests, super().extract(requests), strict=True)
        ]

    def box_scores(self, generation: Generation) -> Mapping[Box, float]:
        """Box in pixels of the image -> its score, the highest where it is written several times."""
        stored = self.source.attention_rows(generation)
        if stored is None:
            raise ValueError("the generation carries no attention")
        assert self.format.boxes is not None
        rows, every = stored.rows[1:], self.format.boxes(generation.text)
        parts = dict(zip(every, spans_of(generation.text, every), strict=True))
        found: dict[Box, float] = {}
        for box, written in self.written(generation):
            tokens = sorted({token for span in parts[written] for token in tokens_of(span, generation.spans)})
            if tokens and tokens[-1] < len(rows):
                score = localized_attention(rows[tokens], generation.tiles, box)
                found[box] = max(score, found.get(box, 0.0))
        return found


def localized_attention(rows: FloatArray, tiles: Sequence[Tile], box: Box) -> float:
    """The mean over rows (Q, N) of their sums over the image tokens whose cells a box, in pixels of the image, touches.

    The cells of all tiles count, those of a thumbnail too, as in the authors' code.
    """
    inside = [token for tile in tiles for token in _touched(tile, box)]
    return float(rows[:, inside].sum(axis=1, dtype=np.float32).mean())


def _touched(tile: Tile, box: Box) -> Sequence[int]:
    """Indices of a tile's image tokens whose cells share an area with a box."""
    x0, y0, x1, y1 = tile.box
    rows, columns = tile.grid
    across = _cells((box[0] - x0) / (x1 - x0), (box[2] - x0) / (x1 - x0), columns)
    down = _cells((box[1] - y0) / (y1 - y0), (box[3] - y0) / (y1 - y0), rows)
    indices: list[int] = token_index(tile)[down, across].ravel().tolist()
    return indices


def _cells(low: float, high: float, count: int) -> slice:
    """The cells of a side that an interval of it, in 0 to 1, touches."""
    first = math.floor(low * count + _EDGE)
    last = max(first, math.floor(high * count - _EDGE))
    return slice(min(max(first, 0), count), min(max(last + 1, 0), count))


def _scored(candidates: Sequence[Candidate], scores: Mapping[Box, float]) -> list[Candidate]:
    return [_with_score(candidate, scores) for candidate in candidates]


def _with_score(candidate: Candidate, scores: Mapping[Box, float]) -> Candidate:
    parts = tuple(_with_score(part, scores) for part in candidate.parts)
    of = list(scores.values()) if candidate.box is None else [scores[box] for box in [candidate.box] if box in scores]
    named = {NAME: round(float(np.mean(of)), 6)} if of else {}  # without a box it is the mask of several
    return replace(candidate, parts=parts, scores={**candidate.scores, **named})
