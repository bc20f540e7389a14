"""Fonts for what models and data say: Pillow's own has the letters of English alone."""

from __future__ import annotations

import subprocess
import unicodedata
from functools import lru_cache
from typing import Any

from PIL import ImageFont

_WRITTEN = "LMNP"  # categories of Unicode: letters, marks, numbers, punctuation; symbols may have no font of outlines


def font_for(text: str, size: int) -> Any:
    """Pillow's font, or where the text has other letters the one of this machine that fontconfig finds for them."""
    rare = frozenset(c for c in text if not c.isascii() and unicodedata.category(c)[0] in _WRITTEN)
    try:
        file, index = _fontconfig(rare)
        return ImageFont.truetype(file, size, index)
    except (OSError, subprocess.SubprocessError, ValueError):  # no fontconfig, or a font of pixels
        return ImageFont.load_default(size=size)


@lru_cache
def _fontconfig(characters: frozenset[str]) -> tuple[str, int]:
    """(file, index) of the font that has most of some characters. ValueError where there are none."""
    if not characters:
        raise ValueError("Pillow's own has them all")
    pattern = f":charset={' '.join(f'{ord(c):x}' for c in sorted(characters))}"
    command = ["fc-match", "-f", "%{file}\n%{index}", pattern]
    file, index = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.split("\n")
    return file, int(index)
