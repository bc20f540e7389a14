"""Formats of coordinates in text: the notation and its units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pixfound.errors import UserError, nearest
from pixfound.extractors.parsers import grammars
from pixfound.extractors.parsers.coordinates import Box, Frame, Point, Polygon, of_image, of_padded_square, of_resized

Units = Literal["resized", "padded"] | float  # pixels of the resized picture, 0-1 of the padded square, or 0-N


@dataclass(frozen=True)
class CoordinateFormat:
    """Parsers of one format, each from a text to coordinates in the text's own units; None where it has none.

    boxes: (x0, y0, x1, y1) and their characters. points: (x, y). polygons: the polygons of each object. codes: the box
    of each object, and the codes of the mask inside it.
    """

    units: Units
    boxes: Callable[[str], list[grammars.WrittenBox]] | None = None
    points: Callable[[str], list[Point]] | None = None
    polygons: Callable[[str], list[tuple[Polygon, ...]]] | None = None
    codes: Callable[[str], list[tuple[Box, grammars.Codes]]] | None = None

    @property
    def masks(self) -> Callable[[str], list[Any]] | None:
        """The parser of masks, as polygons or as codes; None where there is none."""
        return self.polygons or self.codes

    def frame(self, size: tuple[int, int], resized: tuple[int, int] | None) -> Frame:
        """The frame from its units to pixels of an image. size: (H, W) of the image; resized: of the model's input."""
        if self.units == "padded":
            return of_padded_square(size)
        if self.units != "resized":
            return of_image(size, self.units)
        if resized is None:
            raise UserError(
                "the format counts pixels of the resized picture, but this model does not say to which size it "
                "resized one: set format=json_1000, or another that it was trained with"
            )
        return of_resized(size, resized)


_JSON, _LIST = (grammars.json_boxes, grammars.json_points), (grammars.list_boxes, grammars.list_points)
FORMATS: Mapping[str, CoordinateFormat] = {
    "json_resized": CoordinateFormat("resized", *_JSON),  # {"bbox_2d": [x0, y0, x1, y1]}: Qwen2.5-VL
    "json_1000": CoordinateFormat(1000.0, *_JSON),  # the same in 0-1000: Qwen3-VL
    "list_1000": CoordinateFormat(1000.0, *_LIST),  # [x0, y0, x1, y1] or (x0, y0), (x1, y1): GLM-V, InternVL, Qwen2-VL
    "list_padded": CoordinateFormat("padded", *_LIST),  # the same in 0-1 of the padded square: LLaVA-1.5
    "list_image": CoordinateFormat(1.0, *_LIST),  # in 0-1 of the image
    "tags": CoordinateFormat(100.0, None, grammars.tag_points),  # <point x="63.5" y="44.5">: Molmo
    "coords": CoordinateFormat(1000.0, None, grammars.coords_points),  # <points coords="1 1 635 445">: Molmo2
    "patch_index": CoordinateFormat(1.0, grammars.patch_boxes),  # <patch_index_0044><patch_index_0863>: Kosmos-2
    "loc_1000": CoordinateFormat(1000.0, grammars.loc_boxes, None, grammars.loc_polygons),  # <loc_52> ...: Florence-2
    # <loc0256><loc0128><loc0768><loc0512>, and <seg000> ... for a mask: PaliGemma
    "loc_1024": CoordinateFormat(1024.0, grammars.yxyx_boxes, codes=grammars.coded_masks),
}


def find_format(name: str | None, target: Literal["boxes", "points", "masks"]) -> CoordinateFormat:
    """The format of a name; raises UserError for None, an unknown name, or one that does not support `target`."""
    names = [key for key, format in FORMATS.items() if getattr(format, target) is not None]
    if name is None:
        extractor = {"boxes": "text_box", "points": "text_point", "masks": "text_mask"}[target]
        raise UserError(
            f"the model's YAML declares no format of {target} (model.coordinates.{target}): type "
            f"extraction.extractors.{extractor}.format=NAME and prompts.ground=ID as in its training; "
            f"names: {', '.join(names)}"
        )
    if name not in names:
        raise UserError(f"format={name}: no format for {target}; {nearest(name, names)}")
    return FORMATS[name]
