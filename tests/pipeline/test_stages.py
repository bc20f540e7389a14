"""How tasks are put together into batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.extractors.nulls import CentrePoint, Nothing
from pixfound.pipeline import stages
from pixfound.pipeline.images import read_images
from pixfound.pipeline.items import MASK_KINDS, UNREADABLE, Item, by_image
from pixfound.pipeline.records import candidates_of, pack_generation
from pixfound.pipeline.stage import Budget, Value, run_stage
from pixfound.pipeline.stages import extract_tasks, generate_tasks
from pixfound.pipeline.store import Record, Store
from pixfound.pipeline.world import World
from pixfound.segmenters.sam import Sam
from pixfound.types import KINDS, Generation, Prompt
from tests.support.examples import ArrayImage, drawn, make_example
from tests.support.random_sam import save_random_sam


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
        assert sorted(n for numbers in found for n in numbers) == list(range(20))
        assert max(map(len, found)) == max(1, min(20, size // 3))


@given(st.lists(st.integers(0, 9), max_size=40))
def test_no_image_is_in_two_batches_and_none_is_larger_than_it_must_be(images: list[int]) -> None:
    items = [item(i, 1, str(image)) for i, image in enumerate(images)]
    placed = list(by_image(items))
    assert sorted(about.index for _, about in placed) == list(range(len(items)))
    numbers = [number for number, _ in placed]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(set(numbers))))
    batch_of = {(about.image_digest, number) for number, about in placed}
    assert len(batch_of) == len(set(images))
    for number in set(numbers):
        about = [i.image_digest for n, i in placed if n == number]
        assert len(about) <= 8 or len(set(about)) == 1


@pytest.mark.parametrize("image", ["one", UNREADABLE])
def test_a_batch_is_bounded_also_where_very_many_are_about_one_image_or_none_can_be_read(image: str) -> None:
    numbers = [number for number, _ in by_image([item(i, 1, image) for i in range(200)])]
    assert sorted(Counter(numbers).values()) == ([8, 64, 64, 64] if image == "one" else [8] * 25)


def test_items_about_one_image_are_given_the_same_and_each_is_compared_with_its_mask(pictured: list[Item]) -> None:
    other = replace(pictured[0], index=99, example=item(99, 3, "x").example)
    images, errors = read_images([(about, object()) for about in (*pictured, other)])
    assert [images[i] is images[i + 1] for i in range(9)] == [i % 2 == 0 for i in range(9)]
    assert list(errors) == [99] and "the image is 20 x 40 pixels (height x width), its mask 3 x 4" in str(errors[99])
    blank = SimpleNamespace(needs_image=False)
    images, errors = read_images([(about, blank) for about in (*pictured, other)])
    assert not errors and images[99].size == (4, 3) and len({id(image) for image in images.values()}) == 6
    images, _ = read_images([(pictured[0], blank), (pictured[0], object())])
    assert images[0].mode == "RGB"


class Corrupt:
    """An image that cannot be read."""

    def load(self) -> Any:
        raise OSError("truncated")

    def digest(self) -> str:
        return "corrupt"


def extracted(folder: Path, items: list[Item], extractors: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The extract records of all items by "extractor key", and how many failed."""
    said = Store(folder / "generate")
    found = {name: Store(folder / name) for name in extractors}
    for store in (said, *found.values()):
        store.open({"identity": {}, "provenance": {}})
    for about in items:
        value = pack_generation(Generation("it", about.example.gt_mask.size))
        for kind in KINDS:
            said.append(Record(about.key(kind), about.asked(kind), value.data), value.arrays)
    stores: Any = SimpleNamespace(generate=said, extract=found)
    parts: Any = SimpleNamespace(extractors={name: SimpleNamespace(built=e) for name, e in extractors.items()})
    budget = Budget(100)
    run_stage("extract", extract_tasks(items, stores), lambda b: stages.extract(parts, stores, b), World(), budget)
    records = {
        f"{name} {about.key(kind)}": store.get(about.key(kind), about.seen(kind))
        for name, store in found.items()
        for about in items
        for kind in MASK_KINDS
    }
    return records, budget.failures


@pytest.fixture
def pictured() -> list[Item]:
    """Ten examples about five images of several sizes, two next to each other about each."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (20 + 7 * n, 40, 3), dtype=np.uint8) for n in range(5)]
    found = []
    for i in range(10):
        own = pixels[i // 2]
        example = make_example(drawn(*["." * 40] * len(own)), id=str(i), image=ArrayImage(own))
        prompts = {kind: Prompt(str(i), kind, "v", "word") for kind in KINDS}
        found.append(Item(i, example, prompts, ArrayImage(own).digest()))
    return found


def test_an_image_is_encoded_once_for_all_prompts_extractors_and_examples_and_with_others(
    tmp_path: Path, pictured: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Sam(str(save_random_sam(tmp_path / "m")), device="cpu")
    encode, sizes = segmenter._model.get_image_embeddings, []

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(segmenter._model, "get_image_embeddings", counted)
    two = {"centre": CentrePoint(segmenter), "again": CentrePoint(segmenter), "none": Nothing()}
    records, failures = extracted(tmp_path, pictured, two)
    assert failures == 0
    assert sizes == [4, 1]  # the images of the first eight examples, and of the other two
    for about in pictured:
        alone = CentrePoint(Sam(segmenter.path, device="cpu"))
        expected = alone.candidates(about.example.image.load(), Generation("it", about.example.gt_mask.size), "")
        for name in ("centre", "again"):
            for kind in MASK_KINDS:
                masks = [c.mask for c in candidates_of(records[f"{name} {about.key(kind)}"])]
                assert masks == [c.mask for c in expected]
        assert records[f"none {about.key('open')}"].value == {"candidates": []}


def test_an_image_that_cannot_be_read_fails_its_own_example_only(
    tmp_path: Path, pictured: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_example(drawn("...."), id="broken", image=Corrupt())
    prompts = {kind: Prompt("broken", kind, "v", "word") for kind in KINDS}
    items = [*pictured[:3], Item(10, broken, prompts, UNREADABLE), *pictured[3:4]]
    batches: list[int] = []
    extract = stages.extract

    def seen(parts: Any, stores: Any, batch: Any) -> list[Value | Exception]:
        batches.append(len(batch))
        return extract(parts, stores, batch)

    monkeypatch.setattr(stages, "extract", seen)
    segmenter = Sam(str(save_random_sam(tmp_path / "m")), device="cpu")
    records, failures = extracted(tmp_path, items, {"centre": CentrePoint(segmenter), "none": Nothing()})
    assert failures == 4  # both kinds of both extractors
    assert batches == [20]  # nobody was tried again
    for key, record in records.items():
        assert (record.failure == "OSError: truncated") == ("broken" in key), key
