"""Token activation maps, TAM (arXiv 2506.23270): logits of a word at the image tokens, less what earlier words explain.

Shapes: `W` = K + T words, K of the prompt and T of the answer; `N` image tokens. Constants and conventions are those of
github.com/xmed-lab/TAM at 7c7df1d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.extractors.attention_maps import token_index
from pixfound.extractors.sources import check_offers, lens_of, lens_words, no_words
from pixfound.interfaces import MapRequest, MapSource, Model
from pixfound.types import FloatArray, Generation, Phrase
from pixfound.types.lens import Lens

_EPSILON = 1e-8  # of the sum that the weights of earlier words are divided by
Values = npt.NDArray[Any]


class TokenActivation(MapSource):
    """Token activation maps, the largest of those of a phrase's words.

    words: `head` takes the tokens of a phrase's main word, as the authors evaluate nouns; `phrase` all of them. The
    expression is looked for in the text of the prompt, and has no map where that lacks it.
    """

    needs = ("hidden",)

    def __init__(self, words: Literal["head", "phrase"] = "head", model: Model | None = None) -> None:
        check_offers(type(self), model)
        self.words = words

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase without tokens of its own; ValueError for a generation without a lens."""
        found: list[list[FloatArray | None]] = []
        for request in requests:
            lens, generation = lens_of(request.generation), request.generation
            image, text = word_logits(lens)
            grids = [token_index(tile) for tile in generation.tiles]
            found.append([])
            for phrase in request.phrases:
                words = lens_words(lens, generation, phrase, self.words)
                each = [activation_map(w, image, text, lens.words, len(lens.prompt), grids) for w in words]
                found[-1].append(np.max(each, axis=0) if each else None)
        return found

    def lacking(self, generation: Generation, phrases: Sequence[Phrase]) -> str:
        """The reason why no phrase has a map; "" where one has."""
        return no_words(generation, phrases)


def word_logits(lens: Lens) -> tuple[FloatArray, FloatArray]:
    """(W, N) and (W, W) logits of each word's class at the image tokens, and at the position of each word.

    The class of a word is its token, but for two words, as in the released code: that of the prompt's first word is
    the token predicted after it, and that of the answer's first word is the last token of the prompt.
    """
    classes = [*lens.prompt, *lens.answer]
    if lens.answer:
        classes[len(lens.prompt)] = lens.last
    if lens.prompt:
        classes[0] = lens.first
    places = [lens.classes.index(token) for token in classes]
    return lens.logits[-1][places], lens.text[:, places].T


def activation_map(
    word: int, image: Values, text: Values, ids: Sequence[int], prompt: int, grids: Sequence[npt.NDArray[np.int64]]
) -> FloatArray:
    """(N,) the map of a word, between 0 and 1; 0 outside of `grids`.

    word: index of the word. image: (W, N) and text: (W, W) of `word_logits`. ids: (W) token of each word; earlier words
    of the same token are no interference. prompt: K. grids: (rows, columns) indices of image tokens, of each tile.
    """
    places = np.concatenate([grid.ravel() for grid in grids])
    scores = np.maximum(image[: word + 1, places].astype(np.float64), 0.0)
    text_scores = np.maximum(text[word].astype(np.float64), 0.0)
    own = scores[word]
    if earlier := [other for other in range(word) if ids[other] != ids[word]]:
        own = without_interference(own, scores[earlier], text_scores[earlier])
    beside = text_scores[: max(word, prompt)]  # of a word of the answer its own position is left out
    joint = np.concatenate([own, beside])
    low, high = joint.min(), joint.max()
    if high == low:
        return np.zeros(image.shape[1], dtype=np.float32)
    result = np.zeros(image.shape[1])
    result[places] = (own - low) / (high - low)
    for grid in grids:
        result[grid] = rank_gaussian_filter(result[grid])
    return result.astype(np.float32)


def without_interference(own: Values, others: Values, scores: Values) -> Values:
    """(N,) a map less the scaled mean of earlier words' maps, at least 0 ("estimated causal inference").

    own: (N,). others: (E, N) raw maps of the earlier words. scores: (E) their text scores, which weight them. The scale
    is that of least squares.
    """
    interference = scores / (scores.sum() + _EPSILON) @ others
    power = float(interference @ interference)
    scale = float(own @ interference) / power if power > 0 else 0.0
    rest: Values = np.maximum(own - scale * interference, 0.0)
    return rest


def rank_gaussian_filter(grid: Values) -> Values:
    """(H, W) each cell as the Gaussian mean over the sorted values of its 3 x 3 window, centred on their median.

    The Gaussian's width is the coefficient of variation of the window. The border is mirrored without its edge. A
    window of mean 0 or less gives 0; a constant one its value, where the released code gives NaN.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(grid, 1, mode="reflect"), (3, 3))
    values = np.sort(windows.reshape(*grid.shape, 9), axis=-1)
    mean, deviation = values.mean(axis=-1), values.std(axis=-1)
    varied = (mean > 0) & (deviation > 0)
    sigma = np.divide(deviation, mean, where=varied, out=np.ones_like(mean))
    weights = np.exp(-(np.arange(-4, 5) ** 2) / (2 * np.maximum(sigma[..., None] ** 2, 1e-300)))
    filtered = (values * weights).sum(axis=-1) / weights.sum(axis=-1)
    return np.where(mean > 0, np.where(varied, filtered, mean), 0.0)
