"""Selection of attend and segment: the phrase most similar to the referring expression (arXiv 2502.04192)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.interfaces import Model, Selector, TextVectors
from pixfound.io.surrogates import replace_surrogates
from pixfound.phrases.spacy import is_installed, load_pipeline, pipeline_version
from pixfound.types import Candidate, Choice, Example, Kind

_ARTICLES = ("the ", "an ", "a ")


class Similarity(Selector):
    """The candidate whose phrase has the highest cosine similarity to the expression.

    source: `spacy` uses a pipeline's word vectors as in arXiv 2502.04192, `model` the MLLM's own input
        embeddings, `auto` the first where the pipeline is installed and the second elsewhere; `given` uses the
        similarities stored with the candidates.
    threshold: the choice is `empty` where the best similarity is below it (the original: 0.7 with spaCy).
    floor: a phrase below it, or with NaN similarity, is never chosen (the original: 0); None for no floor.
    ties: among the masks of equally similar phrases `score` takes the segmenter's highest, `last` the last one (as the
        original).
    leading_space: look the expression up with a leading space, as in the original's table, so that its article is not
        dropped.
    """

    version = 3  # 3: the similarity is stored with the choice

    def __init__(
        self,
        model: Model,
        source: Literal["auto", "spacy", "model", "given"] = "auto",
        pipeline: str = "en_core_web_lg",
        threshold: float | None = None,
        floor: float | None = None,
        ties: Literal["score", "last"] = "score",
        leading_space: bool = False,
    ) -> None:
        self.model, self.source, self.pipeline = model, source, pipeline
        self.threshold, self.floor, self.ties, self.leading_space = threshold, floor, ties, leading_space

    def identity(self) -> Mapping[str, Any]:
        """The identity of the vectors in use; raises an error where they are not installed."""
        return {"spacy": pipeline_version(self.pipeline)} if self._source == "spacy" else {"vectors": self._source}

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The most similar candidate; `empty` where it is below the threshold.

        `about` has the similarity of a chosen one, among `scores`.
        The choice is `missing` without candidates, or where no phrase reaches the floor. Without a floor it is
        `unscored` where no candidate has a phrase, or with `source: given` a similarity: in the original, which has a
        floor, such an image counts as 0.
        """
        named = [(i, c) for i, c in enumerate(candidates) if c.phrase is not None]
        if candidates and not named and self.floor is None:
            return Choice("unscored", reason="no phrase came with the candidates")
        if not named:
            return Choice("missing", reason="no phrase")
        if self._source == "given" and self.floor is None and all(c.similarity is None for _, c in named):
            return Choice("unscored", reason="no similarity came with the candidates")
        similar = self._similarities([c for _, c in named], example.expression)
        ranks = [
            (s, *self._tie(i, c))
            for s, (i, c) in zip(similar, named, strict=True)
            if self.floor is None or s >= self.floor
        ]
        if not ranks:
            return Choice("missing", reason=f"no phrase of similarity {self.floor} or more")
        similarity, _, index = max(ranks)
        if self.threshold is not None and similarity < self.threshold:
            return Choice("empty", reason=f"similarity {similarity:.3f} is below {self.threshold}")
        about = {"scores": {"similarity": similarity}}
        return Choice("candidate", abs(index), f"similarity {similarity:.3f}", about)

    def _tie(self, index: int, candidate: Candidate) -> tuple[float, int]:
        return (candidate.score or 0.0, -index) if self.ties == "score" else (0.0, index)

    def _similarities(self, candidates: Sequence[Candidate], expression: str) -> list[float]:
        """The similarity of each candidate, from -1 to 1; a missing one counts as the lowest."""
        if self._source == "given":
            return [-1.0 if c.similarity is None else c.similarity for c in candidates]
        target = self._vector(f" {expression.strip()}" if self.leading_space else expression.strip())
        texts = [c.phrase.text.strip() for c in candidates if c.phrase is not None]
        vectors = {text: self._vector(text) for text in texts}  # the masks of a phrase share its text
        return [round(cosine(vectors[text], target), 6) for text in texts]

    def _vector(self, text: str) -> npt.NDArray[np.float32]:
        text = text.lower()
        article = next((a for a in _ARTICLES if text.startswith(a)), "")
        return self._vectors.vector(text.removeprefix(article))

    @cached_property
    def _source(self) -> str:
        if self.source != "auto":
            return self.source
        return "spacy" if is_installed(self.pipeline) else "model"

    @cached_property
    def _vectors(self) -> TextVectors:
        return _SpacyVectors(self.pipeline) if self._source == "spacy" else self.model.text_vectors()


class _SpacyVectors:
    def __init__(self, pipeline: str) -> None:
        self._nlp = load_pipeline(pipeline)

    def vector(self, text: str) -> npt.NDArray[np.float32]:
        return np.asarray(self._nlp(replace_surrogates(text)).vector, dtype=np.float32)


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Cosine similarity of two vectors (D,); 0 where one is zero. Raises FloatingPointError where one is not finite."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not np.isfinite(norm):
        raise FloatingPointError("a word vector is not finite")
    return float(a @ b) / norm if norm > 0 else 0.0
