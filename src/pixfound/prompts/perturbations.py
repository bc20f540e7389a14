"""Perturbations of a model's input, named so that one axis of a sweep covers them all.

none          no perturbation
vqa_ID        the question's slots (prompts.vqa=ID)
ground_ID     the template of the grounding request (prompts.ground=ID)
spelling_N    misspelt question, options and expression (prompts.noise=N)
crop_N        the image cropped at the right and bottom, through the object (benchmark=varied)
mask_out_N    a part of the object painted black (benchmark=varied)
"""

from __future__ import annotations

from dataclasses import dataclass

from pixfound.errors import UserError, nearest

TEXT = ("vqa", "ground")
NUMBERED = ("spelling", "crop", "mask_out")
VISUAL = ("crop", "mask_out")
NONE = "none"


@dataclass(frozen=True)
class Variation:
    """A parsed perturbation. kind: `none`, or a prefix listed above. value: a template's id, or a number from 0."""

    kind: str
    value: str = ""

    @property
    def number(self) -> int:
        """The number of a numbered perturbation."""
        return int(self.value)


def parse_variation(name: str, key: str) -> Variation:
    """Parse a perturbation's name. key: the config key, for the message of the UserError."""
    if name == NONE:
        return Variation(NONE)
    for kind in (*TEXT, *NUMBERED):
        value = name.removeprefix(f"{kind}_")
        if value not in (name, "") and (kind in TEXT or (value.isascii() and value.isdigit())):
            return Variation(kind, value if kind in TEXT else str(int(value)))
    names = [NONE, "vqa_t1", "ground_t1", *(f"{kind}_0" for kind in NUMBERED)]
    raise UserError(f"{key}={name}: there is no such variation; {nearest(name, names)}")
