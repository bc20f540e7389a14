"""Attention of a loaded transformers model over an image, token by token, and pictures of it: `pixfound.attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from pixfound.errors import UserError
from pixfound.types import FloatArray, Generation, Phrase, Prompt
from pixfound.types.layer_attention import Indices

if TYPE_CHECKING:
    from pathlib import Path


def attention(
    model: Any,
    processor: Any,
    image: Image.Image | str | Path,
    prompt: str,
    *,
    answer: str | None = None,
    keep: Literal["mean", "layers", "heads"] = "mean",
    system: str | None = None,
    chat_template: str | None = None,
    **generation: Any,
) -> Generation:
    """The answer of a loaded model, and where it looked at each token of it.

    model, processor: as transformers' `from_pretrained` returns them, of any image-text-to-text model whose decoder
        reads image tokens; left as they were. prompt: the user's message, which the chat template is put around.
    answer: a text whose attention is taken in place of an answer of the model's own. keep: what is stored in `kept`
        beside the mean over all layers and heads. generation: options of transformers' GenerationConfig.

    Returns the text; `spans`, T spans of characters, one a token; `tiles`, the places of the N image tokens in pixels
    of the image; `attention`, (T, N) rows of the queries that predict the tokens, equal to eager attention within 1e-5
    in float32 whatever attention the model was loaded with; with `keep`, `kept.rows` (L, H, 1 + T, N), whose first row
    is that of the last but one position of the prompt. UserError for a model whose attention cannot be captured.
    """
    from pixfound.interfaces import without_errors
    from pixfound.models.loaded_model import LoadedModel

    with LoadedModel(model, processor, system, chat_template, keep=keep, generation=generation).borrowed() as adapter:
        request = (picture(image), Prompt("", "open", "", prompt))
        answered = adapter.generate([request]) if answer is None else adapter.attend([request], [answer])
    return without_errors(answered)[0]


def attention_map(
    generation: Generation,
    words: str | tuple[int, int] | None = None,
    *,
    layers: Indices = None,
    heads: Indices = None,
    subtract_mean: bool = True,
) -> FloatArray:
    """(H, W) attention of some words of an answer over the pixels of its image, upsampled by bicubic interpolation.

    words: a text in the answer, of which the first place is taken, or a span of characters; None for the whole answer.
    layers, heads: an index or several to average over, of those that were kept. subtract_mean: False keeps what is
    common to all tokens of the answer; it is kept for the whole answer, of which nothing else would be left.
    """
    from pixfound.extractors.attention_maps import image_map
    from pixfound.extractors.sources.token_attention import TokenAttention
    from pixfound.interfaces import MapRequest

    if generation.attention is None or not generation.text:
        raise UserError(f"this answer has no {'words' if generation.attention is not None else 'attention'}")
    if isinstance(words, str):
        start = generation.text.find(words)
        if start < 0 or not words:
            raise UserError(f"{words!r} is not in the answer, which is {generation.text!r}")
        words = (start, start + len(words))
    source = TokenAttention(subtract_mean=subtract_mean and words is not None, layers=layers, heads=heads)
    phrase = Phrase("", "", words or (0, len(generation.text)))
    (values,) = source.maps([MapRequest(Image.new("L", (1, 1)), generation, "", [phrase])])[0]
    if values is None:
        raise UserError(f"characters {phrase.span} of the answer: {source.lacking(generation, [phrase])}")
    return image_map(values, generation.tiles, generation.image_size)


def overlay(
    image: Image.Image | str | Path, generation: Generation, words: str | tuple[int, int] | None = None, **options: Any
) -> Image.Image:
    """The image in grey with the attention of some words over it. words, options: those of `attention_map`."""
    from pixfound.report.panels import heat_panel

    shown = picture(image)
    if (shown.height, shown.width) != tuple(generation.image_size):
        raise UserError(f"this answer is about an image of {generation.image_size} (height, width), not this one")
    return heat_panel(shown, attention_map(generation, words, **options), None, generation.image_size)


def picture(image: Image.Image | str | Path) -> Image.Image:
    """A picture as RGB; one in a file is turned as its EXIF says. UserError where it cannot be read."""
    from pixfound.io.images import as_rgb, opened, orientation, turned, without_exif

    if isinstance(image, Image.Image):
        return as_rgb(image)
    try:
        with opened(image) as stored:
            stored.load()
            by = orientation(stored)
            return without_exif(turned(as_rgb(stored), by), by)
    except (OSError, ValueError) as error:
        raise UserError(f"{image}: cannot be read as a picture ({error})") from error
