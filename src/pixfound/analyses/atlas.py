"""An atlas of layers and heads: how well each points at what was asked for, while words of a kind are said.

The best of many heads is better than it is by luck. It is therefore chosen on one half of the pairs and measured on the
other, and the other way round. Beside it stand the heads that are chosen without labels (arXiv 2503.06287).

Shapes: `E` present examples, `C` kept pairs of a layer and a head (or layers), in the order of `LayerAttention`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixfound.analyses import atlas_report
from pixfound.analyses.head_maps import WORDS, HeadMaps, Word, chance, energy, head_maps, pointing
from pixfound.extractors.attention_maps import peak
from pixfound.extractors.sources.localization_heads import (
    COUNTED,
    Convention,
    HeadCriteria,
    chosen_often,
    criteria_of,
    rank_examples,
)
from pixfound.interfaces import Analysis, Model, PhraseFinder, Segmenter
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import Array, figure, minus
from pixfound.types import FloatArray, MaskKind
from pixfound.types.arguments import Fraction, NonNegative, Positive
from pixfound.types.masks import RLE, ious

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.run_data import RunData

_LEAST = 4  # pairs in a half: fewer choose a head by luck alone


@dataclass
class _Measured:
    """Of one kind of word: a line for each example. hits, energy, ious: (C,) lines; together, chance: numbers."""

    examples: list[int] = field(default_factory=list)
    hits: list[FloatArray] = field(default_factory=list)
    energy: list[FloatArray] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    ious: list[FloatArray] = field(default_factory=list)
    criteria: list[HeadCriteria] = field(default_factory=list)


class Atlas(Analysis):
    """How well each layer and head points, and how compact its map is, by kind of word and by tag; `model.keep=heads`.

    phrases, segmenter: the run's own; model: tells whether layers or heads are kept. kind: of prompt. words: the kinds
    of word, see `HeadMaps`. subtract_mean: of the answer's rows, as attend-and-segment does; spatial entropy and the
    share on the image are of the rows as they are. iou: of which words also the IoU of the segmenter's best-scored
    mask at each head's peak; it runs the segmenter once an example. convention: of localization heads. top: heads of
    each way whose overlap is counted. best: heads in the table. resamples, level, seed: of the bootstrap, clustered
    by pair, and of the halves.
    """

    def __init__(
        self,
        phrases: PhraseFinder,
        segmenter: Segmenter,
        model: Model,
        kind: MaskKind = "ground",
        words: Sequence[Word] = WORDS,
        subtract_mean: bool = True,
        iou: Sequence[Word] = ("phrase",),
        convention: Convention = "released",
        top: Positive = 3,
        best: Positive = 10,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.phrases, self.segmenter, self.model = phrases, segmenter, model
        self.kind, self.words, self.subtract_mean, self.iou = kind, tuple(words), subtract_mean, frozenset(iou)
        self.convention, self.top, self.best = convention, top, best
        self.resamples, self.level, self.seed = resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """By kind of word: figures of each head, of the best one and of all together; {} where no head was kept."""
        if not self.model.captures or self.model.keep == "mean":
            return {}
        measured = {word: _Measured() for word in self.words}
        layers, heads = tuple[int, ...](), tuple[int, ...]()
        for maps in head_maps(run, self.kind, self.phrases, self.words, self.subtract_mean):
            assert maps.generation.kept is not None
            layers, heads = maps.generation.kept.layers, maps.generation.kept.heads
            peaks = {word: self._measure(measured[word], maps, word) for word in maps.rows}
            for word, found in self._ious(maps, {word: peaks[word] for word in peaks if word in self.iou}).items():
                measured[word].ious.append(found)
        tags = [run_example.example.tags for run_example in run.examples]
        results = {
            word: self._about(of, run.scores.cluster_of, tags, layers, heads)
            for word, of in measured.items()
            if len({int(run.scores.cluster_of[e]) for e in of.examples}) >= 2 * _LEAST
        }
        if not results:
            return {}
        return {
            "kind": self.kind,
            "convention": self.convention,
            "layers": list(layers),
            "heads": list(heads),
            "level": self.level,
            "words": results,
        }

    def _measure(self, to: _Measured, maps: HeadMaps, word: Word) -> list[tuple[float, float]]:
        """Add an example's line, and return the peak of each head, (x, y) in pixels of the reduced image."""
        rows, kept = maps.rows[word], maps.generation.kept
        assert kept is not None
        heats = [maps.map(values) for values in rows]
        to.examples.append(maps.run_example.index)
        to.hits.append(np.array([pointing(heat, maps.cover) for heat in heats], dtype=np.float32))
        to.energy.append(np.array([energy(heat, maps.cover) for heat in heats], dtype=np.float32))
        to.together.append(pointing(maps.map(rows.mean(axis=0)), maps.cover))
        to.chance.append(chance(maps.cover))
        attention = maps.attention[word].reshape(*kept.rows.shape[:2], -1)
        to.criteria.append(criteria_of(maps.generation, attention, self.convention))
        return [peak(heat) for heat in heats]

    def _ious(self, maps: HeadMaps, peaks: Mapping[Word, Sequence[tuple[float, float]]]) -> Mapping[Word, FloatArray]:
        """By kind of word, (C,) IoU of the segmenter's best-scored mask at each peak."""
        if not peaks:
            return {}
        example = maps.run_example.example
        (height, width), (h, w) = maps.generation.image_size, maps.cover.shape
        places, inverse = np.unique(np.concatenate([*map(np.array, peaks.values())]), axis=0, return_inverse=True)
        points = [((x + 0.5) * width / w - 0.5, (y + 0.5) * height / h - 0.5) for x, y in places]
        (found,) = self.segmenter.point_masks([(example.image.load(), points)])
        masks = [RLE.encode(m[int(s.argmax())]) for m, s in zip(found.masks, found.scores, strict=True)]
        fits = np.array(ious(masks, example.gt_mask, example.ignore), dtype=np.float32)
        return dict(zip(peaks, fits[inverse.reshape(len(peaks), -1)], strict=True))

    def _about(
        self,
        of: _Measured,
        cluster_of: npt.NDArray[Any],
        tags: Sequence[Mapping[str, str]],
        layers: Sequence[int],
        heads: Sequence[int],
    ) -> dict[str, Any]:
        clusters, count = numbered(cluster_of[np.array(of.examples)].tolist())
        half = np.random.default_rng(self.seed).permutation(count)[clusters] % 2  # (E,) a pair lies in one half
        hits, together, level = np.array(of.hits), np.array(of.together), np.array(of.chance)
        chosen = [int(hits[half == side].mean(axis=0).argmax()) for side in (0, 1)]
        crossed = hits[np.arange(len(hits)), np.where(half == 0, chosen[1], chosen[0])]
        resampler = Resampler(count, self.resamples, self.seed)
        often = self._chosen_often(of.criteria, layers, heads) if heads else None
        named = {"best": crossed, "together": together, "chance": level}
        if often is not None:
            named["label_free"] = hits[:, int(often.argmax())]

        def estimates(which: npt.NDArray[np.bool_]) -> dict[str, Any]:
            some = {name: resampler.mean(clusters[which], values[which]) for name, values in named.items()}
            some["gain"] = minus(some["best"], some["together"])
            return {name: figure(value, self.level) for name, value in some.items()}

        values: dict[str, dict[str, list[str]]] = {}
        for example in of.examples:
            for name, value in tags[example].items():
                values.setdefault(name, {}).setdefault(value, [])
        by_tag = {
            name: {value: np.array([tags[e].get(name) == value for e in of.examples]) for value in sorted(found)}
            for name, found in values.items()
        }
        return {
            "examples": len(hits),
            **estimates(np.ones(len(hits), dtype=np.bool_)),
            "chosen": chosen,
            "stability": _rank_correlation(*(hits[half == side].mean(axis=0) for side in (0, 1))),
            "by_tag": {
                name: {value: estimates(which) for value, which in found.items()} for name, found in by_tag.items()
            },
            "table": self._table(of, half, clusters, resampler, often),
            "overlap": None if often is None else self._overlap(hits.mean(axis=0), often),
            "pointing": _rounded(hits.mean(axis=0)),
            "energy": _rounded(_means(of.energy)),
            "iou": _rounded(_means(of.ious)) if of.ious else None,
            "entropy": _rounded(_means([one.entropies.ravel() for one in of.criteria])),
            "share": _rounded(_means([one.sums.ravel() for one in of.criteria])),
            "chosen_often": None if often is None else _rounded(often),
        }

    def _chosen_often(self, found: Sequence[HeadCriteria], layers: Sequence[int], heads: Sequence[int]) -> Array:
        """(C,) share of the examples in which each head is among the most compact ones, as `pixfound-heads` counts."""
        _, rankings = rank_examples(found, self.convention)
        often = np.zeros((len(layers), len(heads)))
        for (layer, head), count in chosen_often(rankings, COUNTED[self.convention]):
            often[layers.index(layer), heads.index(head)] = count / len(found)
        return often.ravel()

    def _overlap(self, labelled: FloatArray, often: Array) -> dict[str, Any]:
        """The heads that are among the `top` by both ways, what chance gives, and the correlation of the two orders."""
        from scipy import stats

        top = min(self.top, len(often))
        free = _largest(often, top)
        both = len(set(free.tolist()) & set(_largest(labelled, top).tolist()))
        return {
            "top": top,
            "label_free": free.tolist(),
            "both": both,
            "by_chance": top * top / len(often),
            "p": float(stats.hypergeom.sf(both - 1, len(often), top, top)),
            "correlation": _rank_correlation(labelled, often),
        }

    def _table(
        self,
        of: _Measured,
        half: npt.NDArray[Any],
        clusters: npt.NDArray[Any],
        resampler: Resampler,
        often: Array | None,
    ) -> list[dict[str, Any]]:
        """The best heads of the first half, as the second half sees them."""
        hits, second = np.array(of.hits), half == 1
        seen = np.flatnonzero(second)
        means = {
            "energy": _means([of.energy[e] for e in seen]),
            "iou": _means([of.ious[e] for e in seen]) if of.ious else None,
            "entropy": _means([of.criteria[e].entropies.ravel() for e in seen]),
            "share": _means([of.criteria[e].sums.ravel() for e in seen]),
        }
        order = _largest(hits[~second].mean(axis=0), self.best)
        estimates = [resampler.mean(clusters[second], hits[second, i]) for i in order]
        return [
            {"head": int(i), "pointing": figure(estimate, self.level)}
            | {name: None if values is None else _rounded(values)[i] for name, values in means.items()}
            | {"chosen_often": None if often is None else round(float(often[i]), 5)}
            for i, estimate in zip(order, estimates, strict=True)
        ]

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """What the best head gains by kind of word and by tag, the heads without labels, and the best heads."""
        return atlas_report.sections(results)

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """For each kind of word, heat maps of pointing less chance, spatial entropy, and the share on the image."""
        return atlas_report.charts(results)


def _largest(values: FloatArray | Array, count: int) -> npt.NDArray[np.intp]:
    """Indices of the largest, of equal ones the first."""
    return np.argsort(-values, kind="stable")[:count]


def _means(lines: Sequence[FloatArray | Array]) -> Array:
    """(C,) of E lines; what is not finite is left out, and NaN where nothing is."""
    values = np.array(lines)
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan))


def _rounded(values: FloatArray | Array) -> list[float | None]:
    return [round(float(value), 5) if np.isfinite(value) else None for value in values]


def _rank_correlation(a: FloatArray | Array, b: FloatArray | Array) -> float | None:
    from scipy import stats

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(stats.spearmanr(a, b).statistic)
