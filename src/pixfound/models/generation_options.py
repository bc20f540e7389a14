"""Checks of generation options before a model's weights are loaded, and of prompt lengths before generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pixfound.errors import PromptTooLong, UserError, nearest

T = TypeVar("T")


def generation_options(typed: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of transformers' GenerationConfig: `typed` over the defaults of 128 new tokens and greedy decoding.

    UserError where `max_new_tokens` is not a positive int. Transformers is not imported.
    """
    options = {"max_new_tokens": 128, "do_sample": False, **(typed or {})}
    tokens = options["max_new_tokens"]
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise UserError(f"model.generation.max_new_tokens={tokens}: give a whole number of at least 1")
    return options


def check_generation(generation: Mapping[str, Any]) -> None:
    """UserError for an option that transformers' GenerationConfig does not have, and for an invalid value."""
    from transformers import GenerationConfig

    config = GenerationConfig()
    for name in generation:
        if not hasattr(config, name):
            close = nearest(name, (option for option in vars(config) if not option.startswith("_")))
            raise UserError(f"model.generation.{name}: transformers' GenerationConfig has no such option; {close}")
    try:
        config.update(**generation)
        config.validate()
    except (ValueError, TypeError) as error:
        raise UserError(f"model.generation: {' '.join(str(error).split())[:300]}") from error


def check_range(name: str, indices: Sequence[int] | None, count: int) -> None:
    """UserError for an index that is not below `count`, the decoder's number of layers or heads."""
    beyond = [i for i in indices or () if i >= count]
    if beyond:
        raise UserError(f"model.{name}: there is no {beyond[0]}; the text decoder has {count}, from 0 to {count - 1}")


def positions(text: Any) -> int | None:
    """Context length in tokens of a text decoder, by its config; None where the config sets no limit.

    With some kinds of RoPE scaling `max_position_embeddings` is the trained length, with others the scaled one; the
    larger of both is returned.
    """
    most = getattr(text, "max_position_embeddings", None)
    if most is None:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    kinds = [rope, *(kind for kind in rope.values() if isinstance(kind, Mapping))]  # one for each type of layer
    reached = [int(kind["factor"] * (kind.get("original_max_position_embeddings") or most))
               for kind in kinds if kind.get("factor")]  # fmt: skip
    return max([int(most), *reached])


def too_long(length: int, new: int, text: Any) -> PromptTooLong | None:
    """A PromptTooLong where `length` prompt tokens and `new` more exceed the context length; None where they fit.

    text: transformers' config of the decoder.
    """
    most = positions(text)
    if most is None or length + new <= most:
        return None
    return PromptTooLong(
        f"the prompt has {length} tokens, which leave no room for {new} new ones (model.generation.max_new_tokens) in "
        f"the model's {most} positions: shorten the text, show a smaller picture, or take fewer new tokens"
    )
