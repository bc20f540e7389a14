"""The certificate's pictures: the test images for the model, and the figure of the results."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pixfound.apps.certify.gates import Findings
from pixfound.apps.certify.probes import Probe
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.types import Example, FloatArray, ImageSource
from pixfound.types.masks import RLE

_SCALE = 4  # so that a scene of 64 pixels is worth cutting into tiles
_PANEL, _GAP, _LINE = 300, 10, 15


@dataclass(frozen=True)
class PaddedScene(ImageSource):
    """A scene, enlarged and pasted on a grey background. ground: (H, W) of that; corner: (x, y) of the scene."""

    scene: ImageSource
    ground: tuple[int, int]
    corner: tuple[int, int]

    def load(self) -> Image.Image:
        """The image as RGB."""
        scene = self.scene.load()
        large = scene.resize((scene.width * _SCALE, scene.height * _SCALE), Image.Resampling.NEAREST)
        image = Image.new("RGB", (self.ground[1], self.ground[0]), (128, 128, 128))
        image.paste(large, self.corner)
        return image

    def digest(self) -> str:
        """A hash of the scene and its position."""
        return f"{self.scene.digest()} x{_SCALE} {self.ground} {self.corner}"


def golden_examples() -> list[Example]:
    """A square, a wide and a tall image, each with an object to point at."""
    present = [example for example in PixShapes(pairs=8) if not example.absent]
    side = present[0].gt_mask.size[0] * _SCALE
    grounds = (((side, side), (0, 0)), ((side, 2 * side), (side // 2, 0)), ((2 * side, side), (0, side // 2)))
    return [_placed(example, *ground) for example, ground in zip(present, grounds, strict=False)]


def _placed(example: Example, ground: tuple[int, int], corner: tuple[int, int]) -> Example:
    mask = np.zeros(ground, dtype=np.bool_)
    large = example.gt_mask.decode().repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    mask[corner[1] : corner[1] + large.shape[0], corner[0] : corner[0] + large.shape[1]] = large
    return replace(example, image=PaddedScene(example.image, ground, corner), gt_mask=RLE.encode(mask), objects=())


def draw(findings: Findings, heat: FloatArray | None, label: str) -> Image.Image:
    """Draw the golden image, its attention, and the changed pixels of every image. heat: (H, W), the map of `label`."""
    image = findings.golden.image.load()
    panels = [(image, "golden picture")]
    if heat is not None:
        panels.append((_warm(image, heat), label))
    panels += [(_spots(picture, probes), "moved pixels, and the token found") for picture, probes in findings.probes]
    words = [f"asked: {findings.prompt}", f"answer: {findings.generation.text}"]
    words += [f"{_MARKS[gate.passed]} {gate.name}: {_number(gate.value)} {gate.limit}" for gate in findings.gates]
    lines = [line for word in words for line in textwrap.wrap(_printable(word), 150)]
    sheet = Image.new("RGB", (len(panels) * (_PANEL + _GAP) + _GAP, _PANEL + (len(lines) + 3) * _LINE + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (panel, title) in enumerate(panels):
        left = _GAP + i * (_PANEL + _GAP)
        pen.text((left, 4), title, fill="black", font=_font())
        scale = _PANEL / max(panel.size)
        small = panel.resize((max(1, round(panel.width * scale)), max(1, round(panel.height * scale))))
        sheet.paste(small, (left, _GAP + _LINE))
    for i, line in enumerate(lines):
        pen.text((_GAP, _PANEL + (i + 2) * _LINE), line, fill="black", font=_font())
    return sheet


_MARKS = {True: "passed", False: "FAILED", None: "not used"}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _warm(image: Image.Image, heat: FloatArray) -> Image.Image:
    """The image in grey with the map over it, from its minimum (transparent) to its maximum (yellow), peak circled."""
    spread = float(heat.max() - heat.min()) or 1.0
    strength = ((heat - heat.min()) / spread)[..., None]
    colour = np.concatenate([np.full_like(strength, 255), 255 * strength, np.zeros_like(strength)], axis=2)
    grey = np.repeat(np.asarray(image.convert("L"), dtype=np.float32)[..., None], 3, axis=2)
    panel = Image.fromarray(((1 - 0.8 * strength) * grey + 0.8 * strength * colour).astype(np.uint8))
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    radius = max(image.size) / 24
    box = (float(x) - radius, float(y) - radius, float(x) + radius, float(y) + radius)
    ImageDraw.Draw(panel).ellipse(box, outline="cyan", width=max(1, round(radius / 3)))
    return panel


def _spots(image: Image.Image, probes: Sequence[Probe]) -> Image.Image:
    """The image with a box around every spot, and a line from its middle to the token that changed most."""
    panel = Image.blend(image, Image.new("RGB", image.size, "white"), 0.5)
    pen = ImageDraw.Draw(panel)
    width = max(1, max(image.size) // 150)
    for probe in probes:
        colour = (30, 150, 50) if probe.hit else (210, 30, 30)
        x0, y0, x1, y1 = probe.box
        pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=width)
        middle, (x, y) = ((x0 + x1) / 2, (y0 + y1) / 2), probe.found
        pen.line((*middle, x, y), fill=colour, width=width)
        pen.ellipse((x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width), fill=colour)
    return panel


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:600]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=12)
