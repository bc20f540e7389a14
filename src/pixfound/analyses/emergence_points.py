"""For one example: the phrase whose candidate fits the ground truth best, and where all phrases stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pixfound.analyses.null_models import Array, Null, length_matched, permuted, shuffled
from pixfound.analyses.phrase_position import Place, Unit, decile, original_place, place_of
from pixfound.types import Candidate, Example, Phrase
from pixfound.types.masks import ious
from pixfound.types.token_spans import Span

Ties = Literal["score", "last", "first"]
Length = Literal["answer", "original"]


@dataclass(frozen=True)
class Reading:
    """Definition of an emergence: position, length, ties and floor.

    unit, place: what a position counts, and which point of the phrase it is, its start or its middle.
    length: what the position is divided by, `answer` the whole answer, `original` what the original's meta file leaves
        of it (see `original_place`).
    ties: among candidates of equal IoU `score` takes the one with the segmenter's highest score. `last` and `first` go
        by order (the original takes the last).
    iou_floor: an example counts only where the best IoU reaches it; None has no floor, as in the original.
    """

    unit: Unit = "characters"
    place: Place = "start"
    length: Length = "answer"
    ties: Ties = "score"
    iou_floor: float | None = None


@dataclass(frozen=True)
class Emergence:
    """The best phrase of one answer among all K of it that have a candidate and a place.

    cluster: what the bootstrap draws together. places: (K,) in [0, 1). best: its index. iou: of its best candidate.
    phrase_of, ious, preference: of the candidates, for `permuted`.
    """

    example_id: str
    cluster: str
    expression: str
    text: str
    phrases: tuple[Phrase, ...]
    places: tuple[float, ...]
    best: int
    iou: float
    phrase_of: tuple[int, ...]
    ious: tuple[float, ...]
    preference: tuple[int, ...]

    def weights(self, null: Null) -> Array:
        """(K,) the probability of each phrase to be the best one under a null."""
        if null == "permuted":
            return permuted(self.phrase_of, self.ious, self.preference, len(self.phrases))
        if null == "length_matched":
            return length_matched([phrase.text for phrase in self.phrases], self.best)
        return shuffled(len(self.phrases))


def find_emergence(
    example: Example, candidates: Sequence[Candidate], text: str, tokens: Sequence[Span], reading: Reading
) -> Emergence | str:
    """The emergence of an example, or in a few words why it has none.

    candidates: in the extractor's order. text, tokens: the answer and the spans of its tokens.
    """
    if example.absent:
        return "object absent"
    if not candidates:
        return "no candidate"
    fits = ious([candidate.mask for candidate in candidates], example.gt_mask, example.ignore)
    best = _best(fits, candidates, reading.ties)
    if best is None:
        return "no candidate with a phrase"
    if reading.iou_floor is not None and fits[best] < reading.iou_floor:
        return "best IoU below the floor"
    places = {c.phrase: _place(c.phrase, text, tokens, reading) for c in candidates if c.phrase is not None}
    phrases = tuple(phrase for phrase, place in places.items() if place is not None)
    chosen = candidates[best].phrase
    if chosen not in phrases:
        return "best phrase without a place in the answer"
    indices = [i for i, c in enumerate(candidates) if c.phrase in phrases]
    order = sorted(range(len(indices)), key=lambda k: _preference(indices[k], candidates, reading.ties), reverse=True)
    number = {phrase: k for k, phrase in enumerate(phrases)}
    return Emergence(
        example_id=example.id,
        cluster=example.pair_id if example.pair_id is not None else example.id,
        expression=example.expression,
        text=text,
        phrases=phrases,
        places=tuple(place for place in places.values() if place is not None),
        best=number[chosen],
        iou=fits[best],
        phrase_of=tuple(number[p] for i in indices if (p := candidates[i].phrase) is not None),
        ious=tuple(fits[i] for i in indices),
        preference=tuple(order),
    )


def _best(fits: Sequence[float], candidates: Sequence[Candidate], ties: Ties) -> int | None:
    """The candidate of the highest IoU that has a phrase.

    One without a phrase is passed over. The original ends its search there, which comes to the same: what lacks a line
    of its meta file are the last candidates.
    """
    named = [i for i, candidate in enumerate(candidates) if candidate.phrase is not None]
    return max(named, key=lambda i: (fits[i], _preference(i, candidates, ties)), default=None)


def _preference(index: int, candidates: Sequence[Candidate], ties: Ties) -> tuple[float, int]:
    """Larger for the candidate that wins a tie."""
    if ties == "score":
        return candidates[index].score or 0.0, -index
    return 0.0, index if ties == "last" else -index


def _place(phrase: Phrase, text: str, tokens: Sequence[Span], reading: Reading) -> float | None:
    """A phrase's place in [0, 1); None where it has none."""
    if reading.length == "original":
        place = original_place(phrase, text)
    else:
        place = place_of(phrase.span, text, tokens, reading.unit, reading.place)
    return place if place is not None and decile(place) is not None else None
