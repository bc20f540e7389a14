"""The attention of every kept layer and head, while words of a kind are said, beside the mask of what was asked for.

Shapes: `C` pairs of a layer and a head, `N` image tokens, `T` answer tokens, `h` x `w` pixels of a reduced image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from pixfound.extractors.attention_maps import image_map
from pixfound.interfaces import PhraseFinder
from pixfound.pipeline.run_data import resized
from pixfound.pipeline.run_examples import RunExample
from pixfound.types import FloatArray, Generation, Kind, Tile
from pixfound.types.masks import RLE
from pixfound.types.token_spans import tokens_of

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

Word = Literal["prompt", "phrase", "noun", "modifier", "other"]
WORDS: tuple[Word, ...] = ("prompt", "phrase", "noun", "modifier", "other")
_SIDE = 64  # pixels of a reduced image's longer side


@dataclass(frozen=True)
class HeadMaps:
    """A present object and where each head looks.

    rows: by kind of word, (C, N) the mean over the rows that predict its tokens; kinds without a token are left out.
        `prompt` is the row of the prompt's last token, `phrase` that of all noun phrases, `noun` of their main words,
        `modifier` of their other words, `other` of all words outside of them.
    attention: the same before the mean over the answer is taken away.
    tiles: in pixels of the reduced image. cover: (h, w) share of each of its pixels that the object covers.
    """

    run_example: RunExample
    generation: Generation
    rows: dict[Word, FloatArray]
    attention: dict[Word, FloatArray]
    tiles: tuple[Tile, ...]
    cover: FloatArray

    def map(self, values: FloatArray) -> FloatArray:
        """(h, w) of one head's (N,) values."""
        return image_map(values, self.tiles, (self.cover.shape[0], self.cover.shape[1]))

    def cells(self) -> FloatArray:
        """(N,) share of each token's cell that the object covers; NaN for tokens without a cell in the image."""
        result = np.full(next(iter(self.rows.values())).shape[1], np.nan, dtype=np.float32)
        height, width = self.cover.shape
        for tile in self.tiles:
            (down, across), (x0, y0, x1, y1) = tile.grid, tile.box
            ys = (y0 + (np.arange(down + 1) * (y1 - y0) / down)).round().astype(int)
            xs = (x0 + (np.arange(across + 1) * (x1 - x0) / across)).round().astype(int)
            for i, j in np.ndindex(down, across):
                cell = self.cover[max(0, ys[i]) : min(height, ys[i + 1]), max(0, xs[j]) : min(width, xs[j + 1])]
                if cell.size:
                    result[tile.first + i * tile.stride + j] = cell.mean()
        return result


def head_maps(
    run: RunData, kind: Kind, phrases: PhraseFinder, words: Sequence[Word], subtract_mean: bool
) -> Iterator[HeadMaps]:
    """The examples of a run whose object is present and whose layers or heads were kept, in order.

    subtract_mean: of all rows of the answer, from those of its words, but not from that of the prompt.
    """
    for run_example in run.examples:
        if run_example.example.absent or kind not in run_example.mask_kinds:
            continue
        generation = run.generation(run_example, kind)
        if generation is None or generation.kept is None:
            continue
        attention, level = _attention(generation, phrases, words)
        if attention:
            rows = {word: a - level if subtract_mean and word != "prompt" else a for word, a in attention.items()}
            height, width = generation.image_size
            scale = min(1.0, _SIDE / max(height, width))
            size = max(1, round(height * scale)), max(1, round(width * scale))
            cover = _cover(run_example.example.gt_mask, size)
            yield HeadMaps(run_example, generation, rows, attention, resized(generation, size).tiles, cover)


def _attention(
    generation: Generation, phrases: PhraseFinder, words: Sequence[Word]
) -> tuple[dict[Word, FloatArray], FloatArray]:
    """(C, N) of each kind of word, and the mean over all of the answer's rows; zeros of an answer of one token."""
    assert generation.kept is not None
    kept = generation.kept.rows  # (L, H, 1 + T, N)
    rows = kept.reshape(-1, *kept.shape[2:])[:, 1:]  # (C, T, N)
    level = rows.mean(axis=1) if rows.shape[1] > 1 else np.zeros(1, dtype=np.float32)
    found = {
        word: rows[:, tokens].mean(axis=1)
        for word, tokens in _tokens(generation, phrases).items()
        if word in words and tokens
    }
    return found, level


def _tokens(generation: Generation, phrases: PhraseFinder) -> dict[Word, list[int]]:
    """The answer's tokens of each kind of word. The row that predicts the first is that of the prompt's last token."""
    spans = generation.spans
    found = phrases.phrases(generation.text)
    in_phrases, nouns = set[int](), set[int]()
    for phrase in found:
        in_phrases |= set(tokens_of(phrase.span, spans))
        at = generation.text.rfind(phrase.head, *phrase.span)
        if at >= 0:
            nouns |= set(tokens_of((at, at + len(phrase.head)), spans))
    worded = {i for i, (start, end) in enumerate(spans) if generation.text[start:end].strip()}
    return {
        "prompt": [0] if spans else [],
        "phrase": sorted(in_phrases),
        "noun": sorted(nouns),
        "modifier": sorted(in_phrases - nouns),
        "other": sorted(worded - in_phrases),
    }


def _cover(mask: RLE, size: tuple[int, int]) -> FloatArray:
    picture = Image.fromarray(mask.decode().astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float32)


def pointing(heat: FloatArray, cover: FloatArray) -> float:
    """Share of the highest pixel that the object covers: 1 or 0 but at its border. The first of equals."""
    return float(cover.flat[int(heat.argmax())])


def energy(heat: FloatArray, cover: FloatArray) -> float:
    """Share of the positive attention that lies on the object; NaN where there is none."""
    positive = heat.clip(min=0)
    total = float(positive.sum())
    return float((positive * cover).sum()) / total if total > 0 else float("nan")


def chance(cover: FloatArray) -> float:
    """What a pixel at random gives for both."""
    return float(cover.mean())
