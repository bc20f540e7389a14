"""What a model is asked for: options checked before its weights are loaded, and prompts before they are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pixfound.errors import PromptTooLong, UserError, nearest

T = TypeVar("T")


def generation_options(typed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was typed for transformers' GenerationConfig over 128 new tokens, greedy.

    UserError where the limit of new tokens is no number of them; transformers is not imported for it.
    """
    options = {"max_new_tokens": 128, "do_sample": False, **(typed or {})}
    tokens = options["max_new_tokens"]
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise UserError(f"model.generation.max_new_tokens={tokens}: give a whole number of at least 1")
    return options


def check_generation(generation: Mapping[str, Any]) -> None:
    """UserError where transformers' GenerationConfig has no such option, or takes no such value."""
    from transformers import GenerationConfig

    config = GenerationConfig()
    for name in generation:
        if not hasattr(config, name):
            close = nearest(name, (known for known in vars(config) if not known.startswith("_")))
            raise UserError(f"model.generation.{name}: transformers' GenerationConfig has no such option; {close}")
    try:
        config.update(**generation)
        config.validate()
    except (ValueError, TypeError) as error:
        raise UserError(f"model.generation: {' '.join(str(error).split())[:300]}") from error


def check_indices(name: str, indices: Sequence[int] | None) -> None:
    """UserError where `layers` or `heads` is no list of whole numbers. name: which of them it is."""
    if indices is None:
        return
    whole = not isinstance(indices, str) and isinstance(indices, Sequence) and len(indices) > 0
    if not whole or any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in indices):
        raise UserError(f"model.{name}={indices}: give a list of whole numbers from 0 on, as [0,3], or null for all")


def check_range(name: str, indices: Sequence[int] | None, count: int) -> None:
    """UserError where an index is of none of the decoder's `count` layers or heads."""
    beyond = [i for i in indices or () if i >= count]
    if beyond:
        raise UserError(f"model.{name}: there is no {beyond[0]}; the text decoder has {count}, from 0 to {count - 1}")


def positions(text: Any) -> int | None:
    """How many tokens a text decoder can take, by its config; None where the config sets no limit.

    `max_position_embeddings` counts what it was trained on with some kinds of scaled rotary positions, and what they
    reach with others: the larger of both counts.
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
    """The error of a prompt of `length` tokens that leaves no room for `new` more; None where it fits."""
    most = positions(text)
    if most is None or length + new <= most:
        return None
    return PromptTooLong(
        f"the prompt has {length} tokens, which leave no room for {new} new ones (model.generation.max_new_tokens) in "
        f"the model's {most} positions: shorten the text, show a smaller picture, or take fewer new tokens"
    )


def without_errors(outcomes: Sequence[T | Exception]) -> list[T]:
    """The outcomes; the first error among them is raised."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
