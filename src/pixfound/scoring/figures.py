"""The figures that metrics are made of, each a plain function of the scores that it is about, of one kind of prompt.

A: accuracy of the open answers, A_dagger: of the letters; M: mean IoU of the masks under the open prompt,
M_dagger: under the grounding prompt; S: harmonic mean of the better A and the better M (arXiv 2502.04192).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import Estimate, average, harmonic, larger
from pixfound.scoring.quadrants import whole_pairs
from pixfound.scoring.table import UNKNOWN, Rows, Table, only
from pixfound.types import Kind

Kinds = tuple[tuple[str, Kind], ...]  # of prompts, with the name of the figure under each
ACCURACY: Kinds = (("A", "open"), ("A_dagger", "choice"))
MIOU: Kinds = (("M", "open"), ("M_dagger", "ground"))
Unit = Literal["pair", "item"]
Figures = dict[str, Estimate]
Accuracies = dict[Unit, Estimate]
Place = tuple[str, str]  # (tag, value)


def vqa_figures(answered: Mapping[str, Accuracies], unit: Unit) -> Figures:
    """A and A_dagger in the unit, both per item and per pair too, and `best`: the better of the two."""
    figures: Figures = {}
    for name, by in answered.items():
        figures |= {name: by[unit], f"{name}_item": by["item"], f"{name}_pair": by["pair"]}
    return {**figures, "best": larger(figures["A"], figures["A_dagger"])}


def miou_figures(mious: Mapping[str, Estimate], best_accuracy: Estimate) -> Figures:
    """M, M_dagger and S of a row."""
    return {**mious, "S": harmonic(best_accuracy, larger(mious["M"], mious["M_dagger"]))}


def accuracies(answers: Rows, clusters: Resampler) -> Accuracies:
    """Accuracy of answers by item and by pair; what is unscored, or is of a pair with an unscored, is left out."""
    scored = only(answers, answers["correct"] != UNKNOWN)
    paired = only(scored, scored["paired"])
    return {
        "item": clusters.mean(scored["cluster"], scored["correct"]),
        "pair": clusters.mean(*whole_pairs(paired["cluster"], paired["correct"])),
    }


def accuracies_of(table: Table, clusters: Resampler) -> dict[str, Accuracies]:
    """The accuracies of all answers of a table, by the names of their figures."""
    return {name: accuracies(table.answers(kind), clusters) for name, kind in ACCURACY}


def mean_iou(masks: Rows, clusters: Resampler) -> Estimate:
    """Mean of the IoU."""
    scored = only(masks, ~np.isnan(masks["iou"]))
    return clusters.mean(scored["cluster"], scored["iou"])


def shown_on_absent(masks: Rows, clusters: Resampler) -> Estimate:
    """Share of the absent objects for which the row shows any pixel. Scores with an unknown `shown` are left out."""
    absent = masks[masks["absent"] & (masks["shown"] != UNKNOWN)]
    return clusters.mean(absent["cluster"], absent["shown"])


def pointing(masks: Rows, clusters: Resampler) -> Figures | None:
    """Position of the chosen point, over the present objects of which a point was taken; None if there are none.

    on_target, on_object: share of the points on the referred object, and on any object.
    on_target_given_object: share on the referred object, of the points on any object.
    chance_given_object: mean of `chance` over the points on any object.
    """
    pointed = masks[masks["on_target"] != UNKNOWN]
    if not len(pointed):
        return None
    on_object = pointed[pointed["on_object"] == 1]
    return {
        "on_target": clusters.mean(pointed["cluster"], pointed["on_target"]),
        "on_object": clusters.mean(pointed["cluster"], pointed["on_object"]),
        "on_target_given_object": clusters.mean(on_object["cluster"], on_object["on_target"]),
        "chance_given_object": clusters.mean(on_object["cluster"], on_object["chance"]),
    }


def by_tag(by_place: Mapping[Place, Figures]) -> dict[str, Any]:
    """Tag -> {"values": value -> figures, "mean": the mean of each figure over the values, each counted alike}."""
    tags: dict[str, dict[str, Figures]] = defaultdict(dict)
    for (tag, value), figures in by_place.items():
        tags[tag][value] = figures
    return {
        tag: {
            "values": values,
            "mean": {name: average([f[name] for f in values.values()]) for name in next(iter(values.values()))},
        }
        for tag, values in tags.items()
    }


def better(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(...) whether `a` is the larger of two figures; one that was not scored (nan) never is."""
    return (np.asarray(a) > b) | (np.isnan(b) & ~np.isnan(a))
