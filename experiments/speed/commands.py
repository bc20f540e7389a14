"""Whole commands as a user types them, start of the process included: what is kept, what is shared, what grows.

A full run asks the scaled-down LLaVA of `answering` about PixShapes. The runs over records alone read answers and masks
of another program about small black pictures, an annotated object in each.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from experiments.speed import answering
from experiments.speed.measuring import figure
from PIL import Image

from pixfound.types.masks import RLE

SIDE = 224
KINDS = ("open", "choice", "ground")
COLUMNS = ("id", "image", "question", "options", "answer", "expression", "pair_id", "annotations")
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All figures, each as soon as it is known; in seconds unless they say otherwise."""
    helped, two, selector, metric, growth, memory = ([] for _ in range(6))
    for _ in range(options.repeats):
        helped.append((run("--help")[0], run(code="import torch, transformers")[0]))
    yield figure("--help vs import of torch and transformers", helped, "s", higher_is_better=False)
    answering.save_model(folder / "llava", options.layers, options.width)
    asked = [
        f"benchmark.pairs={options.pairs}",
        "model=hf",
        f"model.path={folder / 'llava'}",
        "model.dtype=float32",
        f"model.generation.max_new_tokens={options.tokens}",
        f"+model.generation.min_new_tokens={options.least}",
    ]
    for repeat in range(options.repeats if options.repeats < 3 else 2):  # minutes each
        work = [*asked, f"outputs_dir={folder / f'one{repeat}'}"]
        one = run(*work)[0]
        side_by_side = run(*asked, f"outputs_dir={folder / f'two{repeat}'}", "launch.num_processes=2")[0]
        two.append((2 * options.pairs / side_by_side, 2 * options.pairs / one))
        selector.append((run(*work, f"extraction.selectors.similarity.threshold={0.3 + repeat / 100}")[0], one))
        metric.append((run(*work, f"scoring.resamples={500 + repeat}")[0], one))
    yield figure("two processes vs one", two, "examples/s")
    yield figure("another selector vs the full run", selector, "s", higher_is_better=False)
    yield figure("another metric vs the full run", metric, "s", higher_is_better=False)
    small, large = (recorded(folder / str(count), count) for count in (options.examples, 10 * options.examples))
    for line in (small, large):
        run(*line)
    for repeat in range(options.repeats):
        (few, few_mb), (many, many_mb) = (run(*line, f"scoring.resamples={500 + repeat}") for line in (small, large))
        growth.append((many, few))
        memory.append((many_mb, few_mb))
    again = f"scoring {10 * options.examples} examples again vs {options.examples}"
    yield figure(f"{again}, time", growth, "s", higher_is_better=False)
    yield figure(f"{again}, memory", memory, "MB", higher_is_better=False)


def run(*overrides: str, code: str | None = None) -> tuple[float, float]:
    """Seconds and peak MB of `pixfound` with these overrides, or of a line of Python."""
    line = [sys.executable, "-c", code] if code is not None else [sys.executable, "-m", "pixfound", *overrides]
    start = time.perf_counter()
    # A process starts with the peak memory of the one that makes it: a small one in between has almost none.
    done = subprocess.run([sys.executable, "-S", "-c", _MEASURED, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.perf_counter() - start, int(done.stdout.splitlines()[-1]) / (
        2**20 if sys.platform == "darwin" else 2**10
    )


def recorded(folder: Path, count: int) -> list[str]:
    """The overrides of a run over `count` examples with two masks each, whose answers and masks lie in files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures = [f"{i}.png" for i in range(count)]
    Image.new("RGB", (SIDE, SIDE)).save(folder / pictures[0])
    for name in pictures[1:]:
        (folder / name).hardlink_to(folder / pictures[0])
    outlines = [_outline(*rng.integers(10, 90, 2).tolist()) for _ in range(count)]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "segmentation": [o]} for i, o in enumerate(outlines)
    ]
    images = [{"id": i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(pictures)]
    named = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "annotations.json").write_text(json.dumps(named))
    with (folder / "questions.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for i in range(count):
            question = f"Is number {i} here?"
            table.writerow((i, pictures[i], question, "(a) yes (b) no", "ab"[i % 2], "the thing", i // 2, i))
    for kind in KINDS:
        answers = [json.dumps({"question_id": str(i), "response": "(a) yes"}) for i in range(count)]
        (folder / f"{kind}.jsonl").write_text("\n".join(answers))
        if kind != "choice":
            (folder / f"{kind}.json").write_text(json.dumps(_results(outlines, rng)))
    return [
        "benchmark=paired_coco",
        f"benchmark.annotations={folder / 'annotations.json'}",
        f"benchmark.questions={folder / 'questions.csv'}",
        f"benchmark.images={folder}",
        "model=precomputed",
        "extraction=precomputed_masks",
        f"outputs_dir={folder / 'outputs'}",
        "report.pictures=0",
        *(f"model.answers.{kind}={folder / f'{kind}.jsonl'}" for kind in KINDS),
        *(f"model.masks.{kind}={folder / f'{kind}.json'}" for kind in KINDS if kind != "choice"),
    ]


def _outline(x: int, y: int) -> list[int]:
    return [x, y, x + 100, y, x + 110, y + 90, x, y + 60]


def _results(outlines: Sequence[list[int]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Masks a few pixels beside the truth, as a COCO results file."""
    found = []
    for i, outline in enumerate(outlines):
        moved = (np.reshape(outline, (-1, 2)) + rng.integers(-9, 9, 2)).ravel().tolist()
        mask = RLE.from_polygons([moved], (SIDE, SIDE))
        found.append({"image_id": str(i), "category_id": 1, "segmentation": mask.to_json(), "score": 1.0})
    return found
