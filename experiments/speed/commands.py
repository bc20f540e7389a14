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
ROWS = 10
LIMIT_MB = 4096
LINEAR = 13  # times as long, where there are ten times as many examples: caches hold less of them
COLUMNS = ("id", "image", "question", "options", "answer", "expression", "pair_id", "annotations")
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measure(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All figures, each as soon as it is known; in seconds unless they say otherwise."""
    helped, two, selector, metric = ([] for _ in range(4))
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


def measure_scale(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Scoring of ten times `options.examples` examples with three prompts and ten rows, against `options.examples`.

    The first run fills the records. AssertionError where the large run takes more than 4 GB, or more than linear time.
    """
    small, large = (recorded(folder / str(count), count) for count in (options.examples, 10 * options.examples))
    first, again, memory = [], [], []
    for seed in range(ROWS - 3):  # masks, empty and full are there
        random = f"{{_target_: pixfound.selectors.simple.RandomCandidate, seed: {seed}}}"
        for line in (small, large):
            line += [f"+extraction.selectors.random{seed}={random}"]
            line += [f"+extraction.rows.random{seed}={{extractor: masks, selector: random{seed}}}"]
    few, many = run(*small), run(*large)
    first.append((many[0], few[0]))
    memory.append((many[1], few[1]))
    (few, few_mb), (many, many_mb) = (run(*line, "scoring.resamples=2001") for line in (small, large))
    again.append((many, few))
    memory.append((many_mb, few_mb))
    what = f"{10 * options.examples} examples, {ROWS} rows, vs {options.examples}"
    yield figure(f"{what}: first run", first, "s", higher_is_better=False)
    yield figure(f"{what}: scoring again", again, "s", higher_is_better=False)
    yield figure(f"{what}: peak memory", memory, "MB", higher_is_better=False)
    assert max(mb for mb, _ in memory) < LIMIT_MB, memory
    assert max(many / few for many, few in (*first, *again)) < LINEAR, (first, again)


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
