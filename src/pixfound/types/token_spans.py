"""Character spans of the generated tokens in an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Span = tuple[int, int]


def token_spans(ids: Sequence[int], decode: Callable[[Sequence[int]], str]) -> tuple[str, tuple[Span, ...]]:
    """The text of `ids` and a (start, end) span for each.

    decode must skip special tokens, which then get empty spans. Several tokens of one character (byte-level pieces)
    share its span. White space at the start of the text is dropped.
    """
    pieces: list[tuple[int, str]] = []  # (number of tokens, their text)
    prefix = read = 0
    for end in range(1, len(ids) + 1):
        before, after = decode(ids[prefix:read]), decode(ids[prefix:end])
        if after.endswith("\ufffd") and end < len(ids):
            continue  # an unfinished character: wait for its other bytes
        pieces.append((end - read, after[len(before) :]))
        if len(after) > len(before):
            prefix = read  # a token's text may depend on the one before (a leading space), on no earlier one
        read = end
    text = "".join(piece for _, piece in pieces)
    dropped = len(text) - len(text.lstrip())
    spans: list[Span] = []
    position = -dropped
    for count, piece in pieces:
        spans += [(max(0, position), max(0, position + len(piece)))] * count
        position += len(piece)
    return text[dropped:], tuple(spans)


def tokens_of(span: Span, spans: Sequence[Span]) -> list[int]:
    """Indices of the tokens whose characters overlap `span`."""
    return [i for i, (start, end) in enumerate(spans) if start < span[1] and end > span[0] and end > start]
