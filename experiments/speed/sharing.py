"""How evenly two processes share answers of very different lengths: the slowest one's time over the mean of both.

Real processes run a real stage: batches of the embedded model's answers, whose lengths are drawn from a distribution
with a long tail and reached exactly. The baseline deals the same batches out in turn, as a distributed sampler does.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from experiments.speed.measuring import figure

from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.models.huggingface import HuggingFace
from pixfound.pipeline.distributed import World, join_world
from pixfound.pipeline.stage_loop import Budget, Task, run_stage
from pixfound.store.records import Value
from pixfound.store.store import Store
from pixfound.types import Prompt

ROOT = Path(__file__).parents[2]
PROCESSES = 2
WAYS = ("asked", "dealt")


def lengths(batches: int) -> list[int]:
    """New tokens of each batch's answers: half have about 16 or fewer, a few ten times as many."""
    drawn = np.random.default_rng(0).lognormal(np.log(16), 1.2, batches)
    return [int(length) for length in drawn.clip(2, 160)]


def measure_sharing(repeats: int, batches: int = 48) -> dict[str, Any]:
    """A row as `compare` of bench.py makes it, where lower is better and 1 is even."""
    with TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(PROCESSES)]
        line += ["-m", "experiments.speed.sharing", folder, str(repeats), str(batches)]
        subprocess.run(line, check=True, cwd=ROOT, capture_output=True)
        seconds = [json.loads((Path(folder) / f"seconds-{rank}.json").read_text()) for rank in range(PROCESSES)]
    asked, dealt = (
        [slowest_over_mean(times) for times in zip(*(s[way] for s in seconds), strict=True)] for way in WAYS
    )
    pairs = list(zip(asked, dealt, strict=True))
    return figure("slowest process, batches as asked vs dealt out", pairs, "of the mean", higher_is_better=False)


def slowest_over_mean(seconds: Sequence[float]) -> float:
    """1 where all processes take equally long."""
    return max(seconds) / (sum(seconds) / len(seconds))


def work(folder: Path, repeats: int, batches: int) -> None:
    """What each process does: both ways in turn, `repeats` times."""
    torch.set_num_threads(1)
    world = join_world(PROCESSES)
    store = Store(folder, world.rank)
    store.open({"identity": {}, "provenance": {}})
    example = PixShapes(pairs=1)[0]
    image, prompt = example.image.load(), Prompt(example.id, "open", "bench", example.question)
    model = HuggingFace("embedded:tiny_llava", dtype="float32", device="cpu")

    def answer(batch: Sequence[int]) -> list[Value]:
        speaker = copy.copy(model)  # shares the weights
        speaker.generation = {**model.generation, "max_new_tokens": batch[0], "min_new_tokens": batch[0]}
        (said,) = speaker.generate([(image, prompt)])
        assert len(said.spans) == batch[0]
        return [Value({"rank": world.rank})]

    model.loaded()
    answer([2])
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for repeat in range(repeats):
        for way, share in zip(WAYS, (world, World(world.rank, world.size)), strict=True):
            name = f"{way}{repeat}"
            tasks = [Task(store, f"{name}/{n}", "", length, n) for n, length in enumerate(lengths(batches))]
            world.meet()
            start = time.perf_counter()
            run_stage(name, partial(iter, tasks), answer, share, Budget(0))
            seconds[way].append(time.perf_counter() - start)
    (folder / f"seconds-{world.rank}.json").write_text(json.dumps(seconds))
    world.meet()
    world.close()


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
