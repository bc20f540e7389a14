"""The attention of a second prompt about the image, asked once for all expressions and extractors of a run."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from PIL import Image

from pixfound.interfaces import Model, without_errors
from pixfound.io.images import picture_keys
from pixfound.types import Generation, Prompt

_KEPT = 8  # at least so many are cached, and those of the latest call

_CACHES: WeakKeyDictionary[Model, dict[tuple[str, str], Generation]] = WeakKeyDictionary()


def read_prompt(model: Model, requests: Sequence[tuple[Image.Image, str]]) -> list[Generation]:
    """What `Model.read_prompts` gives for each (image, text); equal ones are asked once, together with the others."""
    cache = _CACHES.setdefault(model, {})
    keys = list(zip(picture_keys([image for image, _ in requests]), (text for _, text in requests), strict=True))
    missing = {
        key: (image, Prompt("", "ground", "", text))
        for key, (image, text) in zip(keys, requests, strict=True)
        if key not in cache
    }
    if missing:
        cache.update(zip(missing, without_errors(model.read_prompts(list(missing.values()))), strict=True))
    found = [cache[key] for key in keys]
    for key in keys:  # the latest are at the end
        cache[key] = cache.pop(key)
    while len(cache) > max(_KEPT, len(set(keys))):
        del cache[next(iter(cache))]
    return found
