"""The figures that metrics are made of, each a plain function of the scores that it is about.

A: accuracy of the open answers, A_dagger: of the letters; M: mean IoU of the masks under the open prompt,
M_dagger: under the grounding prompt; S: harmonic mean of the better A and the better M (arXiv 2502.04192).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import Estimate, average, harmonic, larger
from pixfound.scoring.quadrants import whole_pairs
from pixfound.scoring.table import UNKNOWN, Rows, of_kind, only
from pixfound.types import Kind

ACCURACY: tuple[tuple[str, Kind], ...] = (("A", "open"), ("A_dagger", "choice"))
MIOU: tuple[tuple[str, Kind], ...] = (("M", "open"), ("M_dagger", "ground"))
Unit = Literal["pair", "item"]
Figures = dict[str, Estimate]
Place = tuple[str, str]  # (tag, value)


def vqa_figures(answers: Rows, unit: Unit, clusters: Resampler) -> Figures:
    """A and A_dagger in the unit, both per item and per pair too, and `best`: the better of the two."""
    figures: Figures = {}
    for name, kind in ACCURACY:
        by = accuracies(answers, kind, clusters)
        figures |= {name: by[unit], f"{name}_item": by["item"], f"{name}_pair": by["pair"]}
    return {**figures, "best": larger(figures["A"], figures["A_dagger"])}


def miou_figures(masks: Rows, best_accuracy: Estimate, clusters: Resampler) -> Figures:
    """M, M_dagger and S of a row."""
    found = {name: mean_iou(masks, kind, clusters) for name, kind in MIOU}
    return {**found, "S": harmonic(best_accuracy, larger(found["M"], found["M_dagger"]))}


def accuracies(answers: Rows, kind: Kind, clusters: Resampler) -> dict[Unit, Estimate]:
    """Item and pair accuracy of one kind of answer; what is unscored, or is of a pair with an unscored, is left out."""
    scored = of_kind(answers, kind)
    scored = only(scored, scored["correct"] != UNKNOWN)
    paired = only(scored, scored["paired"])
    return {
        "item": clusters.mean(scored["cluster"], scored["correct"]),
        "pair": clusters.mean(*whole_pairs(paired["cluster"], paired["correct"])),
    }


def mean_iou(masks: Rows, kind: Kind, clusters: Resampler) -> Estimate:
    """Mean over examples of the IoU under one kind of prompt."""
    scored = of_kind(masks, kind)
    scored = only(scored, ~np.isnan(scored["iou"]))
    return clusters.mean(scored["cluster"], scored["iou"])


def shown_on_absent(masks: Rows, kind: Kind, clusters: Resampler) -> Estimate:
    """How often something is shown of an object that is not in the image."""
    absent = of_kind(masks, kind)
    known = absent[absent["absent"] & (absent["shown"] != UNKNOWN)]
    return clusters.mean(known["cluster"], known["shown"])


def pointing(masks: Rows, kind: Kind, clusters: Resampler) -> Figures | None:
    """Where the point lies, over the present objects of which a point was taken; None where there are none."""
    known = of_kind(masks, kind)
    known = known[known["on_target"] != UNKNOWN]
    if not len(known):
        return None
    on_object = known[known["on_object"] == 1]
    return {
        "on_target": clusters.mean(known["cluster"], known["on_target"]),
        "on_object": clusters.mean(known["cluster"], known["on_object"]),
        "on_target_given_object": clusters.mean(on_object["cluster"], on_object["on_target"]),
        "chance_given_object": clusters.mean(on_object["cluster"], on_object["chance"]),
    }


def by_tag(found: Mapping[Place, Figures]) -> dict[str, Any]:
    """Tag -> {"values": value -> figures, "mean": the mean of each figure over the values, each counted alike}."""
    tags: dict[str, dict[str, Figures]] = defaultdict(dict)
    for (tag, value), figures in found.items():
        tags[tag][value] = figures
    return {
        tag: {
            "values": values,
            "mean": {name: average([f[name] for f in values.values()]) for name in next(iter(values.values()))},
        }
        for tag, values in tags.items()
    }


def better(a: Estimate, b: Estimate) -> bool:
    """Whether `a` is the larger of two figures; one that was not scored never is."""
    return a.value > b.value or (math.isnan(b.value) and not math.isnan(a.value))
