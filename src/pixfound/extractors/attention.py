"""Attend and segment: attention of each noun phrase -> its peak -> a point -> masks (arXiv 2502.04192)."""

from __future__ import annotations

from typing import Literal

from pixfound.extractors.maps import MapExtractor
from pixfound.extractors.proposers import Peak
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.extractors.units import NounPhrases
from pixfound.interfaces import MapSource, Model, PhraseFinder, Segmenter
from pixfound.types.arguments import Positive
from pixfound.types.layer_attention import Indices


class AttentionPeak(MapExtractor):
    """One point for every noun phrase of the answer, at the peak of its tokens' mean attention.

    rank: see `pixfound.extractors.proposers.Peak`. consistency, scorer: see `MapExtractor`. The others:
    `TokenAttention`.
    """

    version = 2  # 2: no point where the mean over all rows leaves nothing but rounding

    def __init__(
        self,
        segmenter: Segmenter,
        phrases: PhraseFinder,
        row: Literal["predicting", "self"] = "predicting",
        step0: Literal["last", "penultimate"] = "last",
        subtract_mean: bool = True,
        rank: Positive = 1,
        layers: Indices = None,
        heads: Indices = None,
        model: Model | None = None,
        consistency: bool = False,
        scorer: MapSource | None = None,
    ) -> None:
        source = TokenAttention(row, step0, subtract_mean, layers, heads, model)
        super().__init__(source, NounPhrases(phrases), Peak(rank), segmenter, consistency=consistency, scorer=scorer)
