"""What the tests of models that are prompted with a text share: an image, a segmenter of boxes, arithmetic in numpy."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pixfound.extractors.clipseg import ClipSeg
from pixfound.extractors.detector import TextDetector
from pixfound.extractors.sam3_concept import Sam3Concept
from pixfound.interfaces import Segmenter, SegmenterMasks
from pixfound.types import Generation

HEIGHT, WIDTH = 45, 91
SAID = Generation("", (HEIGHT, WIDTH))
EXPRESSION = " The red cat's left ear. "
TEXT = "the red cat's left ear"
DETECTORS = {
    "grounding_dino": ("GroundingDinoForObjectDetection", "{}."),
    "mm_grounding_dino": ("MMGroundingDinoForObjectDetection", "{}."),
    "owlv2": ("Owlv2ForObjectDetection", "{}"),
    "owlvit": ("OwlViTForObjectDetection", "{}"),
}


def noise():
    """A picture of (HEIGHT, WIDTH) with something everywhere."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT // 9, WIDTH // 7, 3), dtype=np.uint8)
    return Image.fromarray(pixels.repeat(9, axis=0).repeat(7, axis=1))


class BoxSegmenter(Segmenter):
    """Draws each box twice: whole (score 0.8), and its left top pixel (score 0.3). Keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def box_masks(self, requests):
        return (self._boxes(image, boxes) for image, boxes in requests)

    def _boxes(self, image, boxes):
        self.asked.append(list(boxes))
        masks = np.zeros((len(boxes), 2, image.height, image.width), bool)
        for i, (x0, y0, x1, y1) in enumerate(boxes):
            masks[i, 0, int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
            masks[i, 1, int(y0), int(x0)] = True
        return SegmenterMasks(masks, np.tile(np.array([0.8, 0.3], np.float32), (len(boxes), 1)))


def extractors(folders, **given):
    """One of each family."""
    given = {"threshold": 0.1, **given}
    made = {name: TextDetector(str(folders[name]), BoxSegmenter(), **given) for name in DETECTORS}
    made["clipseg"] = ClipSeg(str(folders["clipseg"]), **given)
    made["sam3_concept"] = Sam3Concept(str(folders["sam3_concept"]), **given)
    return made


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))


def bilinear(small, size):
    """An (h, w) array at (H, W), with pixels whose middles are samples; values beyond the edge are the edge's."""

    def places(old, new):
        at = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    y0, y1, fy = places(small.shape[0], size[0])
    x0, x1, fx = places(small.shape[1], size[1])
    rows = small[y0] * (1 - fy)[:, None] + small[y1] * fy[:, None]
    return rows[:, x0] * (1 - fx) + rows[:, x1] * fx
