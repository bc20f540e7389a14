"""Maps scored as maps, without a segmenter: pointing game, energy in the mask, AUPRC.

Shapes: `H` x `W` image pixels, `P` present objects with a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pixfound.extractors.maps import MapExtractor
from pixfound.interfaces import Analysis
from pixfound.io.text import grid
from pixfound.pipeline.images import load
from pixfound.pipeline.run_examples import MASK_KINDS, RunExample
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import figure, minus
from pixfound.scoring.formatting import enough as shown
from pixfound.selectors.oracle import Oracle
from pixfound.types import FloatArray, Kind
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

_NAMES: Mapping[Kind, str] = {"open": "M", "ground": "M_dagger"}
_NULLS = ("uniform", "centre")
BoolArray = npt.NDArray[np.bool_]


class MapScore(NamedTuple):
    """Scores of a map against a mask, 0 to 1.

    pointing: 1 where the highest pixel is inside, the mean of equal ones. energy: share of the positive values that is
    inside. auprc: area under the precision-recall curve of the pixels (average precision).
    """

    pointing: float
    energy: float
    auprc: float


def map_score(heat: FloatArray, mask: BoolArray) -> MapScore:
    """The scores of a map (H, W) or any part of its pixels. mask: of the same shape, with a pixel inside.

    A constant map scores the mask's share of the pixels in all three.
    """
    values, inside = heat.ravel().astype(np.float64), mask.ravel()
    positive = values.clip(0, None)
    total = positive.sum()
    order = np.argsort(-values, kind="stable")
    found = np.cumsum(inside[order])
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))  # the last of equal values
    gained = np.diff(found[ends], prepend=0)
    return MapScore(
        pointing=float(inside[values == values.max()].mean()),
        energy=float(positive[inside].sum() / total if total > 0 else inside.mean()),
        auprc=float((gained * found[ends] / (ends + 1)).sum() / found[-1]),
    )


class MapScores(Analysis):
    """The scores of every map extractor's maps over present objects, beside those of two maps that know nothing.

    The map is that of the phrase which the extractor's first row without the ground truth chose; an object for which
    it chose none is left out. `uniform` is a constant map, `centre` a Gaussian in the middle of the picture, both over
    the same objects. Maps of a source that asks the model again are made anew, so that it is loaded.
    kinds: of prompts. resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        kinds: Sequence[Kind] = MASK_KINDS,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.kinds, self.resamples, self.level, self.seed = tuple(kinds), resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Extractor -> prompt (M, M_dagger) -> objects, and figures of its maps, of nulls, of differences."""
        extractors = {}
        for name, part in run.parts.extractors.items():
            rows = [r for r, (e, s) in run.parts.rows.items() if e == name and not _oracle(run, s)]
            if isinstance(part.built, MapExtractor) and rows:
                extractors[name] = part.built, rows[0]
        scored: dict[str, dict[str, _Scored]] = {
            name: {_NAMES[kind]: _Scored([], []) for kind in self.kinds} for name in extractors
        }
        for run_example in run.examples:  # in the outer loop, so that a second prompt is asked once an image
            for kind in self.kinds:
                for name, (extractor, row) in extractors.items():
                    heat = _map(run, run_example, extractor, row, kind)
                    if heat is not None:
                        scored[name][_NAMES[kind]].add(run_example, heat)
        found = {
            name: {kind: self._about(run, of) for kind, of in about.items() if of.places}
            for name, about in scored.items()
        }
        return {name: about for name, about in found.items() if about}

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """A table for each kind of prompt."""
        blocks = [
            "## Maps",
            "Present objects, no segmenter. Pointing game: the highest pixel is inside. Energy: share of the map "
            "inside. AUPRC: average precision of the pixels. `uniform` knows nothing, `centre` that objects are in the "
            "middle; in brackets intervals; the last column is AUPRC less that of `centre`.",
        ]
        for kind in dict.fromkeys(kind for about in results.values() for kind in about):
            found = {name: about[kind] for name, about in results.items() if kind in about}
            lines = []
            for name, about in found.items():
                lines.append([name, *_cells(about["map"]), shown(about["less_centre"]["auprc"]), str(about["objects"])])
            first = next(iter(found.values()))
            lines += [[f"*{null}*", *_cells(first[null]), "", str(first["objects"])] for null in _NULLS]
            title = "open prompt" if kind == "M" else "grounding prompt"
            blocks.append(grid((title, "pointing game", "energy", "AUPRC", "less centre", "objects"), lines))
        return blocks

    def _about(self, run: RunData, of: _Scored) -> dict[str, Any]:
        places, scores = of
        clusters, count = numbered(run.scores.cluster_of[np.array(places, dtype=np.int64)].tolist())
        resampler = Resampler(count, self.resamples, self.seed)
        values = np.array(scores).reshape(len(places), 3, 3)  # objects, maps, scores
        means = [[resampler.mean(clusters, values[:, m, s]) for s in range(3)] for m in range(3)]
        by_name = dict(zip(("map", *_NULLS), means, strict=True))
        for null in _NULLS:
            by_name[f"less_{null}"] = [minus(a, b) for a, b in zip(means[0], by_name[null], strict=True)]
        return {
            "objects": len(places),
            **{
                name: dict(zip(MapScore._fields, (figure(e, self.level) for e in of), strict=True))
                for name, of in by_name.items()
            },
        }


class _Scored(NamedTuple):
    """places: indices of examples. scores: of each its map's, and those of the nulls."""

    places: list[int]
    scores: list[list[MapScore]]

    def add(self, run_example: RunExample, heat: FloatArray) -> None:
        """Score the map (H, W) of an example whose object has a pixel that counts."""
        example = run_example.example
        counted = np.ones(heat.shape, np.bool_) if example.ignore is None else ~example.ignore.decode()
        mask = example.gt_mask.decode()[counted]
        if mask.any():
            self.places.append(run_example.index)
            maps = (heat, np.ones_like(heat), _centred(heat.shape))
            self.scores.append([map_score(one[counted], mask) for one in maps])


def _map(run: RunData, run_example: RunExample, extractor: MapExtractor, row: str, kind: Kind) -> FloatArray | None:
    """(H, W) the map of the phrase that a row chose for a present object; None without one."""
    chosen = None if run_example.example.absent else run.chosen(run_example, kind, row)
    generation = run.generation(run_example, kind) if chosen is not None and chosen.phrase is not None else None
    if generation is None or chosen is None or chosen.phrase is None:
        return None
    image = load(run_example.example) if extractor.source.needs_image else None
    return extractor.map_over_image(image, generation, run_example.example.expression, chosen.phrase)


def _oracle(run: RunData, selector: str) -> bool:
    return isinstance(run.parts.selectors[selector].built, Oracle)


def _centred(shape: tuple[int, int]) -> FloatArray:
    """(H, W) a Gaussian around the middle, of a standard deviation of a quarter of each side."""
    down, across = (np.exp(-0.5 * (((np.arange(n) + 0.5) / n - 0.5) * 4) ** 2) for n in shape)
    return np.asarray(np.outer(down, across), dtype=np.float32)


def _cells(figures: Mapping[str, Any]) -> list[str]:
    return [shown(figures[name]) for name in MapScore._fields]
