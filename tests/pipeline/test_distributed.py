"""Work is shared as it is asked for: real processes, and work of very unequal length."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pixfound.pipeline.distributed import World, join_world
from pixfound.pipeline.stage_loop import Budget, Task, Value, run_stage
from pixfound.store.store import Store
from tests.support.forked import ranks


def share(folder: Path) -> None:
    """The work of each of the two processes: every other piece takes ten times as long, so that dealt out in turn one
    would do all of those."""
    world = join_world(None)
    store = Store(folder, world.rank)
    store.open({"identity": {}, "provenance": {}})
    world.meet()
    seconds = [0.02 if n % 2 else 0.2 for n in range(24)]
    start = time.perf_counter()

    def compute(batch: Any) -> list[Value]:
        time.sleep(seconds[batch[0]])
        return [Value({"rank": world.rank})]

    for stage in ("first", "second"):
        tasks = [Task(store, f"{stage}{n}", "d", n, n) for n in range(24)]
        run_stage(stage, lambda tasks=tasks: tasks, compute, world, Budget(0))  # type: ignore[misc]
    (folder / f"busy-{world.rank}.json").write_text(json.dumps(time.perf_counter() - start))
    world.meet()
    world.close()


def talk(folder: Path) -> None:
    """The same of a machine with a single GPU, which both share: what torch says of it is stood in for."""
    torch.cuda.is_available, torch.cuda.device_count = (lambda: True), (lambda: 1)
    world = join_world(2)
    taken = [*world.claim("stage", 5)]
    text = f"{world.least(3 + world.rank)} {torch.distributed.get_backend()} {taken}"
    (folder / f"{world.rank}.txt").write_text(text)
    world.meet()
    world.close()


def test_two_processes_share_unequal_work_evenly_and_completely(tmp_path: Path) -> None:
    ranks(2, lambda: share(tmp_path))
    lines = [json.loads(text) for path in tmp_path.glob("journal-*.jsonl") for text in path.read_text().splitlines()]
    assert sorted(line["key"] for line in lines) == sorted(f"{s}{n}" for s in ("first", "second") for n in range(24))
    busy = [json.loads((tmp_path / f"busy-{rank}.json").read_text()) for rank in range(2)]
    # In turn it would be 4.8 s against 0.48 s. The last piece may leave one idle, hence not to the last digit.
    assert max(busy) / (sum(busy) / 2) < 1.25, busy


def test_processes_talk_over_gloo_where_there_are_gpus_too(tmp_path: Path) -> None:
    ranks(2, lambda: talk(tmp_path))
    told = [(tmp_path / f"{rank}.txt").read_text().split(maxsplit=2) for rank in range(2)]
    assert [(least, backend) for least, backend, _ in told] == [("3", "gloo")] * 2
    assert sorted(number for *_, taken in told for number in json.loads(taken)) == list(range(5))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_without_a_counter_numbers_are_dealt_out_in_turn(size: int) -> None:
    dealt = [list(World(rank, size).claim("stage", 7)) for rank in range(size)]
    assert sorted(number for numbers in dealt for number in numbers) == list(range(7))
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
