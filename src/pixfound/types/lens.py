"""The logit lens of one answer: logits of its words at the image tokens, read from the decoder's hidden states.

Shapes: `L` layers, `C` classes (different token ids), `N` image tokens, `K` words of the prompt, `T` of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pixfound.types.token_spans import Span, tokens_of

Array = npt.NDArray[np.float32]
_ARRAYS = ("logits", "normalisers", "text")


@dataclass(frozen=True)
class Lens:
    """Logits of the words of a prompt and its answer; a word is a token, K of the prompt's text and T of the answer.

    layers: L indices of decoder layers, the last one among them; -1 for the embeddings. classes: C token ids.
    logits: (L, C, N) of each class at each image token, after the decoder's final norm unless there are floors.
    normalisers: (L, N) log-sum-exp over the whole vocabulary, so that exp(logits - normalisers) is a probability.
    floors: (L, N) the least logit that counts, and normalisers are over those that count; None where all count.
    text: (K + T, C) logits of the last layer at the position of each word: its own position for a word of the prompt,
        the position that predicts it for a word of the answer.
    prompt, answer: token ids of the words. first: id predicted after the first word of the prompt. last: id of the
        prompt's last token, the end of its chat template.
    prompt_text, prompt_spans: the prompt's text, and the characters (start, end) of each of its K words.
    """

    layers: tuple[int, ...]
    classes: tuple[int, ...]
    logits: Array
    normalisers: Array
    text: Array
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    first: int
    last: int
    prompt_text: str
    prompt_spans: tuple[Span, ...]
    floors: Array | None = None

    @property
    def words(self) -> tuple[int, ...]:
        """(K + T) token ids."""
        return self.prompt + self.answer

    def words_in_prompt(self, text: str) -> list[int]:
        """Indices of the prompt's words that write `text`, where it stands last; [] where the prompt lacks it."""
        start = self.prompt_text.casefold().rfind(text.casefold())
        return [] if start < 0 else tokens_of((start, start + len(text)), self.prompt_spans)

    def words_in_answer(self, span: Span, spans: Sequence[Span]) -> list[int]:
        """Indices of the answer's words within a character span. spans: those of the answer's tokens."""
        return [len(self.prompt) + token for token in tokens_of(span, spans)]

    def log_probabilities(self, words: Sequence[int]) -> Array:
        """(W, L, N) logarithms of the probabilities of W words, by index, at the image tokens."""
        places = [self.classes.index(self.words[word]) for word in words]
        logits = self.logits[:, places].swapaxes(0, 1)
        logs: Array = np.minimum(logits - self.normalisers, 0.0)
        return logs if self.floors is None else np.where(logits < self.floors, -np.inf, logs)

    def to_json(self) -> dict[str, Any]:
        """JSON values of all but the arrays."""
        return {name: value for name, value in vars(self).items() if name not in (*_ARRAYS, "floors")}

    def arrays(self) -> dict[str, Array]:
        """The arrays by the names under which they are stored."""
        floors = {} if self.floors is None else {"lens_floors": self.floors}
        return {f"lens_{name}": getattr(self, name) for name in _ARRAYS} | floors

    @staticmethod
    def read(data: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Lens:
        """Read what `to_json` and `arrays` made."""
        as_tuples = {name: tuple(data[name]) for name in ("layers", "classes", "prompt", "answer")}
        spans = tuple((start, end) for start, end in data["prompt_spans"])
        stored = {name: arrays[f"lens_{name}"] for name in _ARRAYS}
        return Lens(**{**data, **as_tuples, "prompt_spans": spans, **stored}, floors=arrays.get("lens_floors"))
