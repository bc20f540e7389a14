"""Letters of any script in pictures, by the fonts of this machine."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from PIL import ImageFont

from pixfound.io.fonts import _fontconfig, font_for

MISSING = "\U0010fffd"  # no font has it


@pytest.mark.parametrize("text", ["déjà", "这是什么颜色", "ما لون الدائرة"])
def test_letters_have_glyphs(text: str) -> None:
    listed = shutil.which("fc-list") and subprocess.run(
        ["fc-list", f":charset={ord(text[1]):x}"], capture_output=True, text=True, check=True
    )
    if not listed or not listed.stdout:
        pytest.skip("no font of this machine has these letters")
    font = font_for(text, 14)
    assert bytes(font.getmask(text[1])) != bytes(font.getmask(MISSING))


def test_without_fontconfig_it_is_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    _fontconfig.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert font_for("这", 14).getname() == font_for("plain 🐈", 14).getname() == ImageFont.load_default(14).getname()
