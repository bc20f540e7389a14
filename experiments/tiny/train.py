"""Train both miniature models from scratch on a CPU: `python -m experiments.tiny.train --out DIR`.

Writes DIR/tiny_sam and DIR/tiny_llava. `--only sam` and `--only llava` run one of them, side by side if wanted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from experiments.tiny import llava, sam, tower
from experiments.tiny.export import export
from experiments.tiny.questions import TRAIN_SEED
from experiments.tiny.words import build_processor, build_tokenizer, sample_texts

SAM_STEPS, TOWER_STEPS = 2400, 1500
# Questions about colour (of a shape) and count compare several things: they are asked more often.
SHARES = {
    "presence": 1.0, "state": 1.0, "size": 1.2, "shape": 1.2, "position": 1.2, "colour": 1.4, "count": 1.4
}  # fmt: skip
PLAN = llava.Plan(steps=3400, seed=TRAIN_SEED + 2, images=16, shares=SHARES)
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
        plan = llava.Plan(**{**vars(PLAN), "steps": _steps(PLAN.steps, options.scale)})
        talking = _timed("llava", lambda: llava.train(seeing, processor, plan))
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
