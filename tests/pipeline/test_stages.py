"""How tasks are put together into batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pixfound.pipeline.stages import Item, generate_tasks
from pixfound.pipeline.store import Store
from pixfound.types import KINDS, Prompt
from tests.support.examples import drawn, make_example


def item(index: int, rows: int, image: str, words: int = 1) -> Item:
    """An example of `rows` x 4 pixels about the image with this digest."""
    example = make_example(drawn(*["...."] * rows), id=str(index))
    prompts = {kind: Prompt(str(index), kind, "v", "word " * words) for kind in KINDS}
    return Item(index, example, prompts, image)


def batches(items: list[Item], batch_size: int, folder: Path) -> list[list[int]]:
    """The numbers of the examples of each batch."""
    found: dict[object, list[int]] = {}
    for task in generate_tasks(items, Store(folder), batch_size):
        found.setdefault(task.batch, []).append(task.payload[0].index)
    return [sorted(set(numbers)) for numbers in found.values()]


def test_examples_about_one_image_and_of_like_lengths_go_together(tmp_path: Path) -> None:
    items = [
        item(0, 9, "large"),
        item(1, 3, "b"),
        item(2, 3, "a", words=9),
        item(3, 9, "large"),
        item(4, 3, "b"),
        item(5, 3, "c", words=8),
    ]
    assert batches(items, 6, tmp_path) == [[1, 4], [2, 5], [0, 3]]


def test_every_example_is_asked_once_whatever_the_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = [item(i, int(rng.integers(1, 5)), f"{rng.integers(6)}", int(rng.integers(1, 9))) for i in range(20)]
    for size in (1, 3, 7, 12, 100):
        found = batches(items, size, tmp_path)
        assert sorted(sum(found, [])) == list(range(20))
        assert max(map(len, found)) == max(1, min(20, size // 3))
