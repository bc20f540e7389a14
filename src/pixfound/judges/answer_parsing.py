"""Parsing of the option that a reply chooses. A reply that chooses none, or several, is unscored."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Sequence

from pixfound.types.option_letters import index_of

READING = 3  # version of the parsing: raise it with a change of results, so that stored grades are computed anew
REASONING = r"\A.*</think>|<think>.*"  # templates may open it in the prompt, and limits of length cut it off
_DROPPED = re.compile(rf"{REASONING}|<\|[^|<>]*\|>|</?(?:s|answer)>|<(?:bos|eos|pad|end_of_turn)>|\*\*|`", re.DOTALL)
_CUE = re.compile(
    r"\b(?:final answer|correct answer|answer)(?:\s+(?:is|would be|must be|should be))?\s*[:\-]?\s*", re.IGNORECASE
)
_WORD = r"[^\W\u4e00-\u9fff]"  # Chinese is written without spaces: a letter beside it stands alone
# A letter counts in brackets, after "option", at a line's start with a mark behind it, or as a capital that stands
# alone. An "A" is an article where a word in small letters follows, unless no noun phrase can begin with that word.
_LETTER = re.compile(
    r"[(\[]([A-Za-z])[)\]]|\b[Oo]ption\s+([A-Za-z])\b|^[^\S\n]*([A-Za-z])(?:[).:,;](?=\s|$)|\s*$)"
    rf"|(?<!{_WORD})(?<!\w')([A-Z])(?!{_WORD}|-|'\w|\s+(?!(?:is|was|or|and|because|since|as|but)\b)[a-z])",
    re.MULTILINE,
)
_AFFIRMED = re.compile(
    r"(?:\b[Oo]ption\s+[(\[]?([A-Za-z])[)\]]?|[(\[]([A-Za-z])[)\]]|\b([A-Z])) is (?:the )?(?:correct|right)\b"
)
_DENIED_LETTER = re.compile(
    r"(?:\b[Nn]ot|n't)\s+(?:option\s+)?[(\[\"']?[A-Za-z]\b[)\]\"']?(?!\w)"
    r"|(?:\b[Oo]ption\s+)?(?:[(\[][A-Za-z][)\]]|\b[A-Z])"
    r" (?:(?:is|was) (?:wrong|incorrect)|(?:is not|isn't|cannot be|can't be|does not|doesn't|would not|wouldn't)\b)"
)
_DENIED_TEXT = re.compile(r"(?:\b(?:not|nor|neither|never)|n't)\s(?:\w+\s)?\0\d+")
_CUES = 8  # number of cues to search after, the last first: each search reads the rest of the reply
_EDGES = " \t\r\n_'\"\ufeff"
_YES_OR_NO = re.compile(r"\s*(yes|no)\s*[,.;:!]", re.IGNORECASE)


def pick_option(reply: str, options: Sequence[str]) -> tuple[int | None, str]:
    """(index of the option that a reply chooses, the rule that matched), or (None, the reason for no match).

    Reads `A`, `(a)`, `B. Open`, `The answer is: B`, an option's text, and reasoning that ends in an answer. The text
    after the last cue ("answer is") has priority. A negated option ("not open") is not chosen.
    """
    plain = unicodedata.normalize("NFKC", reply).replace("\u2019", "'")  # full-width letters and brackets
    text = _DROPPED.sub(" ", plain).strip(_EDGES)
    if not text:
        return None, "the reply is empty"
    parts = [text[match.end() :].strip() for match in deque(_CUE.finditer(text), maxlen=_CUES)]
    for part in [*reversed(parts), text]:
        for parse, rule in ((_letter, "letter"), (_option_text, "option text")):
            index = parse(part, options)
            if index is not None:
                return index, rule
    return None, "the reply names no option, or several"


def _letter(text: str, options: Sequence[str]) -> int | None:
    """Index of the only option letter in the text; None where there is none, or several."""
    text = _DENIED_LETTER.sub(" ", text)
    indices = {
        index_of(next(g for g in groups if g), len(options))
        for groups in _AFFIRMED.findall(text) or _LETTER.findall(text)
    }
    if len(indices) != 1:
        return None
    return indices.pop()


def _option_text(text: str, options: Sequence[str]) -> int | None:
    """Index of the only option whose words are in the text; an option inside a longer match does not count."""
    plain = [_plain(option) for option in options]
    plain_text = _plain(text)
    if plain.count(plain_text) == 1:
        return plain.index(plain_text)
    first = _YES_OR_NO.match(text)
    if first and first.group(1).lower() in plain:
        return plain.index(first.group(1).lower())
    padded = f" {plain_text} "
    for option in sorted(plain, key=len, reverse=True):
        padded = padded.replace(f" {option} ", f" \0{plain.index(option)} ")
    named = {int(number) for number in re.findall(r"\0(\d+)", _DENIED_TEXT.sub(" ", padded))}
    return named.pop() if len(named) == 1 else None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s'/+-]", " ", text.lower().replace("\u2019", "'")).split())
