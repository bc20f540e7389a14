"""Metrics of regions as benchmarks define them, each a function of one `Comparison` under the metric's own name.

A function gives one number, or several that are added up over examples, or None for an example that is left out. Its
docstring has the formula, the source and the rule for empty cases. What was not predicted counts as the empty mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from pixfound.scoring.comparison import Comparison
from pixfound.scoring.measured import (
    Figure,
    gated,
    matthews,
    mean,
    mean_where_right,
    micro_f1,
    of_pairs,
    pairs_above,
    ratio,
    right_and,
    right_or_zero,
)
from pixfound.scoring.regions import (
    COCO_THRESHOLDS,
    Array,
    best_ious,
    boundary_f,
    centre,
    f1_score,
    mask_ious,
    suppress,
    true_positives,
)
from pixfound.types.masks import RLE

Numbers = float | Sequence[float] | None
METRICS: dict[str, tuple[Callable[..., Numbers], Figure]] = {}
_F = TypeVar("_F", bound=Callable[..., Numbers])


def _named(figure: Figure) -> Callable[[_F], _F]:
    """Enter a function of a `Comparison` in METRICS under its own name."""

    def enter(function: _F) -> _F:
        METRICS[function.__name__] = function, figure
        return function

    return enter


# Masks


@_named(mean)
def giou(c: Comparison) -> float:
    """Mean over all examples of I / U; 1 where both are empty, 0 where one is.

    Source: gIoU of gRefCOCO (GRES, CVPR 2023; henghuiding/ReLA, gres_model/evaluation/refer_evaluation.py). "Says that
    there is no target" is an empty mask here.
    """
    intersection, union_area = c.overlap
    return 0.0 if c.wrong else intersection / union_area if union_area else 1.0


@_named(mean)
def giou_eps(c: Comparison) -> float:
    """Mean over all examples of I / (U + 1e-5); 1 where both are empty. Pixels of `ignore` are in neither.

    Source: gIoU of ReasonSeg (LISA, CVPR 2024; dvlab-research/LISA, train_ds.py, validate).
    """
    intersection, union_area = c.overlap
    return intersection / (union_area + 1e-5) + float(union_area == 0 and not c.wrong)


@_named(mean)
def miou(c: Comparison) -> float | None:
    """Mean of I / U over the examples whose object is present; absent ones are left out.

    Source: RefCOCO, VizWiz-VQA-Grounding and GSEval, which have no absent objects. GSEval leaves out examples without a
    prediction: `miou:skip_missing` (hustvl/GroundingSuite, evaluate_grounding.py).
    """
    return None if c.absent else giou(c)


@_named(ratio)
def ciou(c: Comparison) -> tuple[float, float]:
    """Sum of I over sum of U, over all examples: of an absent object, the area that is shown is in U alone.

    Source: cIoU or oIoU of RefCOCO, gRefCOCO (ReLA, refer_evaluation.py) and ReasonSeg (LISA, train_ds.py).
    """
    return c.overlap


@_named(mean)
def pr(c: Comparison, threshold: float) -> float | None:
    """Share of the present objects whose mask has an IoU of at least the threshold.

    Source: Pr@0.7, 0.8 and 0.9 of gRefCOCO (ReLA, refer_evaluation.py).
    """
    return None if c.absent else float(giou(c) >= threshold)


@_named(of_pairs)
def pair(c: Comparison, threshold: float) -> float:
    """Share of the pairs both of whose members are grounded: a present object by an IoU of at least the threshold, an
    absent one by showing nothing. Examples without a partner are left out.

    It is the accuracy by pair of MMVP and PixMMVP (arXiv 2502.04192) for benchmarks that ask no question.
    """
    return float(giou(c) >= threshold)


@_named(mean)
def n_acc(c: Comparison) -> float | None:
    """Share of the absent objects for which nothing is shown: TP / (TP + FN) with "no target" as the positive class.

    Source: N-acc of gRefCOCO (ReLA, refer_evaluation.py).
    """
    return float(not c.shown) if c.absent else None


@_named(mean)
def t_acc(c: Comparison) -> float | None:
    """Share of the present objects for which something is shown, wherever: TN / (TN + FP), see `n_acc`.

    Source: T-acc of gRefCOCO (ReLA, refer_evaluation.py).
    """
    return None if c.absent else float(c.mask.area > 0)


@_named(mean)
def boundary(c: Comparison) -> float:
    """Mean of the boundary F-measure (`pixfound.scoring.regions.boundary_f`); both empty: 1, one empty: 0.

    Source: F of DAVIS 2016 and 2017 (davisvideochallenge/davis2017-evaluation, davis2017/metrics.py).
    """
    ignore = None if c.example.ignore is None else c.example.ignore.decode()
    return 0.0 if c.wrong else boundary_f(c.mask.decode(), c.example.gt_mask.decode(), ignore)


# Boxes: those around the mask, and those written in the answer


@_named(mean)
def box_iou(c: Comparison) -> float:
    """Mean IoU of the box around the mask; of an absent object 1 if nothing is shown, else 0."""
    return c.box_iou(c.mask.box)


@_named(mean)
def box_acc(c: Comparison, threshold: float) -> float:
    """Share of the examples with `box_iou` of at least the threshold (Acc@0.5 of RefCOCO)."""
    return float(c.box_iou(c.mask.box) >= threshold)


@_named(mean)
def box_macc(c: Comparison) -> float:
    """Mean of `box_acc` over .50, .55 ... .95."""
    return _macc(c.box_iou(c.mask.box))


@_named(mean)
def box_centre(c: Comparison) -> float:
    """Share of the examples where the centre of the box around the mask is in the annotated box, or both are none."""
    return c.centred(c.mask.box)


@_named(mean)
def written_box_iou(c: Comparison) -> float:
    """Mean IoU of the first box of the answer, as written; none is 0, and 1 where the object is absent and no mask is
    shown either.

    Source: IoU of GroundingME (arXiv 2512.17495) and RefCOCO, which take the reading of the coordinates that
    fits best (VLMEvalKit, vlmeval/dataset/groundingme.py; lmms-eval, tasks/refcoco_grounding). Here it is the declared
    one; extractors cut off what lies outside the image and put swapped corners in order, which the evaluators do not,
    and a box without area is no box, also where the object is absent.
    """
    return c.box_iou(c.first_written)


@_named(mean)
def written_box_acc(c: Comparison, threshold: float) -> float:
    """Share of the examples with `written_box_iou` of at least the threshold.

    Source: ACC@0.5, 0.75 and 0.9 of GroundingME and of Ref-L4, Acc@0.5 of RefCOCO and GSEval. GSEval leaves examples
    without a prediction out of the whole, `written_box_acc@0.5:skip_missing`, but not out of its classes.
    """
    return float(c.box_iou(c.first_written) >= threshold)


@_named(mean)
def written_box_macc(c: Comparison) -> float:
    """Mean of `written_box_acc` over .50, .55 ... .95.

    Source: MACC of GroundingME (lmms-eval, tasks/groundingme/utils.py), mAcc of Ref-L4.
    """
    return _macc(c.box_iou(c.first_written))


@_named(mean)
def written_box_centre(c: Comparison) -> float:
    """Share of the examples where the centre of the first written box is in the annotated box, its border included.

    Source: Center_ACC of GroundingME and RefCOCO (lmms-eval). Both none: 1; one none: 0. The evaluators take no box for
    one at the origin, whose centre lies in an annotated box that begins there; here it does not.
    """
    return c.centred(c.first_written)


@_named(mean)
def centre_in_region(c: Comparison) -> float | None:
    """Share of the present objects whose annotated mask holds the centre of the first written box, else the mask's."""
    box = c.first_written or c.mask.box
    return None if c.absent else float(box is not None and c.example.gt_mask.contains(centre(box)))


