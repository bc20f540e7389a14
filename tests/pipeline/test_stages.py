"""How tasks are put together into batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.errors import UserError
from pixfound.extractors.null_baselines import CentrePoint, Nothing
from pixfound.interfaces import Benchmark, Component
from pixfound.pipeline import extract as extract_stage
from pixfound.pipeline.distributed import World
from pixfound.pipeline.extract import extract_tasks
from pixfound.pipeline.generate import generate_tasks
from pixfound.pipeline.images import read_images
from pixfound.pipeline.run_examples import MASK_KINDS, RunExamples, by_image
from pixfound.pipeline.stage_loop import Budget, run_stage
from pixfound.pipeline.stores import Stores
from pixfound.segmenters.sam import Sam
from pixfound.store.records import Value, candidates_of, pack_generation
from pixfound.store.store import Record, Store
from pixfound.types import KINDS, Example, Generation, ImageSource, Kind, Prompt
from pixfound.types.masks import RLE
from tests.support.examples import ArrayImage, drawn, make_example
from tests.support.random_sam import save_random_sam


@dataclass(frozen=True)
class Named(ImageSource):
    """An image that is known by its digest alone; without one it cannot be read."""

    name: str | None

    def load(self) -> Any:
        raise OSError("truncated")

    def digest(self) -> str:
        if self.name is None:
            raise OSError("truncated")
        return self.name


class Words:
    """Prompts of one word, or of as many as the example's expression has."""

    def variant(self, kind: Kind) -> str:
        return "v"

    def prompt(self, example: Example, kind: Kind) -> Prompt:
        return Prompt(example.id, kind, "v", example.expression)


def items_of(*examples: Example) -> RunExamples:
    """Items with prompts of the examples' own."""
    prompts: Any = Words()
    return RunExamples(Benchmark(examples), prompts)


def about(index: int, rows: int, image: str | None, words: int = 1) -> Example:
    """An example of `rows` x 4 pixels about the image with this digest."""
    return make_example(drawn(*["...."] * rows), id=str(index), image=Named(image), expression="word " * words)


def batches(items: RunExamples, batch_size: int, folder: Path) -> list[list[int]]:
    """The numbers of the examples of each batch."""
    found: dict[object, list[int]] = {}
    for task in generate_tasks(items, Store(folder), batch_size):
        found.setdefault(task.batch, []).append(task.payload[0].index)
    return [sorted(set(numbers)) for numbers in found.values()]


def test_examples_about_one_image_and_of_like_lengths_go_together(tmp_path: Path) -> None:
    items = items_of(
        about(0, 9, "large"),
        about(1, 3, "b"),
        about(2, 3, "a", words=9),
        about(3, 9, "large"),
        about(4, 3, "b"),
        about(5, 3, "c", words=8),
    )
    assert batches(items, 6, tmp_path) == [[0, 3], [2, 5], [1, 4]]


def test_every_example_is_asked_once_whatever_the_batch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = [(int(rng.integers(1, 5)), f"{rng.integers(6)}", int(rng.integers(1, 9))) for _ in range(20)]
    items = items_of(*(about(i, *one) for i, one in enumerate(drawn)))
    for size in (1, 3, 7, 12, 100):
        found = batches(items, size, tmp_path)
        assert sorted(n for numbers in found for n in numbers) == list(range(20))
        assert max(map(len, found)) == max(1, min(20, size // 3))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_no_image_is_in_two_batches_and_none_is_larger_than_it_must_be(images: list[int]) -> None:
    placed = list(by_image(items_of(*(about(i, 1, str(image)) for i, image in enumerate(images)))))
    assert sorted(item.index for _, item in placed) == list(range(len(images)))
    numbers = [number for number, _ in placed]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(set(numbers))))
    assert len({(images[item.index], number) for number, item in placed}) == len(set(images))
    for number in set(numbers):
        together = [images[item.index] for n, item in placed if n == number]
        assert len(together) <= 8 or len(set(together)) == 1


@pytest.mark.parametrize("image", ["one", None])
def test_a_batch_is_bounded_also_where_very_many_are_about_one_image_or_none_can_be_read(image: str | None) -> None:
    numbers = [number for number, _ in by_image(items_of(*(about(i, 1, image) for i in range(200))))]
    assert sorted(Counter(numbers).values()) == ([8, 64, 64, 64] if image == "one" else [8] * 25)


