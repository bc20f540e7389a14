"""What a map is made for: noun phrases of the answer, the expression itself, or the tokens of the answer."""

from __future__ import annotations

from pixfound.interfaces import PhraseFinder, PhraseUnit
from pixfound.types import Generation, Phrase


class NounPhrases(PhraseUnit):
    """The noun phrases of the answer."""

    def __init__(self, phrases: PhraseFinder) -> None:
        self.phrases = phrases

    def units(self, generation: Generation, expression: str) -> list[Phrase]:
        """The phrases in the order of the answer."""
        return self.phrases.phrases(generation.text)


class Expression(PhraseUnit):
    """The referring expression, which the last token of the prompt has read: one map, also of an empty answer."""

    def units(self, generation: Generation, expression: str) -> list[Phrase]:
        """One phrase, of span (0, 0)."""
        return [Phrase(expression, expression, (0, 0))]


class AnswerTokens(PhraseUnit):
    """Each token of the answer that has characters; several tokens of one character are one."""

    def units(self, generation: Generation, expression: str) -> list[Phrase]:
        """A phrase for each token, in order."""
        spans = dict.fromkeys((start, end) for start, end in generation.spans if generation.text[start:end].strip())
        texts = {span: generation.text[slice(*span)].strip() for span in spans}
        return [Phrase(text, text, span) for span, text in texts.items()]
