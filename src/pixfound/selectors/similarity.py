"""Attend and segment's own choice: the phrase that means the same as the referring expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError
from pixfound.interfaces import Model, TextVectors
from pixfound.phrases.spacy import is_installed, load_pipeline, pipeline_version
from pixfound.types import Candidate, Choice, Example

_ARTICLES = ("the ", "an ", "a ")


class Similarity:
    """The candidate whose phrase has the highest cosine similarity to the expression.

    source: `spacy` uses a pipeline's word vectors as in arXiv 2502.04192, `model` the MLLM's own input
        embeddings, `auto` the first where the pipeline is installed and the second elsewhere; `given` the similarities
        that came with the candidates.
    threshold: nothing is shown where the best similarity is below it (the original: 0.7 with spaCy).
    Among the masks of the best phrase the segmenter's highest score wins.
    """

    def __init__(
        self,
        model: Model,
        source: Literal["auto", "spacy", "model", "given"] = "auto",
        pipeline: str = "en_core_web_lg",
        threshold: float | None = None,
    ) -> None:
        if source not in ("auto", "spacy", "model", "given"):
            raise UserError(f"similarity source={source}: valid values are auto, spacy, model and given")
        self.model, self.source, self.pipeline, self.threshold = model, source, pipeline, threshold

    def identity(self) -> Mapping[str, Any]:
        """Which vectors are really used; an error where they are not installed."""
        return {"spacy": pipeline_version(self.pipeline)} if self._source == "spacy" else {"vectors": self._source}

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """The most similar candidate; nothing where there is none, or none is similar enough."""
        named = [(i, c) for i, c in enumerate(candidates) if c.phrase is not None]
        if not named:
            return Choice("empty", reason="no phrase")
        if self._source == "given" and all(c.similarity is None for _, c in named):
            return Choice("unscored", reason="no similarity came with the candidates")
        similar = self._similarities([c for _, c in named], example.expression)
        ranks = [(s, c.score or 0.0, -i) for s, (i, c) in zip(similar, named, strict=True)]
        similarity, _, index = max(ranks)
        if self.threshold is not None and similarity < self.threshold:
            return Choice("empty", reason=f"similarity {similarity:.3f} is below {self.threshold}")
        return Choice("candidate", -index, f"similarity {similarity:.3f}")

    def _similarities(self, candidates: Sequence[Candidate], expression: str) -> list[float]:
        """From -1 to 1 for each; one that was not given counts as the lowest."""
        if self._source == "given":
            return [-1.0 if c.similarity is None else c.similarity for c in candidates]
        target = self._vector(expression)
        return [round(cosine(self._vector(c.phrase.text), target), 6) for c in candidates if c.phrase is not None]

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        text = text.strip().lower()
        article = next((a for a in _ARTICLES if text.startswith(a)), "")
        return self._vectors.vector(text.removeprefix(article))

    @cached_property
    def _source(self) -> str:
        if self.source != "auto":
            return self.source
        return "spacy" if is_installed(self.pipeline) else "model"

    @cached_property
    def _vectors(self) -> TextVectors:
        return _SpacyVectors(self.pipeline) if self._source == "spacy" else self.model.vectors()


class _SpacyVectors:
    def __init__(self, pipeline: str) -> None:
        self._nlp = load_pipeline(pipeline)

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        return np.asarray(self._nlp(text).vector, dtype=np.float32)


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Cosine similarity of two vectors (D,); 0 where one of them is zero."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0
