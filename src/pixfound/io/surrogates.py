"""Lone surrogates: JSON can hold them, and so can a model's answer, but UTF-8 cannot, and tokenizers refuse them."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> str:
    """A text of the same length with U+FFFD in the place of each lone surrogate: for a tokenizer, or for a server."""
    return _SURROGATE.sub("\ufffd", text)