# Several boxes


@_named(mean)
def target_recall(c: Comparison) -> float:
    """Mean over the annotated boxes of the best IoU with any written box, then over examples; 0 where none is written.

    Source: mIoU of TreeBench (arXiv 2507.07999; VLMEvalKit, vlmeval/dataset/image_mcq.py, evaluate_box_iou). Boxes in
    excess cost nothing: see `target_precision`. An absent object is 1 where no box is written.
    """
    return _mean_best(c, c.target_ious)


@_named(mean)
def target_precision(c: Comparison) -> float:
    """Mean over the written boxes of the best IoU with any annotated box, then over examples; 0 where none is written.

    The reverse of `target_recall`, which boxes in excess lower.
    """
    return _mean_best(c, c.target_ious.T)


# Points


@_named(mean)
def points_first(c: Comparison) -> float | None:
    """Share of the present objects whose region holds the first point; no point is 0."""
    return None if c.absent else float(c.inside[:1].any())


@_named(mean)
def points_all(c: Comparison) -> float | None:
    """Share of the present objects whose region holds all points; no point is 0."""
    return None if c.absent else float(len(c.inside) > 0 and c.inside.all())


@_named(mean)
def points_share(c: Comparison) -> float | None:
    """Mean over the present objects of the share of points in the region; no point is 0.

    Source: accuracy of PointBench (lmms-eval, tasks/pointbench/utils.py) and of Where2Place.
    """
    return None if c.absent else float(c.inside.mean()) if len(c.inside) else 0.0


