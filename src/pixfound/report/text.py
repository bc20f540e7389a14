"""Pieces of report.md: tables, and text of models and data made harmless."""

from __future__ import annotations

from collections.abc import Sequence


def grid(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its cells escaped."""
    rows = [headers, ["---"] * len(headers), *lines]
    return "\n".join("| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows)


def escape(text: str) -> str:
    """Text of models and data, harmless in Markdown and HTML."""
    for plain_character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'")):
        text = text.replace(plain_character, escaped)
    return text.replace("\n", " ")
