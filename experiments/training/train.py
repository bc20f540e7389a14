"""Train both miniature models from scratch on a CPU: `python -m experiments.training.train --out DIR`.

Writes DIR/tiny_sam and DIR/tiny_llava. `--only sam` and `--only llava` run one of them, side by side if wanted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from experiments.training import llava, sam, tower
from experiments.training.export import export
from experiments.training.questions import TRAIN_SEED
from experiments.training.words import build_processor, build_tokenizer, sample_texts

SAM_STEPS, TOWER_STEPS = 2400, 900
# Every kind of question first; then counting above all, the last to be learned, with a fresh optimiser.
PLANS = (
    llava.Plan(
        steps=600, seed=TRAIN_SEED + 2, flat=1.0,
        shares={"presence": 1.0, "state": 1.0, "size": 1.2, "shape": 1.2, "position": 1.2, "colour": 1.4, "count": 1.4},
    ),
    llava.Plan(
        steps=1700, seed=TRAIN_SEED + 3, flat=0.3,
        shares={"presence": 1.0, "state": 1.0, "size": 1.0, "shape": 1.0, "position": 1.0, "colour": 1.0, "count": 4.0},
    ),
)  # fmt: skip
T = TypeVar("T")


def main() -> None:
    """Run the stages and print the time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for tiny_sam/ and tiny_llava/")
    parser.add_argument("--only", choices=("sam", "llava"), help="train one of the two")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all steps; 0.01 tries the code out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only != "llava":
        model, images = _timed("sam", lambda: sam.train(_steps(SAM_STEPS, options.scale), TRAIN_SEED))
        export(model, images, options.out / "tiny_sam")
    if options.only != "sam":
        seeing = _timed("tower", lambda: tower.train(_steps(TOWER_STEPS, options.scale), TRAIN_SEED + 1))
        processor = build_processor(build_tokenizer(sample_texts()))
        plans = [replace(plan, steps=_steps(plan.steps, options.scale)) for plan in PLANS]
        talking = _timed("llava", lambda: llava.train(seeing, processor, plans))
        export(talking, processor, options.out / "tiny_llava")


def _steps(full: int, scale: float) -> int:
    return max(2, round(full * scale))


def _timed(name: str, stage: Callable[[], T]) -> T:
    start = time.time()
    result = stage()
    print(f"{name}: {(time.time() - start) / 60:.1f} minutes", flush=True)
    return result


if __name__ == "__main__":
    main()
