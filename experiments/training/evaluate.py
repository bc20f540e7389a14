"""All figures of the model card: `python -m experiments.training.evaluate --models DIR --out figures.json`.

Every figure is a mean with a 95 % bootstrap interval over pairs (over scenes for SAM).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from experiments.training.intervals import Item, figure
from experiments.training.measures import grounding_items, vqa_items
from experiments.training.pixel_measures import load, mask_items
from experiments.training.questions import VALIDATION_SEED
from experiments.training.sam_measures import sam_items
from transformers import (
    AutoProcessor,
    LlavaForConditionalGeneration,
    SamModel,
    SamProcessor,
)

from pixfound.benchmarks.pixshapes import PixShapes


def main() -> None:
    """Measure what is asked for and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("src/pixfound/weights"), help="tiny_sam/, tiny_llava/")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    for part in options.parts:
        items = _measure(part, options.models)
        figures[part] = {name: figure(values) for name, values in sorted(items.items())}
        for name, values in figures[part].items():
            print(f"{part} {name}: {values['mean']:.3f} [{values['low']:.3f}, {values['high']:.3f}]", flush=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


# The runs were compared by `validation` alone; the others were measured afterwards.
PARTS = ("validation", "pixshapes", "grounding", "sam", "pixel", "pixel_medium", "tiny_medium")


def _measure(part: str, folder: Path) -> dict[str, list[Item]]:
    if part == "sam":
        sam = SamModel.from_pretrained(folder / "tiny_sam").eval()
        return sam_items(sam, SamProcessor.from_pretrained(folder / "tiny_sam"))
    examples = PixShapes(level="medium") if part.endswith("_medium") else PixShapes()
    if part.startswith("pixel"):
        pixel = load(folder)
        language, processor = pixel.loaded(), pixel.processor
        looks = grounding_items(language, processor, examples) if part == "pixel" else {}
        return mask_items(pixel, examples) | vqa_items(language, processor, examples) | looks
    model = LlavaForConditionalGeneration.from_pretrained(folder / "tiny_llava").eval()
    processor = AutoProcessor.from_pretrained(folder / "tiny_llava")
    if part == "grounding":
        return grounding_items(model, processor, examples)
    return vqa_items(model, processor, PixShapes(seed=VALIDATION_SEED) if part == "validation" else examples)


if __name__ == "__main__":
    main()