def test_items_about_one_image_are_given_the_same_and_each_is_compared_with_its_mask(pictured: list[Example]) -> None:
    items = items_of(*pictured, replace(pictured[0], id="99", gt_mask=drawn(*["...."] * 3)))
    images, errors = read_images([(item, Component()) for item in items])
    assert [images[i] is images[i + 1] for i in range(9)] == [i % 2 == 0 for i in range(9)]
    assert list(errors) == [10] and "the image is 20 x 40 pixels (height x width), its mask 3 x 4" in str(errors[10])
    blank = SimpleNamespace(needs_image=False)
    images, errors = read_images([(item, blank) for item in items])
    assert not errors and images[10].size == (4, 3) and len({id(image) for image in images.values()}) == 6
    images, _ = read_images([(items[0], blank), (items[0], Component())])
    assert images[0].mode == "RGB"


@pytest.mark.parametrize("limit", [None, 1, 3, 6, 99])
def test_a_limit_takes_the_partners_of_what_it_takes(limit: int | None) -> None:
    benchmark = PixShapes(pairs=3)
    prompts: Any = Words()
    items = RunExamples(benchmark, prompts, limit)
    expected = {1: ["0000a", "0000b"], 3: ["0000a", "0000b", "0001a", "0001b"]}
    assert [item.id for item in items] == expected.get(limit or 0, [e.id for e in benchmark])
    assert [item.example for item in items] == [e for e in benchmark if e.id in {item.id for item in items}]


def test_a_benchmark_without_examples_or_with_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(UserError, match="has no examples"):
        items_of()
    with pytest.raises(UserError, match=r"1 ids that stand for several examples, '0' among them"):
        items_of(about(0, 1, "a"), about(1, 1, "a"), about(0, 2, "b"))