@_named(mean)
def points_strict(c: Comparison) -> float | None:
    """Share of the present objects that are pointed at: with the first point, or where the question is one of counting
    (`Example.count`, and the tag `category` is `counting` where there is one) with all points, in the right number.

    Source: binary accuracy of PointBench (lmms-eval, tasks/pointbench/utils.py, _binary_score).
    """
    counting = c.example.count is not None and c.example.tags.get("category", "counting") == "counting"
    if not counting or c.absent:
        return points_first(c)
    return float(len(c.inside) == c.example.count and points_all(c) == 1.0)


# Answer and region together


@_named(right_and)
def joint(c: Comparison, threshold: float) -> float:
    """Share of the examples that are rightly answered and whose mask has an IoU of at least the threshold.

    The answer is the one by letter, or the open one where no letter is scored.
    """
    return float(giou(c) >= threshold)


@_named(right_and)
def joint_box(c: Comparison, threshold: float) -> float:
    """Share of the examples that are rightly answered and whose first written box reaches an IoU of the threshold."""
    return float(c.box_iou(c.first_written) >= threshold)


@_named(right_or_zero)
def multihop_acc(c: Comparison) -> float:
    """`joint_box@0.5`, with the IoU rounded to four digits before it is compared; an unscored answer counts as wrong.

    Source: acc@50IoU of MultihopSpatial (arXiv 2603.18892; lmms-eval, tasks/multihopspatial/utils.py).
    """
    return float(round(c.box_iou(c.first_written), 4) >= 0.5)


@_named(mean_where_right)
def multihop_iou(c: Comparison) -> float | None:
    """Mean IoU, rounded to four digits, of the first written box over rightly answered examples that have one.

    Source: avg_iou of MultihopSpatial (lmms-eval, tasks/multihopspatial/utils.py).
    """
    return None if c.first_written is None else round(c.box_iou(c.first_written), 4)


# Instances


@_named(mean)
def instance_f1(c: Comparison, threshold: float | None = None) -> float | None:
    """Mean over the present objects of F1 of instances, matched one to one by the highest sum of IoUs (Hungarian).

    F1 = 2 TP / (P + G) at a threshold of the IoU; without one, the mean over .50, .55 ... .95. Absent objects are left
    out (`il_mcc` counts them); nothing predicted is 0.
    """
    return _instance_f1(c, c.masks, _thresholds(threshold))


@_named(mean)
def pbench_f1(c: Comparison, threshold: float | None = None) -> float | None:
    """`instance_f1` with 1e-8 in its denominators, after suppression of masks that overlap a larger one by over .5.

    Without a threshold, examples with the tag `split=dense` have .50 only. PBench's own figure is the mean of its six
    splits: `pbench_f1:mean_over_split`.
    Source: macro F1 of PBench (Falcon Perception, arXiv 2603.27365; tiiuae/Falcon-Perception, eval/metrics.py).
    """
    dense = threshold is None and c.example.tags.get("split") == "dense"
    return _instance_f1(c, suppress(c.masks, 0.5), (0.5,) if dense else _thresholds(threshold), 1e-8)


@_named(mean)
def saco_macro_f1(c: Comparison, threshold: float | None = None) -> float | None:
    """`instance_f1` with 1e-4 in its denominators.

    Source: macro F1 of SA-Co/Gold (lmms-eval, tasks/saco/utils.py), against the annotator that fits best
    (`Comparison.best_annotator`), as the three metrics below. SAM 3's own script leaves out examples for which nothing
    is shown.
    """
    return _instance_f1(c.best_annotator, c.masks, _thresholds(threshold), 1e-4)


@_named(matthews)
def il_mcc(c: Comparison) -> tuple[float, ...]:
    """Matthews correlation of "something is shown" with "the object is present"; 0 where one of them never varies.

    Source: IL-MCC of SA-Co (SAM 3, arXiv 2511.16719; lmms-eval, tasks/saco/utils.py).
    """
    c = c.best_annotator
    shown, absent = c.shown if c.absent else c.mask.area > 0, c.absent
    return tuple(map(float, (shown and not absent, not shown and absent, shown and absent, not shown and not absent)))


