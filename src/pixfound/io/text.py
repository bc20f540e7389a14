"""Pieces of report.md: tables, and text of models and data made harmless."""

from __future__ import annotations

from collections.abc import Sequence

_ESCAPED = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ("\\", "&#92;"),  # before a bar it would end the cell after all
    ("|", "\\|"),
    ("`", "'"),
    ("](", "]&#40;"),  # links and pictures, which a reader's browser would fetch
    ("][", "]&#91;"),
    ("]:", "]&#58;"),
)


def grid(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its cells escaped."""
    rows = [headers, ["---"] * len(headers), *lines]
    return "\n".join("| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows)


def escape(text: str) -> str:
    """Text of models and data, harmless in Markdown and HTML: no tags, no links or pictures, no cells of its own."""
    for plain_character, escaped in _ESCAPED:
        text = text.replace(plain_character, escaped)
    return printable(text)


def printable(text: str) -> str:
    """Text in one line, a space for every character that a terminal would act on instead of showing it."""
    return "".join(c if c.isprintable() else " " for c in text)
