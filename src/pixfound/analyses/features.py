"""Features of an answer's phrases, as numbers: their means are compared with nulls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pixfound.analyses.concepts import CONCEPTS, Concept, concepts_by_rules
from pixfound.analyses.emergence_points import Emergence
from pixfound.analyses.null_models import Array
from pixfound.analyses.phrase_position import decile
from pixfound.analyses.wording import compare
from pixfound.interfaces import PhraseFinder

PLACE = "place"
DECILES = tuple(f"decile {d}" for d in range(10))
WORDINGS = ("other_words", "other_head", "no_shared_word")
ABOUT = (*CONCEPTS, "no_object")  # the last one: about anything but objects


def features(emergence: Emergence, phrases: PhraseFinder, concepts: bool) -> Array:
    """(K, F) PLACE, DECILES, WORDINGS and, if asked for, ABOUT by rules, of each phrase with a candidate.

    phrases: finds the main word of the referring expression.
    """
    heads = phrases.phrases(emergence.expression)
    rows = []
    for phrase, place in zip(emergence.phrases, emergence.places, strict=True):
        wording, tenth = compare(phrase, emergence.expression, heads), decile(place)
        rows.append(
            [
                place,
                *(tenth == d for d in range(10)),
                *(getattr(wording, name) for name in WORDINGS),
                *(flags(concepts_by_rules(phrase, emergence.text)) if concepts else ()),
            ]
        )
    return np.array(rows, dtype=np.float64)


def flags(concepts: Sequence[Concept]) -> list[float]:
    """A 0 or 1 for each of ABOUT."""
    return [*(float(concept in concepts) for concept in CONCEPTS), float("object" not in concepts)]