def test_a_pair_of_three_is_refused() -> None:
    members = [make_example(drawn("#."), id=id, pair_id=pair) for id, pair in zip("abcde", "pqpqp", strict=True)]
    assert len(items_of(*members[:4])) == 4
    with pytest.raises(UserError, match=r"the pair 'p' has more than two examples, 'e' is the third; give it another"):
        items_of(*members)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"question": " \n"}, "example e: the question is empty"),
        ({"expression": ""}, "example e: the expression is empty"),
        ({"options": ("yes", " ")}, "example e: option B is empty"),
        ({"options": ("no", "yes", "Yes.")}, "example e: the options B and C are equal"),
        ({"options": ("a  b", "\uff21 B")}, "example e: the options A and B are equal"),  # a full-width A
        ({"options": ("yes",)}, "example e: a question needs 2 to 26 options, a letter for each, not 1"),
        ({"options": tuple(map(str, range(27)))}, "2 to 26 options, a letter for each, not 27"),
        ({"answer": 2}, "example e: answer 2 is no index"),
        ({"ignore": drawn("##.")}, r"masks of sizes \(1, 2\) and \(1, 3\)"),
    ],
)
def test_what_cannot_be_scored_is_no_example(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_example(drawn("#."), **values)


def test_options_may_differ_in_a_sign() -> None:
    for options in (("+", "-"), ("<", ">"), ("1", "-1"), ("...", ";"), tuple(map(str, range(26)))):
        assert make_example(drawn("#."), options=options).options == options


def test_only_what_its_digest_is_of_changes_it() -> None:
    """What the stages look their records up by: of each kind of change just those digests that it concerns."""
    one = about(0, 3, "a")

    def digests(example: Example) -> dict[str, str]:
        (item,) = items_of(example)
        names = ("generate", "extract", "select", "grade")
        of = {f"{kind} {name}": getattr(item, f"{name}_digest")(kind) for kind in KINDS for name in names}
        return {**of, "content": items_of(example).digest}

    def changed(**values: Any) -> set[str]:
        before, after = digests(one), digests(replace(one, **values))
        return {name.rpartition(" ")[2] for name in before if before[name] != after[name]}

    assert changed(image=Named("b")) == {"generate", "extract", "select", "grade", "content"}
    assert changed(gt_mask=drawn("#...", "....", "....")) == {"select", "content"}
    assert changed(question="Is it shut?") == {"grade", "content"} == changed(answer=1)
    assert changed(pair_id="p") == {"content"} == changed(tags={"a": "b"}) == changed(named=False)
    assert changed(objects=(drawn("#..."),)) == {"content"} == changed(labels={"corrected": 1})
    size = one.gt_mask.size
    assert changed(ignore=RLE.full(size)) == {"select", "content"}
    assert changed(instances=(RLE.empty(size),)) == {"content"}
    assert changed(boxes=((0.5, 1.0, 2.0, 3.0),)) == {"content"} == changed(count=0)
    assert changed() == set()


def extracted(folder: Path, items: RunExamples, extractors: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The extract records of all items by "extractor key", and how many failed."""
    said = Store(folder / "generate")
    found = {name: Store(folder / name) for name in extractors}
    for store in (said, *found.values()):
        store.open({"identity": {}, "provenance": {}})
    for item in items:
        value = pack_generation(Generation("it", item.example.gt_mask.size))
        for kind in KINDS:
            said.append(Record(item.key(kind), item.generate_digest(kind), value.data), value.arrays)
    stores = Stores(said, Store(folder / "grade"), found, {})
    parts: Any = SimpleNamespace(extractors={name: SimpleNamespace(built=e) for name, e in extractors.items()})
    budget = Budget(100)
    run_stage(
        "extract",
        lambda: extract_tasks(items, stores),
        lambda batch: extract_stage.extract(parts, stores, batch),
        World(),
        budget,
    )
    records = {
        f"{name} {item.key(kind)}": store.get(item.key(kind), item.extract_digest(kind))
        for name, store in found.items()
        for item in items
        for kind in MASK_KINDS
    }
    return records, budget.failures


@pytest.fixture
def pictured() -> list[Example]:
    """Ten examples about five images of several sizes, two next to each other about each."""
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (20 + 7 * n, 40, 3), dtype=np.uint8) for n in range(5)]
    found = []
    for i in range(10):
        own = pixels[i // 2]
        found.append(make_example(drawn(*["." * 40] * len(own)), id=str(i), image=ArrayImage(own)))
    return found


def test_an_image_is_encoded_once_for_all_prompts_extractors_and_examples_and_with_others(
    tmp_path: Path, pictured: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Sam(str(save_random_sam(tmp_path / "m")), device="cpu")
    encode, sizes = segmenter._model.get_image_embeddings, []

    def counted(pixels: Any) -> Any:
        sizes.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(segmenter._model, "get_image_embeddings", counted)
    two = {"centre": CentrePoint(segmenter), "again": CentrePoint(segmenter), "none": Nothing()}
    items = items_of(*pictured)
    records, failures = extracted(tmp_path, items, two)
    assert failures == 0
    assert sizes == [4, 1]  # the images of the first eight examples, and of the other two
    for item in items:
        alone = CentrePoint(Sam(segmenter.path, device="cpu"))
        expected = alone.extract_one(item.example.image.load(), Generation("it", item.example.gt_mask.size), "")
        for name in ("centre", "again"):
            for kind in MASK_KINDS:
                masks = [c.mask for c in candidates_of(records[f"{name} {item.key(kind)}"])]
                assert masks == [c.mask for c in expected]
        assert records[f"none {item.key('open')}"].value == {"candidates": []}


def test_an_image_that_cannot_be_read_fails_its_own_example_only(
    tmp_path: Path, pictured: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_example(drawn("...."), id="broken", image=Named(None))
    items = items_of(*pictured[:3], broken, *pictured[3:4])
    batches: list[int] = []
    extract = extract_stage.extract

    def seen(parts: Any, stores: Any, batch: Any) -> list[Value | Exception]:
        batches.append(len(batch))
        return extract(parts, stores, batch)

    monkeypatch.setattr(extract_stage, "extract", seen)
    segmenter = Sam(str(save_random_sam(tmp_path / "m")), device="cpu")
    records, failures = extracted(tmp_path, items, {"centre": CentrePoint(segmenter), "none": Nothing()})
    assert failures == 4  # both kinds of both extractors
    assert batches == [20]  # nobody was tried again
    for key, record in records.items():
        assert (record.failure == "OSError: truncated") == ("broken" in key), key
