"""The logit lens on image tokens (arXiv 2410.02762, 2410.07149).

Shapes: `W` words, `L` layers, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from pixfound.extractors.sources import check_offers, lens_of, lens_words, no_words
from pixfound.interfaces import MapRequest, MapSource, Model
from pixfound.types import FloatArray, Generation, Phrase
from pixfound.types.layer_attention import Indices, places
from pixfound.types.lens import Lens


class LogitLens(MapSource):
    """The probability of a word at each image token, the largest over layers and tokens of the word.

    layers: an index or several, of those that `model.lens` stores; None for all of them. words: `head` takes the
    tokens of a phrase's main word, `phrase` all of them. The expression is looked for in the prompt, and has
    no map where that lacks it.
    The largest value of a map is the score `internal_confidence` of its candidates: low where the object is absent.
    Hidden states pass the decoder's final norm, as in 2410.07149, or are read as the code of 2410.02762 does, where the
    model has `lens_convention=top_50`.
    """

    needs = ("hidden",)

    def __init__(
        self, layers: Indices = None, words: Literal["head", "phrase"] = "head", model: Model | None = None
    ) -> None:
        check_offers(type(self), model)
        self.layers, self.words = layers, words

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase without tokens of its own.

        Raises ValueError for a generation without a lens, and UserError for layers that it lacks.
        """
        found: list[list[FloatArray | None]] = []
        for request in requests:
            lens = lens_of(request.generation)
            words = [lens_words(lens, request.generation, phrase, self.words) for phrase in request.phrases]
            found.append([confidence(lens, each, self.layers) if each else None for each in words])
        return found

    def lacking(self, generation: Generation, phrases: Sequence[Phrase]) -> str:
        """The reason why no phrase has a map; "" where one has."""
        return no_words(generation, phrases)

    def scores(self, values: FloatArray) -> Mapping[str, float]:
        """The internal confidence: the largest probability at any image token."""
        return {"internal_confidence": float(values.max(initial=0.0))}


def confidence(lens: Lens, words: Sequence[int], layers: Indices = None) -> FloatArray:
    """(N,) the largest probability of some words, by index, over layers. layers: indices; None for all."""
    logs = lens.log_probabilities(words)[:, places("layers", layers, lens.layers)]
    largest: FloatArray = np.exp(logs.max(axis=(0, 1)))
    return largest
