"""Comparison of predicted and annotated regions: boxes, points, instances, boundaries. Plain functions on values.

Shapes: `P` predicted and `G` annotated instances, `T` thresholds, `N` points, `H` x `W` image pixels. Boxes are
(x0, y0, x1, y1) and points (x, y), in pixels of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pixfound.types.masks import RLE, BoolMask, ious

Array = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]
Point = tuple[float, float]
COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # .50, .55 ... .95


def box_ious(pred: Sequence[Box], gt: Sequence[Box]) -> Array:
    """(P, G) intersection over union; 0 where the union has no area."""
    a, b = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (pred, gt))
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    areas = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (b, a)]
    union = areas[0][None, :] + areas[1][:, None] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def mask_ious(pred: Sequence[RLE], gt: Sequence[RLE]) -> Array:
    """(P, G) intersection over union of masks of equal size."""
    return np.array([ious(pred, mask) for mask in gt], dtype=np.float64).reshape(len(gt), len(pred)).T


def around(boxes: Sequence[Box]) -> Box | None:
    """The smallest box around all boxes; None for none."""
    if not boxes:
        return None
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def centre(box: Box) -> Point:
    """The point in the middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def in_box(point: Point, box: Box) -> bool:
    """True for a point inside a box or on its border."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def matched_ious(matrix: Array) -> Array:
    """(min(P, G),) the IoUs of the one-to-one assignment with the highest sum (Hungarian method). matrix: (P, G)."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(matrix, maximize=True)
    return np.asarray(matrix[rows, columns])


def true_positives(matrix: Array, thresholds: Sequence[float]) -> npt.NDArray[np.int64]:
    """(T,) number of matched pairs whose IoU reaches each threshold. matrix: (P, G)."""
    return np.asarray((matched_ious(matrix)[None, :] >= np.asarray(thresholds)[:, None]).sum(axis=1))


def f1_score(true: npt.ArrayLike, predicted: int, annotated: int, eps: float = 0.0) -> Array:
    """(...) harmonic mean of precision and recall, from the number of true positives; 0 where that is 0.

    eps: added to the denominators of precision, recall and F1, as some evaluators do.
    """
    tp = np.asarray(true, dtype=np.float64)
    if not eps:
        return np.asarray(np.divide(2 * tp, predicted + annotated, out=np.zeros_like(tp), where=tp > 0))
    precision, recall = tp / (predicted + eps), tp / (annotated + eps)
    return np.asarray(2 * precision * recall / (precision + recall + eps))


def suppress(masks: Sequence[RLE], threshold: float) -> list[RLE]:
    """Greedy non-maximum suppression of masks, the larger first; those that overlap a kept one by more IoU go."""
    areas = [mask.area for mask in masks]
    remaining, kept = [masks[i] for i in np.argsort(areas)[::-1]], list[RLE]()
    while remaining:
        kept.append(remaining[0])
        overlaps = ious(remaining[1:], remaining[0])
        remaining = [mask for mask, value in zip(remaining[1:], overlaps, strict=True) if not value > threshold]
    return kept


def best_ious(matrix: Array) -> Array:
    """(G,) the IoU of each annotated instance with the nearest predicted one; 0 of none. matrix: (P, G)."""
    return np.asarray(matrix.max(axis=0, initial=0.0))


def boundary_f(pred: BoolMask, gt: BoolMask, ignore: BoolMask | None = None, tolerance: float = 0.008) -> float:
    """Boundary F-measure of two (H, W) masks (DAVIS, Perazzi et al., CVPR 2016).

    Precision is the share of the predicted boundary's pixels with an annotated one within `tolerance` of the image's
    diagonal, rounded up to pixels; recall the reverse. Both boundaries empty: 1; one empty: 0. ignore: pixels
    that are in neither mask.
    """
    from scipy.ndimage import distance_transform_edt

    keep = True if ignore is None else ~ignore
    edges = [_edges(mask & keep) for mask in (pred, gt)]
    if not (edges[0].any() and edges[1].any()):
        return float(not (edges[0].any() or edges[1].any()))
    reach = math.ceil(tolerance * float(np.linalg.norm(pred.shape)))
    precision, recall = (
        float((distance_transform_edt(~other)[edge] <= reach).mean()) for edge, other in (edges, edges[::-1])
    )
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _edges(mask: BoolMask) -> BoolMask:
    """(H, W) pixels that differ from their neighbour to the right, below, or diagonally below to the right."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return np.asarray((mask ^ right) | (mask ^ below) | (mask ^ diagonal))


def correlation(tp: Any, tn: Any, fp: Any, fn: Any) -> Array:
    """(...) Matthews correlation coefficient of counts, or of shares of one total; nan where it is not defined."""
    tp, tn, fp, fn = (np.asarray(value, dtype=np.float64) for value in (tp, tn, fp, fn))
    scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.asarray(np.divide(tp * tn - fp * fn, scale, out=np.full_like(scale, np.nan), where=scale > 0))