@_named(micro_f1)
def positive_f1(c: Comparison, threshold: float | None = None) -> tuple[float, ...]:
    """2 TP / (2 TP + FP + FN) of instances over all present objects together, at a threshold of the IoU or as the mean
    over .50, .55 ... .95.

    Source: pmF1 of SA-Co (lmms-eval, tasks/saco/utils.py). What is shown of absent objects is in `il_mcc` alone.
    SAM 3's own script has 1e-4 in the denominators of precision, recall and F1.
    """
    c = c.best_annotator
    thresholds = _thresholds(threshold)
    true = true_positives(c.instance_ious, thresholds) if not c.absent else np.zeros(len(thresholds))
    total = 0 if c.absent else len(c.masks) + len(c.gt_masks)
    return tuple(float(value) for tp in true for value in (tp, total))


@_named(gated)
def gated_f1(c: Comparison, threshold: float | None = None) -> tuple[float, ...]:
    """`positive_f1` times `il_mcc`. Source: cgF1 of SA-Co, in percent there (lmms-eval, tasks/saco/utils.py)."""
    return *il_mcc(c), *positive_f1(c, threshold)


# Pairs about one picture: an expression of an object in it, and a misleading one of something that is not


@_named(mean)
def afpr(c: Comparison, threshold: float = 0.3) -> float | None:
    """Share of the absent objects for which a mask is shown that lies on an annotated object of the picture: its IoU
    with one reaches the threshold, and its score .5 (a mask without a score has 1).

    Examples whose picture's objects are not known (`Example.objects`) are left out, here and below.
    Source: AFPR of CAFE (arXiv 2605.09591; T-S-Liang/CAFE, tools/eval_cafe_metrics.py), as the four below.
    """
    return _shown_instead(c, threshold, aligned=True) if c.absent else None


@_named(mean)
def ufpr(c: Comparison, threshold: float = 0.3) -> float | None:
    """Share of the absent objects for which masks of a score of .5 are shown, but none on an object, see `afpr`.

    Source: UFPR of CAFE.
    """
    return _shown_instead(c, threshold, aligned=False) if c.absent else None


@_named(of_pairs)
def acsr(c: Comparison, threshold: float = 0.3) -> float | None:
    """Share of the pairs whose object is not shown when it is asked for, but for the misleading expression, see `afpr`.

    Source: ACSR of CAFE.
    """
    return _shown_instead(c, threshold, aligned=True) if c.absent else 1.0 - any(_on_object(c, threshold))


@_named(of_pairs)
def ucsr(c: Comparison, threshold: float = 0.3) -> float | None:
    """Share of the pairs whose object is not shown when it is asked for, and for the misleading expression something
    elsewhere, see `ufpr`.

    Source: UCSR of CAFE, whose CSR is the sum of `acsr` and this.
    """
    return _shown_instead(c, threshold, aligned=False) if c.absent else 1.0 - any(_on_object(c, threshold))


@_named(pairs_above)
def softswap(c: Comparison) -> float:
    """Share of the pairs with a higher score for the misleading expression than for the right one, nothing being 0.

    Source: SoftSwap of CAFE.
    """
    score = max((score for _, score in c.scored_masks), default=0.0)
    return score if c.absent else -score


def _on_object(c: Comparison, threshold: float) -> list[bool]:
    """For each mask of a score of .5 or more: True where it lies on the object, or any of the picture's."""
    shown = [mask for mask, score in c.scored_masks if score >= 0.5]
    objects = c.example.objects if c.absent else (c.example.gt_mask,)
    return [bool(best >= threshold) for best in mask_ious(shown, objects).max(axis=1, initial=0.0)]


def _shown_instead(c: Comparison, threshold: float, aligned: bool) -> float | None:
    if not c.example.objects:
        return None
    on_object = _on_object(c, threshold)
    return float(any(on_object) if aligned else bool(on_object) and not any(on_object))


def _macc(value: float) -> float:
    return float(np.mean([value >= threshold for threshold in COCO_THRESHOLDS]))


def _thresholds(threshold: float | None) -> Sequence[float]:
    return COCO_THRESHOLDS if threshold is None else (threshold,)


def _mean_best(c: Comparison, matrix: Array) -> float:
    """The mean of `best_ious`; without annotated boxes, 1 if there are no written ones either."""
    if not c.gt_boxes:
        return float(not matrix.size and not (c.written or c.shown))
    return float(best_ious(matrix).mean()) if matrix.size else 0.0


def _instance_f1(c: Comparison, masks: Sequence[RLE], thresholds: Sequence[float], eps: float = 0.0) -> float | None:
    if c.absent or not masks:
        return None if c.absent else 0.0
    true = true_positives(mask_ious(masks, c.gt_masks), thresholds)
    return float(f1_score(true, len(masks), len(c.gt_masks), eps).mean())
