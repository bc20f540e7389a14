"""Localization heads: the few heads whose attention is one compact blob (arXiv 2503.06287), without labels.

The released code and the paper differ: `released` and `paper` name the two conventions. What the paper leaves open is
chosen here: the point of largest curvature is that of the sorted sums over axes scaled to 0 to 1, and cells above the
mean count.

Shapes: `L` layers, `H` heads, `N` image tokens, `R` x `C` cells.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError
from pixfound.extractors.attention_maps import cell_grid
from pixfound.extractors.sources import check_offers, head_rows
from pixfound.interfaces import MapRequest, MapSource, Model
from pixfound.io.text_files import parse_json
from pixfound.types import FloatArray, Generation, Phrase
from pixfound.types.arguments import Positive

Convention = Literal["released", "paper"]
CONVENTIONS: tuple[Convention, ...] = ("released", "paper")
Head = tuple[int, int]  # (layer, head), from 0
COUNTED: Mapping[Convention, int] = {"released": 5, "paper": 10}  # heads of an example that count
_FLOOR = 0.001  # of a cell that belongs to a component
_BOTTOM = 0.05  # a head with more in a cell of the bottom row is dropped
_FIRST_LAYER = 2  # the layers before are never taken


@dataclass(frozen=True)
class HeadCriteria:
    """What an example says of each head. sums: (L, H) attention on the image. entropies: (L, H), infinite for no blob.

    bottom: (L, H) True where a cell of the bottom row draws the attention. layers, heads: indices of the two axes.
    """

    sums: npt.NDArray[np.float64]
    entropies: npt.NDArray[np.float64]
    bottom: npt.NDArray[np.bool_]
    layers: Sequence[int]
    heads: Sequence[int]


def head_criteria(
    rows: FloatArray, grids: Sequence[Sequence[FloatArray]], layers: Sequence[int], heads: Sequence[int], by: Convention
) -> HeadCriteria:
    """The criteria of the heads of one example. rows: (L, H, N). grids: the same as cells (R, C), by layer and head.

    Sums are made as torch makes them, as equal entropies are told apart by their last digit.
    """
    import torch

    sums = np.array([[float(torch.from_numpy(row).sum()) for row in layer] for layer in rows])
    entropies = np.array([[spatial_entropy(grid, by) for grid in layer] for layer in grids])
    bottom = np.array([[bool((grid[-1] > _BOTTOM).any()) for grid in layer] for layer in grids])
    return HeadCriteria(sums, entropies, bottom, layers, heads)


def spatial_entropy(cells: FloatArray, by: Convention) -> float:
    """The entropy of a map's 8-connected components; infinite where it has none. cells: (R, C).

    paper: of their shares of the cells above the mean. released: of their shares of the attention beyond twice the
    mean, of which cells of at most .001 are in no component, so that the shares need not sum to 1; a map whose cells
    are all as low has an entropy of 0.
    """
    import torch
    from scipy.ndimage import label

    if by == "paper":
        labels, count = label(cells > cells.mean(), np.ones((3, 3)))
        areas = np.bincount(labels.ravel())[1:]
        return float(-sum(p * math.log(p) for p in areas / areas.sum())) if count else math.inf
    tensor = torch.from_numpy(np.ascontiguousarray(cells))
    beyond = torch.relu(tensor - torch.mean(tensor) * 2)
    total = float(beyond.sum().item())
    if total <= 0:
        return math.inf
    mass = beyond.numpy()
    labels, count = label(mass > _FLOOR, np.ones((3, 3)))
    shares = [mass[labels == part].sum() / total for part in range(1, count + 1)]
    return float(-sum(p * np.log(p) for p in shares)) if shares else 0.0


def elbow_by_chord(values: Iterable[float]) -> float:
    """The value farthest from the straight line between the smallest and the largest, of the sorted values."""
    y = np.sort(np.fromiter(values, np.float64))
    points = np.stack([np.arange(len(y), dtype=np.float64), y - y[0]], axis=1)
    length = np.linalg.norm(points[-1])
    if len(y) < 3 or not length:
        return float(y[0])
    along = points[-1] / length
    distances = np.linalg.norm(points - (points @ along)[:, None] * along, axis=1)
    return float(y[distances.argmax()])


def elbow_by_curvature(values: Iterable[float]) -> float:
    """The value at which the curve of the sorted values, over axes from 0 to 1, is bent the most."""
    y = np.sort(np.fromiter(values, np.float64))
    if len(y) < 3 or y[0] == y[-1]:
        return float(y[0])
    scaled = (y - y[0]) / (y[-1] - y[0])
    slope = np.gradient(scaled, 1 / (len(y) - 1))
    bend = np.abs(np.gradient(slope, 1 / (len(y) - 1))) / (1 + slope**2) ** 1.5
    return float(y[bend.argmax()])


def ranked_heads(
    criteria: HeadCriteria, by: Convention, threshold: float | None = None, min_keep: int = 1
) -> list[Head]:
    """The heads that pass, the most compact first, equal ones in order of layer and head.

    threshold: of the sums; None takes the elbow of this example. released: fewer than `min_keep` heads give way to so
    many of the largest sums, of any layer, without those that look at the bottom row.
    """
    sums = criteria.sums
    if threshold is None:
        threshold = (elbow_by_chord if by == "released" else elbow_by_curvature)(sums.ravel())
    entropies = np.where(sums < threshold, math.inf, criteria.entropies)
    bottom = criteria.bottom & (sums >= threshold) & (by == "released")
    late = np.array(criteria.layers)[:, None] >= _FIRST_LAYER
    places = np.argwhere(np.isfinite(entropies) & ~bottom & late)
    if by == "released" and len(places) < min_keep:
        places = np.argwhere(~bottom)
        places = places[np.argsort(-sums[tuple(places.T)], kind="stable")][:min_keep]
    places = places[np.argsort(entropies[tuple(places.T)], kind="stable")]
    return [(criteria.layers[layer], criteria.heads[head]) for layer, head in places]


def chosen_often(rankings: Iterable[Sequence[Head]], counted: int) -> list[tuple[Head, int]]:
    """(head, number of examples among whose first `counted` heads it is), the most frequent first.

    Of equal ones that which came up first.
    """
    return Counter(head for ranking in rankings for head in ranking[:counted]).most_common()


def rank_examples(found: Sequence[HeadCriteria], by: Convention) -> tuple[float, list[list[Head]]]:
    """The threshold of the sums, and the heads that pass for each example, the most compact first.

    released: an elbow for each example, of which the mean is returned. paper: the elbow of the mean sums, for all.
    """
    if by == "paper":
        threshold = elbow_by_curvature(np.mean([one.sums for one in found], axis=0).ravel())
        return threshold, [ranked_heads(one, by, threshold) for one in found]
    threshold = float(np.mean([elbow_by_chord(one.sums.ravel()) for one in found]))
    return threshold, [ranked_heads(one, by) for one in found]


def criteria_of(generation: Generation, rows: FloatArray, by: Convention) -> HeadCriteria:
    """The criteria of the heads of rows (L, H, N) about the image of a generation."""
    assert generation.kept is not None
    grids = [[cell_grid(row, generation.tiles, generation.image_size).cells for row in layer] for layer in rows]
    return head_criteria(rows, grids, generation.kept.layers, generation.kept.heads, by)


class LocalizationHeads(MapSource):
    """The sum of the attention of a few heads: the row of the prompt's last token, or the mean row of a phrase.

    file: heads.json of `pixfound-heads`; its `top` most frequent heads are taken. heads: (layer, head) instead, from 0.
    greedy: True takes for each map its own `top` best heads, without a file. convention: `released` or `paper`.
    Smoothing, binarising at the mean and the box are those of the extractor. Raises UserError where not exactly one of
    the three is given, and for a file of other weights.
    """

    needs = ("heads",)
    runtime_options: ClassVar[tuple[str, ...]] = ("file",)

    def __init__(
        self,
        file: str | None = None,
        heads: Sequence[tuple[int, int]] | None = None,
        greedy: bool = False,
        top: Positive = 3,
        convention: Convention = "released",
        model: Model | None = None,
    ) -> None:
        check_offers(type(self), model)
        if (file is not None) + (heads is not None) + greedy != 1:
            raise UserError(
                "localization heads: give one of file=heads.json, which pixfound-heads model=NAME writes, "
                "heads=[[LAYER,HEAD],...] and greedy=true"
            )
        self.greedy, self.top, self.convention = greedy, top, convention
        self.chosen: list[Head] = [(layer, head) for layer, head in heads or ()]
        if file is not None:
            self.chosen = _read_heads(Path(file), convention, model)[:top]

    def identity(self) -> Mapping[str, Any]:
        """The heads that were read from the file."""
        return {"heads": [list(head) for head in self.chosen]}

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase without a row, and where greedily no head passes."""
        return [[self._map(request.generation, phrase) for phrase in request.phrases] for request in requests]

    def _map(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        rows = head_rows(generation, phrase)
        if rows is None:
            return None
        assert generation.kept is not None
        chosen = self.chosen
        if self.greedy:
            chosen = ranked_heads(criteria_of(generation, rows, self.convention), self.convention)[: self.top]
        layers, heads = generation.kept.layers, generation.kept.heads
        for layer, head in chosen:
            if layer not in layers or head not in heads:
                raise UserError(f"localization heads: the model has stored no head {head} of layer {layer}")
        found = [rows[layers.index(layer), heads.index(head)] for layer, head in chosen]
        return np.sum(found, axis=0, dtype=np.float32) if found else None


def _read_heads(file: Path, convention: Convention, model: Model | None) -> list[Head]:
    """The heads of a heads.json by a convention, the most frequent first."""
    try:
        values = parse_json(file.read_text(encoding="utf-8"))
        heads = [(int(entry["layer"]), int(entry["head"])) for entry in values["conventions"][convention]["heads"]]
        weights = values["weights"]
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); pixfound-heads model=NAME writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: is no heads.json of pixfound-heads") from error
    if model is not None and json.loads(json.dumps(model.weights())) != weights:
        raise UserError(f"{file}: is of other weights than the model's; type pixfound-heads with this model")
    return heads
