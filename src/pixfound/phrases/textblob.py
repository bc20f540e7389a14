"""Noun phrases by TextBlob's rule-based tagger, which needs no download.

Known errors of its chunks are corrected: a word that follows an article or an adjective and is tagged as a verb
("a cross", "the top left") closes the noun phrase.
"""

from __future__ import annotations

from functools import lru_cache

from pixfound.interfaces import PhraseFinder
from pixfound.types import Phrase

_OPENERS = ("DT", "PRP$", "CD")
_INSIDE = ("DT", "PRP$", "CD", "JJ", "JJR", "JJS", "NN", "NNS", "NNP", "NNPS", "POS", "VBN", "VBG")
_NOUNS = ("NN", "NNS", "NNP", "NNPS")
_VERBS_FOR_NOUNS = ("VB", "VBP", "VBN", "VBG")


class TextBlobPhrases(PhraseFinder):
    """Runs of determiners, adjectives and nouns that end in a noun."""

    def phrases(self, text: str) -> list[Phrase]:
        """The noun phrases of a text, in order, with their character spans."""
        return list(_phrases(text))


@lru_cache(maxsize=4096)
def _phrases(text: str) -> tuple[Phrase, ...]:
    words = _tagged(text)
    phrases: list[Phrase] = []
    run: list[tuple[str, str, int]] = []
    for word, tag, start in [*words, ("", "", len(text))]:
        opens = tag in _OPENERS and run and run[-1][1] in _NOUNS
        if tag in _INSIDE and not opens:
            run.append((word, tag, start))
            continue
        if tag in _VERBS_FOR_NOUNS and run and run[-1][1] in ("DT", "JJ", "PRP$"):
            run.append((word, "NN", start))
            continue
        phrases += _trim(run, text)
        run = [(word, tag, start)] if tag in _INSIDE else []
    return tuple(phrases)


def _trim(run: list[tuple[str, str, int]], text: str) -> list[Phrase]:
    """The phrase of a run of words, or an empty list: trailing words that are not nouns are dropped."""
    verbal = ("VBN", "VBG")
    while run and run[0][1] in verbal:  # "is marked": a participle opens no noun phrase
        run = run[1:]
    while run and run[-1][1] not in _NOUNS:
        articled = len(run) > 1 and run[0][1] in _OPENERS
        if articled and run[-1][1] in ("JJ", *verbal):  # "the top left": after an article an adjective is a noun
            break
        run = run[:-1]
    if not run or (len(run) == 1 and run[0][1] in _OPENERS):
        return []
    word, _, start = run[-1]
    begin, end = run[0][2], start + len(word)
    return [Phrase(text[begin:end], text[start:end], (begin, end))]


def _tagged(text: str) -> list[tuple[str, str, int]]:
    """(word, part of speech, index of the first character) of each word that can be located in the text."""
    try:
        from textblob.en import parse
    except ImportError as error:
        from pixfound.errors import UserError

        raise UserError('phrases=textblob needs the package textblob; type: pip install "textblob>=0.19"') from error
    text = text.replace("\u2019", "'")
    words: list[tuple[str, str, int]] = []
    position = 0
    for token in parse(text, chunks=False).split():
        for word, tag in ((entry[0], entry[1]) for entry in token):
            start = text.find(word, position)
            if start >= 0:
                words.append((word, tag, start))
                position = start + len(word)
    return _merge_clitics(words)


def _merge_clitics(words: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Join the pieces of "cat's" and "isn't" that the tokeniser splits: to a possessive, an adverb."""
    joined: list[tuple[str, str, int]] = []
    for word, tag, start in words:
        glued = len(joined) > 1 and joined[-1][0] == "'" and joined[-1][2] + 1 == start
        if glued and word.lower() == "s":
            joined[-1] = ("'s", "POS" if joined[-2][1] in _NOUNS else "VBZ", start - 1)
        elif glued and word.lower() == "t" and joined[-2][0].lower() == "n":
            joined[-2:] = [("n't", "RB", start - 2)]
        else:
            joined.append((word, tag, start))
    return joined
