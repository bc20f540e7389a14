"""Map sources: each module has the computation on arrays, and a component around it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from importlib import resources
from typing import Literal

import numpy as np

from pixfound.errors import UserError
from pixfound.interfaces import MapSource, Model, Need
from pixfound.types import FloatArray, Generation, Phrase
from pixfound.types.lens import Lens
from pixfound.types.token_spans import tokens_of

_TYPE: dict[Need, str] = {  # how a model is made to offer it
    "rows": "model.capture=step",
    "layers": "model.keep=layers",
    "heads": "model.keep=heads",
    "hidden": "model.lens=all",
}


def check_offers(source: type[MapSource], model: Model | None, needs: Sequence[Need] | None = None) -> None:
    """UserError where a model does not offer all that a source needs, with what to type and what fits it instead.

    model: None passes, for use without a run. needs: of the options, where they are others than `source.needs`.
    """
    needs = source.needs if needs is None else needs
    missing = [need for need in needs if model is not None and need not in model.offers]
    if model is None or not missing:
        return
    if model.extractions and not model.offers:
        raise UserError(no_attention(model))
    advice = " ".join(dict.fromkeys(_TYPE[need] for need in missing if need in _TYPE))
    fitting = ", ".join(sorted(choice_of(cls) for cls in known_sources() if set(cls.needs) <= model.offers))
    raise UserError(
        f"{choice_of(source)} needs {' and '.join(missing)}, which the model does not offer"
        f"{f': use {advice} where it has that option' if advice else ''}; map sources that it serves: "
        f"{fitting or 'none'}"
    )


def lens_of(generation: Generation) -> Lens:
    """The lens of a generation; ValueError where it was stored without."""
    if generation.lens is None:
        raise ValueError("the generation carries no lens")
    return generation.lens


def lens_words(lens: Lens, generation: Generation, phrase: Phrase, words: Literal["head", "phrase"]) -> list[int]:
    """Indices of the lens's words that write a phrase, or its main word; of the expression in the prompt's text.

    A main word that is not found in its phrase stands for all of it.
    """
    start, end = phrase.span
    if (start, end) == (0, 0):
        return lens.words_in_prompt(phrase.text)
    offset = generation.text[start:end].rfind(phrase.head) if words == "head" and phrase.head else -1
    if offset >= 0:
        start, end = start + offset, start + offset + len(phrase.head)
    return lens.words_in_answer((start, end), generation.spans)


def no_words(generation: Generation, phrases: Sequence[Phrase]) -> str:
    """The reason why a lens has no map of these phrases; "" where it has one."""
    lens = lens_of(generation)
    written = any(lens_words(lens, generation, phrase, "phrase") for phrase in phrases)
    return "" if written else "neither the answer nor its prompt has the words of a phrase"


def no_attention(model: Model) -> str:
    """The message for a model without attention."""
    fitting = model.extractions
    return (
        f"this model gives no attention to extract from: type extraction={' or extraction='.join(fitting)}"
        if fitting
        else "this model gives no attention to extract from: use model.capture=step where it has that option, or "
        "another extraction"
    )


def known_sources() -> list[type[MapSource]]:
    """The map sources of the package, in the order of their modules."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    kinds = [MapSource]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return [cls for cls in kinds if cls.__module__.startswith(f"{__name__}.") and not cls.__name__.startswith("_")]


def choice_of(source: type[MapSource]) -> str:
    """The name by which a map source is chosen, that of its YAML; of one outside the package its class."""
    target = f"_target_: {source.__module__}.{source.__name__}\n"
    files = (resources.files("pixfound.conf") / "map_source").iterdir()
    names = (file.name.removesuffix(".yaml") for file in files if target in file.read_text())
    return next(names, source.__name__)


def text_before(phrase: Phrase, text: str) -> str:
    """The part of an answer before a phrase; "" for the expression."""
    return text[: phrase.span[0]].rstrip()


def head_rows(generation: Generation, phrase: Phrase) -> FloatArray | None:
    """(L, H, N) the mean over the rows of a phrase's tokens, for each stored layer and head; None without a row.

    A row is that of the query that predicts the token; of the expression that of the prompt's last token. Raises
    ValueError for a generation that carries no layers.
    """
    if generation.kept is None:
        raise ValueError("the generation does not carry its layers' attention")
    tokens = [0] if phrase.span == (0, 0) else tokens_of(phrase.span, generation.spans)
    rows = generation.kept.rows[:, :, [1 + token for token in tokens]]
    return np.asarray(rows.mean(axis=2)) if tokens else None
