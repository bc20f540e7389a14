"""Masks written in a model's answer as polygons or codes; no segmenter is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors.parsers.coordinates import Box, Frame
from pixfound.extractors.parsers.formats import find_format
from pixfound.extractors.parsers.vqvae import SOURCE, MaskDecoder, paste
from pixfound.extractors.text import Combine
from pixfound.interfaces import Extractor
from pixfound.types import Candidate, Generation
from pixfound.types.masks import RLE, union

_KEY = "extraction.extractors.text_mask.decoder"


class TextMask(Extractor):
    """The masks of an answer; an answer without one gives no candidate.

    format: the notation of masks, see `pixfound.extractors.parsers.formats`. decoder: the file with the decoder of
    codes, see `pixfound.extractors.parsers.vqvae`; None for polygons, which need none. combine: `union` makes one
    candidate of all masks, `instances` one that keeps each, `candidates` makes one of each. A repeated object
    counts once.
    """

    needs_image = False
    runtime_options = ("decoder",)  # a path; `identity` says what it holds

    def __init__(self, format: str | None, decoder: str | None = None, combine: Combine = "union") -> None:
        self.format, self.combine = find_format(format, "masks"), combine
        coded = self.format.codes is not None
        if coded and decoder is None:
            raise UserError(
                f"format={format}: its masks are codes, which a file decodes; set {_KEY} to a local copy of {SOURCE}"
            )
        if not coded and decoder is not None:
            raise UserError(f"format={format}: its masks are polygons, which nothing decodes; set {_KEY}=null")
        self.decoder = None if decoder is None else MaskDecoder(decoder, _KEY)

    def identity(self) -> Mapping[str, Any]:
        """The digest of the decoder's file."""
        return {} if self.decoder is None else {"decoder": self.decoder.digest}

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """The candidates in the order of the objects in the answer; objects without a pixel are left out."""
        size = generation.image_size
        frame = self.format.frame(size, generation.input_size)
        masks_in = self._outlined if self.decoder is None else self._decoded
        masks = [(mask, box) for mask, box in masks_in(generation.text, frame) if mask.area]
        candidates = [Candidate(mask, box=box) for mask, box in masks]
        if self.combine == "candidates" or len(candidates) < 2:
            return candidates
        parts = tuple(candidates) if self.combine == "instances" else ()
        return [Candidate(union([mask for mask, _ in masks], size), parts=parts)]

    def _outlined(self, text: str, frame: Frame) -> list[tuple[RLE, Box | None]]:
        assert self.format.polygons is not None
        objects = [frame.polygons(polygons) for polygons in dict.fromkeys(self.format.polygons(text))]
        flat = [[[value for corner in polygon for value in corner] for polygon in polygons] for polygons in objects]
        return [(RLE.from_polygons(polygons, frame.size), None) for polygons in flat]

    def _decoded(self, text: str, frame: Frame) -> list[tuple[RLE, Box | None]]:
        assert self.format.codes is not None and self.decoder is not None
        written = [(frame.boxes([box]), codes) for box, codes in dict.fromkeys(self.format.codes(text))]
        objects = [(boxes[0], codes) for boxes, codes in written if boxes]
        if not objects:
            return []
        values = self.decoder.decode([codes for _, codes in objects])
        return [(paste(value, box, frame.size), box) for value, (box, _) in zip(values, objects, strict=True)]
