"""An atlas of layers and heads: how well each points at what was asked for, while words of a kind are said.

The best of many heads is better than it is by luck. It is therefore chosen on one half of the pairs and measured on the
other, and the other way round.

Shapes: `E` present examples, `C` kept pairs of a layer and a head (or layers), in the order of `LayerAttention`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixfound.analyses.head_maps import WORDS, HeadMaps, Word, chance, energy, head_maps, pointing
from pixfound.extractors.attention_maps import peak
from pixfound.interfaces import Analysis, Model, PhraseFinder, Segmenter
from pixfound.io.charts import heat_map
from pixfound.io.text import escape, grid
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import Array, figure, minus
from pixfound.scoring.formatting import figure as shown
from pixfound.types import FloatArray, MaskKind
from pixfound.types.arguments import Fraction, NonNegative, Positive
from pixfound.types.masks import RLE, ious

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.run_data import RunData

_LEAST = 4  # pairs in a half: fewer choose a head by luck alone
_TITLES: Mapping[Word, str] = {
    "prompt": "last token of the prompt",
    "phrase": "noun phrases",
    "noun": "their main words",
    "modifier": "their other words",
    "other": "words outside of them",
}


@dataclass
class _Measured:
    """Of one kind of word: a line for each example. hits, energy: (C,) lines; together, chance: numbers."""

    examples: list[int] = field(default_factory=list)
    hits: list[FloatArray] = field(default_factory=list)
    energy: list[FloatArray] = field(default_factory=list)
    together: list[float] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    ious: list[FloatArray] = field(default_factory=list)


class Atlas(Analysis):
    """Pointing game and energy in the mask of each layer and head, by kind of word and by tag; for `model.keep=heads`.

    phrases, segmenter: the run's own; model: tells whether layers or heads are kept. kind: of prompt. words: the kinds
    of word, see `HeadMaps`. subtract_mean: of the answer's rows, as attend-and-segment does. iou: also the IoU of the
    segmenter's best-scored mask at each head's peak, for the kind `phrase`; it runs the segmenter once an example.
    best: heads in the table. resamples, level, seed: of the bootstrap, clustered by pair, and of the halves.
    """

    def __init__(
        self,
        phrases: PhraseFinder,
        segmenter: Segmenter,
        model: Model,
        kind: MaskKind = "ground",
        words: Sequence[Word] = WORDS,
        subtract_mean: bool = True,
        iou: bool = True,
        best: Positive = 10,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.phrases, self.segmenter, self.model = phrases, segmenter, model
        self.kind, self.words, self.subtract_mean, self.iou, self.best = kind, tuple(words), subtract_mean, iou, best
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
            for word, rows in maps.rows.items():
                self._measure(measured[word], maps, word, rows)
        tags = [run_example.example.tags for run_example in run.examples]
        results = {
            word: self._about(of, run.scores.cluster_of, tags)
            for word, of in measured.items()
            if len({int(run.scores.cluster_of[e]) for e in of.examples}) >= 2 * _LEAST
        }
        if not results:
            return {}
        return {"kind": self.kind, "layers": list(layers), "heads": list(heads), "level": self.level, "words": results}

    def _measure(self, to: _Measured, maps: HeadMaps, word: Word, rows: FloatArray) -> None:
        """Add an example's line. rows: (C, N)."""
        heats = [maps.map(values) for values in rows]
        to.examples.append(maps.run_example.index)
        to.hits.append(np.array([pointing(heat, maps.cover) for heat in heats], dtype=np.float32))
        to.energy.append(np.array([energy(heat, maps.cover) for heat in heats], dtype=np.float32))
        to.together.append(pointing(maps.map(rows.mean(axis=0)), maps.cover))
        to.chance.append(chance(maps.cover))
        if self.iou and word == "phrase":
            to.ious.append(self._ious(maps, [peak(heat) for heat in heats]))

    def _ious(self, maps: HeadMaps, peaks: Sequence[tuple[float, float]]) -> FloatArray:
        """(C,) IoU of the segmenter's best-scored mask at each peak, (x, y) in pixels of the reduced image."""
        example = maps.run_example.example
        (height, width), (h, w) = maps.generation.image_size, maps.cover.shape
        places, inverse = np.unique(np.array(peaks), axis=0, return_inverse=True)
        points = [((x + 0.5) * width / w - 0.5, (y + 0.5) * height / h - 0.5) for x, y in places]
        (found,) = self.segmenter.point_masks([(example.image.load(), points)])
        masks = [RLE.encode(m[int(s.argmax())]) for m, s in zip(found.masks, found.scores, strict=True)]
        fits = np.array(ious(masks, example.gt_mask, example.ignore), dtype=np.float32)
        return np.asarray(fits[inverse.reshape(-1)])

    def _about(self, of: _Measured, cluster_of: npt.NDArray[Any], tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        clusters, count = numbered(cluster_of[np.array(of.examples)].tolist())
        half = np.random.default_rng(self.seed).permutation(count)[clusters] % 2  # (E,) a pair lies in one half
        hits, together, level = np.array(of.hits), np.array(of.together), np.array(of.chance)
        chosen = [int(hits[half == side].mean(axis=0).argmax()) for side in (0, 1)]
        crossed = hits[np.arange(len(hits)), np.where(half == 0, chosen[1], chosen[0])]
        resampler = Resampler(count, self.resamples, self.seed)

        def estimates(which: npt.NDArray[np.bool_]) -> dict[str, Any]:
            some = {
                name: resampler.mean(clusters[which], values[which])
                for name, values in (("best", crossed), ("together", together), ("chance", level))
            }
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
            "pointing": [round(float(value), 5) for value in hits.mean(axis=0)],
            "energy": [_rounded(value) for value in _means(np.array(of.energy))],
            "iou": [round(float(value), 5) for value in np.array(of.ious).mean(axis=0)] if of.ious else None,
        }

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """What the best head gains by kind of word and by tag, and the best heads."""
        blocks = [
            "## Atlas of layers and heads",
            f"Present objects, prompt {results['kind']}. Pointing: how often the highest point of a map lies on the "
            "object. Best head: chosen on one half of the pairs and measured on the other, both ways. All together: "
            "the mean of all heads. Stability: Spearman's correlation of the heads' pointing in the two halves.",
            grid(
                ("while it says", "examples", "best head", "all together", "gain", "by chance", "stability"),
                [
                    [
                        _TITLES[word],
                        str(r["examples"]),
                        *(shown(r[name]) for name in ("best", "together", "gain", "chance")),
                        "-" if r["stability"] is None else f"{r['stability']:.2f}",
                    ]
                    for word, r in results["words"].items()
                ],
            ),
        ]
        for word, r in results["words"].items():
            if word == "phrase" or len(results["words"]) == 1:
                blocks += [f"The best heads over all pairs, {_TITLES[word]}:", grid(*self._table(results, r))]
                for name, found in r["by_tag"].items():
                    lines = [
                        [escape(value), *(shown(f[key]) for key in ("best", "together", "gain", "chance"))]
                        for value, f in found.items()
                    ]
                    blocks.append(grid((escape(name), "best head", "all together", "gain", "by chance"), lines))
        return blocks

    def _table(self, results: Mapping[str, Any], r: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
        names = list(_names(results))
        order = np.argsort([-value for value in r["pointing"]], kind="stable")[: self.best]
        columns = [key for key in ("pointing", "energy", "iou") if r[key]]
        lines = [
            [names[i], *("-" if r[key][i] is None else f"{100 * r[key][i]:.1f}" for key in columns)] for i in order
        ]
        return ["layer, head", *("IoU" if key == "iou" else key for key in columns)], lines

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """A map of layers and heads for each kind of word: pointing less chance."""
        width = len(results["heads"]) or 1
        return {
            f"atlas_{word}": heat_map(
                f"Pointing while it says {_TITLES[word]}, less chance",
                [f"layer {layer}" for layer in results["layers"]],
                [str(head) for head in results["heads"]] or ["mean"],
                100 * (np.array(r["pointing"]).reshape(-1, width) - r["chance"]["value"]),
                "percentage points",
            )
            for word, r in results["words"].items()
        }


def _names(results: Mapping[str, Any]) -> Iterator[str]:
    for layer in results["layers"]:
        for head in results["heads"] or (None,):
            yield f"{layer}" if head is None else f"{layer}, {head}"


def _means(values: FloatArray) -> Array:
    """(C,) of (E, C), NaN left out."""
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan))


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def _rank_correlation(a: FloatArray, b: FloatArray) -> float | None:
    from scipy import stats

    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(stats.spearmanr(a, b).statistic)
