"""GroundingDINO, MM-GroundingDINO, OWL-ViT and OWLv2: boxes of an expression -> the run's segmenter -> masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixfound.checkpoints.processors import missing_package
from pixfound.extractors.parsers.coordinates import Frame
from pixfound.extractors.text_prompted import Instances
from pixfound.interfaces import Segmenter
from pixfound.types import Candidate
from pixfound.types.arguments import Positive, Threshold
from pixfound.types.masks import RLE


@dataclass(eq=False)
class TextDetector(Instances):
    """Boxes from a zero-shot detector of transformers, and for each the segmenter's mask with the highest score.

    threshold: lowest confidence of a box; the default of GroundingDINO is 0.25, that of OWL-ViT and OWLv2 0.1. (The
    `text_threshold` of GroundingDINO's demos only assigns words to a box and drops no box.)
    max_boxes: keep at most this number of the most confident boxes. The other arguments are those of `Instances`;
    GroundingDINO expects a sentence: `template="{}."`.
    """

    segmenter: Segmenter
    threshold: Threshold
    max_boxes: Positive = 100

    architecture = "AutoModelForZeroShotObjectDetection"
    model_types = ("grounding-dino", "mm-grounding-dino", "owlvit", "owlv2")

    def boxes(self, image: Image.Image, outputs: Any) -> list[tuple[tuple[float, float, float, float], float]]:
        """The boxes in pixels of the image, clamped to it, with their confidence; the most confident first."""
        size = (image.height, image.width)
        (detections,) = self._weights.processor.post_process_grounded_object_detection(
            outputs, threshold=self.threshold, target_sizes=[size]
        )
        pixels = Frame((1.0, 1.0), (0.0, 0.0), size)  # clamps
        pairs = [
            (inside, score)
            for box, score in zip(detections["boxes"].tolist(), detections["scores"].tolist(), strict=True)
            for inside in pixels.boxes([tuple(box)])  # none where the box lies in the padding of the model's picture
        ]
        return sorted(pairs, key=lambda pair: -pair[1])[: self.max_boxes]

    def _look(self, image: Image.Image, text: str) -> Any:
        length = self._weights.text_length()
        try:
            inputs = self._weights.processor(
                images=image, text=[text], truncation=True, max_length=length, return_tensors="pt"
            )
        except ImportError as error:  # OWLv2 resizes with scipy where there is no torchvision
            raise missing_package(error, f"path={self._weights.path}") from error
        return self._weights.outputs(inputs)

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        boxes = self.boxes(image, outputs)
        if not boxes:
            return []
        (segmented,) = self.segmenter.box_masks([(image, [box for box, _ in boxes])])
        best = segmented.scores.argmax(axis=1)
        return [
            Candidate(RLE.encode(masks[k]), box=box, score=round(score, 6))
            for masks, k, (box, score) in zip(segmented.masks, best, boxes, strict=True)
        ]
