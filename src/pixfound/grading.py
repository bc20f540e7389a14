"""Which option a reply means. A reply that means none, or several, is unscored: neither right nor wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"<\|[^|<>]*\|>|</?s>|<(?:bos|eos|pad|end_of_turn)>|\*\*|`")
_CUE = re.compile(r"\b(?:final answer|correct answer|answer)(?:\s+is|\s+would be)?\s*[:\-]?\s*", re.IGNORECASE)
_LEADING = re.compile(r"^(?:option\s+)?[(\[]?([A-Za-z])(?:[)\]]|[.:,;](?=\s|$)|$)", re.IGNORECASE)
_ANYWHERE = re.compile(r"[(\[]([A-Za-z])[)\]]|\boption\s+([A-Za-z])\b|(?<![\w'])([B-Z])(?![\w'])")


def pick_option(reply: str, options: Sequence[str]) -> tuple[int | None, str]:
    """(index of the option that a reply means, how it was read), or (None, why it could not be read).

    Reads `A`, `(a)`, `B. Open`, `The answer is: B`, an option's text, and reasoning that ends in an answer.
    """
    text = _SPECIAL.sub(" ", reply).strip()
    if not text:
        return None, "the reply is empty"
    cues = [match for match in _CUE.finditer(text) if text[match.end() :].strip(" .:*")]
    for part in ([text[cues[-1].end() :].strip()] if cues else []) + [text]:
        for read, how in ((_leading_letter, "letter"), (_option_text, "option text"), (_lone_letter, "letter")):
            found = read(part, options)
            if found is not None:
                return found, how
    return None, "the reply names no option, or several"


def _leading_letter(text: str, options: Sequence[str]) -> int | None:
    match = _LEADING.match(text)
    return _index(match.group(1), options) if match else None


def _option_text(text: str, options: Sequence[str]) -> int | None:
    """The one option whose words stand in the text; an option inside a longer one that stands there is not meant."""
    plain = _plain(text)
    exact = [i for i, option in enumerate(options) if _plain(option) == plain]
    if len(exact) == 1:
        return exact[0]
    padded = f" {plain} "
    for option in sorted(options, key=len, reverse=True):
        padded = padded.replace(f" {_plain(option)} ", f" \0{options.index(option)} ")
    named = {int(n) for n in re.findall(r"\0(\d+)", padded)}
    return named.pop() if len(named) == 1 else None


def _lone_letter(text: str, options: Sequence[str]) -> int | None:
    letters = {next(g for g in groups if g) for groups in _ANYWHERE.findall(text)}
    named = {i for i in (_index(letter, options) for letter in letters) if i is not None}
    return named.pop() if len(named) == 1 else None


def _index(letter: str, options: Sequence[str]) -> int | None:
    index = ord(letter.upper()) - ord("A")
    return index if 0 <= index < len(options) else None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s'/+-]", " ", text.lower()).split())
