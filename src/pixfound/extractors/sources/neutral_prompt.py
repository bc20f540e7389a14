"""The attention of a second prompt about the image, asked once for all expressions and extractors of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from PIL import Image

from pixfound.interfaces import Model, without_errors
from pixfound.io.images import picture_keys
from pixfound.types import FloatArray, Generation, Prompt

_T = TypeVar("_T")
ImageText = tuple[Image.Image, str]

_KEPT = 8  # at least so many are cached, and those of the latest call

_CACHES: WeakKeyDictionary[Model, dict[tuple[str, ...], Any]] = WeakKeyDictionary()


def read_prompt(model: Model, requests: Sequence[ImageText]) -> list[Generation]:
    """What `Model.read_prompts` gives for each (image, text); equal ones are asked once, together with the others."""

    def read(missing: Sequence[ImageText]) -> Sequence[Generation | Exception]:
        return model.read_prompts([(image, Prompt("", "ground", "", text)) for image, text in missing])

    return _cached(model, "rows", requests, read)


def rollout_of_prompt(model: Model, requests: Sequence[ImageText]) -> list[FloatArray]:
    """What `Model.rollout_maps` gives for each (image, text); equal ones are asked once."""

    def roll_out(missing: Sequence[ImageText]) -> Sequence[FloatArray | Exception]:
        prompts = [generation.prompt for generation in read_prompt(model, missing)]
        return model.rollout_maps([(image, prompt, "") for (image, _), prompt in zip(missing, prompts, strict=True)])

    return _cached(model, "rollout", requests, roll_out)


def _cached(
    model: Model,
    what: str,
    requests: Sequence[ImageText],
    ask: Callable[[Sequence[ImageText]], Sequence[_T | Exception]],
) -> list[_T]:
    cache = _CACHES.setdefault(model, {})
    keys = [(what, *key) for key in zip(picture_keys([i for i, _ in requests]), (t for _, t in requests), strict=True)]
    missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in cache}
    if missing:
        cache.update(zip(missing, without_errors(ask(list(missing.values()))), strict=True))
    found = [cache[key] for key in keys]
    for key in keys:  # the latest are at the end
        cache[key] = cache.pop(key)
    while len(cache) > max(_KEPT, len(set(keys))):
        del cache[next(iter(cache))]
    return found
