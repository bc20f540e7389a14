"""Comparison of a phrase with the referring expression, by their words alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pixfound.types import Phrase

_WORD = re.compile(r"[^\W_]+(?:[-\u2019'][^\W_]+)*")
_FUNCTION = (
    "a an the this that these those some any each every all both another other one its his her their my our your "
    "of in on at by to from with without under over above below behind between next near into onto inside outside "
    "through around and or not no is are was were be been being has have had do does which who whom whose there "
    "very s t"
)
_FUNCTION_WORDS = frozenset(_FUNCTION.split())
_KEPT = ("ss", "us", "is")  # endings that are no plural


@dataclass(frozen=True)
class Wording:
    """Differences between a phrase and the referring expression; each is rarer than the one before.

    other_words: its content words are not the same. other_head: neither are the words the same nor its main word.
    no_shared_word: no content word of one is in the other.
    """

    other_words: bool
    other_head: bool
    no_shared_word: bool


def compare(phrase: Phrase, expression: str, heads: Sequence[Phrase]) -> Wording:
    """Compare a phrase of an answer with the referring expression.

    heads: the noun phrases of the expression itself; the first one's main word is the expression's, and where there
    is none its last content word. Articles, prepositions and the like do not count, nor does number ("wings" is
    "wing"). A pronoun is another phrase: nobody knows what it stands for. The main word is as good as the finder of
    noun phrases is: one that takes "running" for the main word of "a woman running" calls "the woman" another phrase.
    """
    ours, theirs = content_words(phrase.text), content_words(expression)
    head = content_words(heads[0].head if heads else " ".join(theirs[-1:]))
    own_head = content_words(phrase.head) or ours
    same_words = set(ours) == set(theirs)
    same_head = bool(head) and own_head[-1:] == head[-1:]
    return Wording(
        other_words=not same_words,
        other_head=not same_words and not same_head,
        no_shared_word=not same_words and not same_head and not set(ours) & set(theirs),
    )


def content_words(text: str) -> list[str]:
    """The words of a text that carry meaning, in small letters and in the singular.

    >>> content_words("the butterfly's two Wings")
    ['butterfly', 'two', 'wing']
    """
    plain = re.sub(r"['\u2019]s\b|(?<=s)['\u2019](?=\s|$)", "", text.lower())
    return [singular(word) for word in _WORD.findall(plain) if word not in _FUNCTION_WORDS]


@lru_cache(maxsize=4096)
def singular(word: str) -> str:
    """The singular of a word in small letters, by TextBlob's rules where it may be a plural."""
    from textblob.en import inflect

    if (len(word) < 4 and word != "men") or word.endswith(_KEPT):
        return word
    return str(inflect.singularize(word))
