"""Image embeddings of SAM models, computed for several images in one batch and cached for later prompts.

Shapes: `S` side of the model's square.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixfound.io.images import picture_keys

_KEPT = 4  # minimum number of cached images; those of the latest call are all kept for the next extractor
_ENCODED = 2**22  # pixels in one call of the encoder: four images of 1024 x 1024; a quarter on a CPU, busy with one

Embeddings = Mapping[str, Any]  # arguments of the model: name -> tensor or list of tensors, their first axis of size 1


@dataclass(frozen=True)
class Prepared:
    """An image after preprocessing. pixels: (1, 3, S, S). size: (height, width) of the image within them."""

    pixels: Any
    size: tuple[int, int]


class EncodedImages:
    """Cache of the embeddings of a SAM-like image encoder. The key of an image is a hash of its content."""

    def __init__(self) -> None:
        self._cache: OrderedDict[str, tuple[Embeddings, tuple[int, int]]] = OrderedDict()

    def encode(
        self, images: Sequence[Image.Image], prepare: Callable[[Image.Image], Prepared], load: Callable[[], Any]
    ) -> list[str]:
        """Encode the images that are not cached, together, and return the key of each image.

        prepare: preprocesses an image. load: returns the model; called only where there is something to encode.
        """
        import torch

        keys = picture_keys(images)
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._cache}
        prepared = {key: prepare(image) for key, image in new.items()}
        for key in keys:
            if key in self._cache:
                self._cache.move_to_end(key)
        if prepared:
            model = load()
            for part in _by_pixels(prepared, _ENCODED if model.device.type != "cpu" else _ENCODED // 4):
                pixels = torch.cat([prepared[key].pixels for key in part])
                with torch.inference_mode():
                    output = model.get_image_embeddings(pixels.to(model.device, model.dtype))
                names = ("image_embeddings", "intermediate_embeddings")  # SAM-HQ's decoder takes both
                embeddings = dict(zip(names, output, strict=True)) if isinstance(output, tuple) else {names[0]: output}
                for place, key in enumerate(part):
                    embeddings_of_image = {
                        name: _each(lambda t, i=place: t[i : i + 1], value) for name, value in embeddings.items()
                    }
                    self._cache[key] = (embeddings_of_image, prepared[key].size)
        while len(self._cache) > max(_KEPT, len(set(keys))):
            self._cache.popitem(last=False)
        return keys

    def size(self, key: str) -> tuple[int, int]:
        """(height, width) of an image within the model's square."""
        return self._cache[key][1]

    def joined(self, keys: Sequence[str]) -> dict[str, Any]:
        """The embeddings of several images as one batch."""
        import torch

        def join(values: list[Any]) -> Any:
            if isinstance(values[0], list):
                return [torch.cat(level) for level in zip(*values, strict=True)]
            return torch.cat(values)

        rows = [self._cache[key][0] for key in keys]
        return {name: join([row[name] for row in rows]) for name in rows[0]}

    def clear(self) -> None:
        """Drop all cached embeddings."""
        self._cache.clear()


def _by_pixels(prepared: Mapping[str, Prepared], most: int) -> Iterator[list[str]]:
    """Split the keys of a non-empty dict into groups of at most `most` pixels, but at least one image."""
    keys = list(prepared)
    height, width = prepared[keys[0]].pixels.shape[-2:]  # of the model's square, the same for all
    room = max(1, most // (height * width))
    yield from (keys[start : start + room] for start in range(0, len(keys), room))


def _each(function: Any, value: Any) -> Any:
    """Apply a function to a tensor, or to each tensor of a list."""
    return [function(tensor) for tensor in value] if isinstance(value, (list, tuple)) else function(value)
