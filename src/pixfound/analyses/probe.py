"""A linear probe: the most that the kept attention tells about where the object is. It is trained on masks.

Shapes: `C` kept pairs of a layer and a head, `N` image tokens, `S` sampled tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from pixfound.analyses.head_maps import HeadMaps, Word, chance, energy, head_maps, pointing
from pixfound.interfaces import Analysis, Model, PhraseFinder
from pixfound.io.text import grid
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import Array, figure, minus
from pixfound.scoring.formatting import figure as shown
from pixfound.types import FloatArray, MaskKind
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

_SAMPLED = 96  # tokens of an example that are fitted, those on the object first


class Probe(Analysis):
    """Logistic regression over the kept heads, fitted on the pairs of other folds; its rows are called `trained`.

    An image token is on the object where the object covers half of its cell. Inputs are the token's attention by each
    layer and head, relative to an even spread over the image and standardised.
    phrases, model: the run's own. kind: of prompt. word: the tokens whose rows are read, see `HeadMaps`.
    subtract_mean: as in attend-and-segment. folds: groups of pairs. penalty: of the squared weights, per example.
    resamples, level, seed: of the bootstrap, clustered by pair, and of the folds.
    """

    def __init__(
        self,
        phrases: PhraseFinder,
        model: Model,
        kind: MaskKind = "ground",
        word: Word = "phrase",
        subtract_mean: bool = True,
        folds: Annotated[int, Ge(2)] = 5,
        penalty: Annotated[float, Ge(0)] = 1e-3,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.phrases, self.model = phrases, model
        self.kind, self.word, self.subtract_mean, self.folds, self.penalty = kind, word, subtract_mean, folds, penalty
        self.resamples, self.level, self.seed = resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Pointing, energy and IoU of the probe's maps and of the mean over all heads; {} where no head was kept."""
        if not self.model.captures or self.model.keep == "mean":
            return {}
        examples = [
            (maps, maps.rows[self.word], maps.cells())
            for maps in head_maps(run, self.kind, self.phrases, (self.word,), self.subtract_mean)
        ]
        if not examples:
            return {}
        clusters, count = numbered(run.scores.cluster_of[[m.run_example.index for m, _, _ in examples]].tolist())
        if count < 2 * self.folds:
            return {}
        fold = np.random.default_rng(self.seed).permutation(count)[clusters] % self.folds
        samples = [_sample(rows, cells) for _, rows, cells in examples]
        lines = np.empty((len(examples), 6))
        for held in range(self.folds):
            weights = fit([s for s, f in zip(samples, fold, strict=True) if f != held], self.penalty)
            for place in np.flatnonzero(fold == held):
                maps, rows, _ = examples[place]
                lines[place] = _line(maps, rows, weights)
        resampler = Resampler(count, self.resamples, self.seed)

        def mean(column: int) -> Any:
            known = np.isfinite(lines[:, column])
            return resampler.mean(clusters[known], lines[known, column])

        names = ("pointing", "energy")
        trained, plain = ([mean(start + i) for i in range(2)] for start in (0, 2))
        return {
            "examples": len(examples),
            "word": self.word,
            "kind": self.kind,
            "trained": {name: figure(value, self.level) for name, value in zip(names, trained, strict=True)}
            | {"iou": figure(mean(4), self.level)},
            "mean_of_heads": {name: figure(value, self.level) for name, value in zip(names, plain, strict=True)},
            "difference": {
                name: figure(minus(a, b), self.level) for name, a, b in zip(names, trained, plain, strict=True)
            },
            "chance": figure(mean(5), self.level),
        }

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """One table."""
        by = {"probe (trained)": "trained", "mean of all heads": "mean_of_heads", "difference": "difference"}
        names = ("pointing", "energy", "iou")
        lines = [
            [title, *(shown(results[key][name]) if name in results[key] else "-" for name in names)]
            for title, key in by.items()
        ]
        lines.append(["by chance", shown(results["chance"]), shown(results["chance"]), "-"])
        return [
            "## Probe (trained)",
            "A logistic regression over the kept layers and heads, trained on the masks of other pairs "
            f"({self.folds} folds), {results['examples']} present objects: the most that attention tells linearly. "
            "Pointing: the highest point lies on the object. Energy: share of the map on it. IoU: of the pixels that "
            "the probe calls the object's.",
            grid(("", "pointing", "energy", "IoU"), lines),
        ]


def inputs(rows: FloatArray) -> Array:
    """(N, C) inputs of the regression from (C, N) attention, relative to an even spread over the image."""
    return np.asarray(rows.T * rows.shape[1], dtype=np.float64)


def _sample(rows: FloatArray, cells: FloatArray) -> tuple[Array, npt.NDArray[np.bool_]]:
    """(S, C) inputs and (S,) labels of an example's tokens: those on the object, and others evenly."""
    known = np.flatnonzero(np.isfinite(cells))
    on = cells[known] >= 0.5
    objects, others = known[on][: _SAMPLED // 2], known[~on]
    others = others[np.linspace(0, len(others) - 1, min(len(others), _SAMPLED - len(objects))).round().astype(int)]
    chosen = np.concatenate([objects, others])
    return inputs(rows)[chosen], np.isin(chosen, objects)


def fit(samples: Sequence[tuple[Array, npt.NDArray[np.bool_]]], penalty: float) -> tuple[Array, Array, Array]:
    """(mean (C,), scale (C,), weights (C + 1,) with the bias last) of the regression; both classes weigh the same."""
    from scipy.optimize import minimize
    from scipy.special import expit

    x = np.concatenate([values for values, _ in samples])
    y = np.concatenate([labels for _, labels in samples]).astype(np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-12
    x = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    share = y.mean().clip(1e-6, 1 - 1e-6)
    each = np.where(y > 0, 0.5 / share, 0.5 / (1 - share)) / len(y)
    ridge = np.append(np.full(x.shape[1] - 1, penalty), 0.0)

    def loss(weights: Array) -> tuple[float, Array]:
        logits = x @ weights
        value = (each * (np.logaddexp(0, logits) - y * logits)).sum() + 0.5 * (ridge * weights**2).sum()
        return float(value), x.T @ (each * (expit(logits) - y)) + ridge * weights

    weights: Array = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    return mean, scale, weights


def _line(maps: HeadMaps, rows: FloatArray, fitted: tuple[Array, Array, Array]) -> Array:
    """Pointing and energy of the probe, those of the mean over heads, IoU of the probe's mask, chance."""
    from scipy.special import expit

    mean, scale, weights = fitted
    logits = ((inputs(rows) - mean) / scale) @ weights[:-1] + weights[-1]
    heat = maps.map(expit(logits).astype(np.float32))
    plain = maps.map(rows.mean(axis=0))
    said, cover = heat > 0.5, maps.cover
    either = np.where(said, 1.0, cover).sum()
    iou = float(cover[said].sum() / either) if either else 0.0
    seen = [pointing(heat, cover), energy(heat, cover), pointing(plain, cover), energy(plain, cover)]
    return np.array([*seen, iou, chance(cover)])
