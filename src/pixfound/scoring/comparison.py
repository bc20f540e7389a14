"""A row's region for an example beside the annotated one, as masks, boxes, points and instances.

Shapes: `P` predicted and `G` annotated instances, `N` points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pixfound.scoring.regions import (
    COCO_THRESHOLDS,
    Array,
    Box,
    Point,
    around,
    box_ious,
    centre,
    f1_score,
    in_box,
    mask_ious,
    true_positives,
)
from pixfound.types import Candidate, Example
from pixfound.types.masks import RLE, overlap, union


@dataclass(frozen=True)
class Comparison:
    """The prediction of a row for an example, and its ground truth.

    mask: the predicted mask, empty for nothing. chosen: the candidate that it comes from; None for none.
    missing: there was no candidate to choose from. wrong: that counts as wrong also where the object is absent.
    """

    example: Example
    mask: RLE
    chosen: Candidate | None = None
    missing: bool = False
    wrong: bool = False

    @property
    def absent(self) -> bool:
        """True if there is nothing to show."""
        return self.example.absent

    @cached_property
    def overlap(self) -> tuple[int, int]:
        """(intersection, union) in pixels, without ignored ones."""
        return overlap(self.mask, self.example.gt_mask, self.example.ignore)

    @cached_property
    def shown(self) -> bool:
        """True if any pixel is shown, or if showing nothing counts as wrong."""
        return self.mask.area > 0 or self.wrong

    @cached_property
    def masks(self) -> tuple[RLE, ...]:
        """The predicted instances; the mask itself where its parts are not kept, () where nothing is shown."""
        return tuple(mask for mask, _ in self.scored_masks)

    @cached_property
    def scored_masks(self) -> tuple[tuple[RLE, float], ...]:
        """`masks` with their scores; 1 where the source of the mask gives none."""
        parts = [(part.mask, part.score) for part in self.chosen.instances] if self.chosen else [(self.mask, None)]
        return tuple((mask, 1.0 if score is None else score) for mask, score in parts if mask.area)

    @cached_property
    def gt_masks(self) -> tuple[RLE, ...]:
        """The annotated instances; the mask itself where they are not annotated one by one, () for an absent object."""
        return () if self.absent else self.example.instances or (self.example.gt_mask,)

    @cached_property
    def written(self) -> tuple[Box, ...]:
        """The boxes that the candidate was written as, in the order of the answer."""
        return tuple(part.box for part in self.chosen.instances if part.box) if self.chosen else ()

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """The points that the candidate was written as, or came from."""
        return tuple(part.point for part in self.chosen.instances if part.point) if self.chosen else ()

    @cached_property
    def gt_boxes(self) -> tuple[Box, ...]:
        """The annotated boxes; those around the annotated instances where there are none."""
        return self.example.boxes or tuple(mask.box for mask in self.gt_masks if mask.box)

    def box_iou(self, box: Box | None) -> float:
        """IoU of a box with the one around all annotated boxes; for an absent object 1 if nothing is shown."""
        gt = around(self.gt_boxes)
        if gt is None:
            return float(box is None and not self.shown)
        return 0.0 if box is None else float(box_ious([box], [gt])[0, 0])

    def centred(self, box: Box | None) -> float:
        """1 if the centre of a box is in the one around all annotated boxes, or if there is none and nothing shown."""
        gt = around(self.gt_boxes)
        if gt is None or box is None:
            return float(gt is None and box is None and not self.shown)
        return float(in_box(centre(box), gt))

    @cached_property
    def first_written(self) -> Box | None:
        """The first box of the answer; never the one of several that fits best."""
        return self.written[0] if self.written else None

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each point lies in the annotated region."""
        return np.array([self.example.gt_mask.contains(point) for point in self.points], dtype=np.bool_)

    @cached_property
    def instance_ious(self) -> Array:
        """(P, G) IoU of each predicted with each annotated instance."""
        return mask_ious(self.masks, self.gt_masks)

    @cached_property
    def best_annotator(self) -> Comparison:
        """The prediction beside the annotator with whom it agrees most, the first of equals.

        That is one who sees nothing where nothing is shown, else the one with the highest F1 of instances, as a mean
        over .50, .55 ... .95 with 1e-4 in its denominators. Source: the oracle of SA-Co/Gold (SAM 3, arXiv 2511.16719;
        facebookresearch/sam3, sam3/eval/cgf1_eval.py).
        """
        if not self.example.other_instances:
            return self
        size = self.example.gt_mask.size
        others = [
            replace(self.example, gt_mask=union(masks, size), instances=masks, other_instances=())
            for masks in self.example.other_instances
        ]
        return max((self, *(replace(self, example=other) for other in others)), key=Comparison._agreement)

    def _agreement(self) -> float:
        if self.absent or not self.masks:
            return math.inf if self.absent and not self.shown else 0.0
        true = true_positives(self.instance_ious, COCO_THRESHOLDS)
        return float(f1_score(true, len(self.masks), len(self.gt_masks), 1e-4).mean())

    @cached_property
    def target_ious(self) -> Array:
        """(P, G) IoU of each written box, or else of the box around each instance, with each annotated box."""
        boxes = self.written or [mask.box for mask in self.masks if mask.box]
        return box_ious(boxes, self.gt_boxes)
