from __future__ import annotations

import pytest

from pixfound.errors import UserError
from pixfound.pipeline.distributed import World
from pixfound.pipeline.stage_loop import Budget, Task, by_cause, describe, run_stage
from pixfound.store.records import Value
from pixfound.store.store import Record, Store


class Computer:
    """Doubles numbers, remembers its batches, and fails where it is told to."""

    def __init__(self, failing=(), error=ValueError):
        self.failing, self.error, self.batches = set(failing), error, []

    def __call__(self, batch):
        self.batches.append(list(batch))
        bad = [n for n in batch if n in self.failing]
        if bad:
            raise self.error(f"cannot\n do {bad[0]}")
        return [Value({"double": 2 * n, "with": list(batch)}) for n in batch]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.open({"identity": {}, "provenance": {}})
    yield store
    store.close()


def tasks(store, count=6, size=3):
    return [Task(store, f"k{n}", "d", n, n // size) for n in range(count)]


def run(store, computer, *, max_failures=100, world=None, **options):
    budget = Budget(max_failures)
    run_stage("double", lambda: tasks(store, **options), computer, world or World(), budget)
    return budget


def doubles(store, count=6):
    records = [store.get(f"k{n}", "d") for n in range(count)]
    return [record.value and record.value["double"] if record else None for record in records]


def test_everything_is_computed_in_batches_and_once(store):
    computer = Computer()
    run(store, computer)
    assert computer.batches == [[0, 1, 2], [3, 4, 5]]
    assert doubles(store) == [0, 2, 4, 6, 8, 10]
    run(store, computer)
    assert len(computer.batches) == 2  # nothing was left to do
    assert doubles(Store(store.folder)) == [None] * 6  # a store knows what it has read


def test_a_batch_is_computed_whole_but_only_what_is_missing_is_written(store):
    store.append(Record("k1", "d", {"double": -1}))
    computer = Computer()
    run(store, computer)
    assert computer.batches == [[0, 1, 2], [3, 4, 5]]
    assert doubles(store) == [0, -1, 4, 6, 8, 10]  # the old result stays
    assert store.get("k0", "d").value["with"] == [0, 1, 2]  # so that results do not depend on where a run was cut
    (journal,) = store.folder.glob("*.jsonl")
    assert len(journal.read_text().splitlines()) == 6


def test_batches_that_are_done_are_not_computed(store):
    for n in range(3):
        store.append(Record(f"k{n}", "d", {"double": 2 * n}))
    computer = Computer()
    run(store, computer)
    assert computer.batches == [[3, 4, 5]]


def parted(store):
    return [Task(store, f"k{n}", "d", n, n // 3, "even" if n % 2 == 0 else "odd") for n in range(6)]


def test_a_part_that_no_batch_lacks_is_left_alone(store):
    for n in (0, 2, 4, 1):
        store.append(Record(f"k{n}", "d", {"double": 2 * n}))
    computer = Computer()
    run_stage("double", lambda: [*parted(store), Task(store, "k7", "d", 7, 2, "odd")], computer, World(), Budget(0))
    assert computer.batches == [[3, 5], [7]]  # the first batch lacks nothing
    assert doubles(store) == [0, 2, 4, 6, 8, 10]


def test_a_part_that_one_batch_lacks_is_computed_with_the_others(store):
    for n in (0, 2):
        store.append(Record(f"k{n}", "d", {"double": 2 * n}))
    computer = Computer()
    run_stage("double", lambda: parted(store), computer, World(), Budget(0))
    assert computer.batches == [[0, 1, 2], [3, 4, 5]]


def test_a_run_cut_off_in_its_last_batch_computes_that_whole(store):
    for n in (0, 1, 2, 4):
        store.append(Record(f"k{n}", "d", {"double": 2 * n}))
    computer = Computer()
    run_stage("double", lambda: parted(store), computer, World(), Budget(0))
    assert computer.batches == [[3, 4, 5]]


def test_tasks_are_begun_only_where_something_is_missing_and_are_made_twice_at_most(store):
    began, made = [], []

    def make():
        made.append(1)
        return tasks(store)

    for times in (1, 1):
        run_stage("double", make, Computer(), World(), Budget(0), lambda: began.append(1))
        assert len(began) == times
    assert len(made) == 3


def test_a_changed_digest_is_computed_anew(store):
    run(store, Computer())
    computer = Computer()
    run_stage("double", lambda: [Task(store, "k0", "other", 0, 0)], computer, World(), Budget(0))
    assert computer.batches == [[0]]


def test_a_batch_that_raises_is_halved_until_the_failing_task_is_alone(store, caplog):
    computer = Computer(failing=[1])
    budget = run(store, computer)
    assert computer.batches == [[0, 1, 2], [0], [1, 2], [1], [2], [3, 4, 5]]
    assert doubles(store) == [0, None, 4, 6, 8, 10]
    failed = store.get("k1", "d")
    assert (failed.value, failed.failure) == (None, "ValueError: cannot do 1")
    assert budget.failures == 1
    assert "k1" in caplog.text


def test_failures_of_one_cause_are_one_line_with_their_number(store, caplog):
    run(store, Computer(failing=[0, 1, 3, 4, 5]))
    assert [r.getMessage() for r in caplog.records if "failed (" in r.getMessage()] == [
        "double: 5 failed (k0, k1, k3 and 2 more): ValueError: cannot do 0"
    ]
    causes = by_cause([("a", "x: no 'a.png'"), ("b", "y"), ("c", "x: no 'c.png' (after 2 tries)"), ("d", "z")])
    assert causes == ["2 failed (a, c): x: no 'a.png'", "1 failed (b): y", "1 failed (d): z"]


def test_a_batch_that_only_fails_together_fails_nobody(store):
    def too_large(batch):
        if len(batch) > 1:
            raise MemoryError
        return [Value({"double": 2 * batch[0]})]

    assert run(store, too_large).failures == 0
    assert doubles(store) == [0, 2, 4, 6, 8, 10]


def test_memory_for_half_a_batch_is_enough(tmp_path):
    """Out of memory at sixteen and at eight: two batches of four each do it, and nothing fails."""
    store, sizes = Store(tmp_path), []
    store.open({"identity": {}, "provenance": {}})

    def compute(batch):
        sizes.append(len(batch))
        if len(batch) > 4:
            raise RuntimeError("out of memory")
        return [Value({"double": 2 * n}) for n in batch]

    assert run(store, compute, count=16, size=16).failures == 0
    assert sizes == [16, 8, 4, 4, 8, 4, 4]
    assert doubles(store, 16) == [2 * n for n in range(16)]


def test_batches_that_are_halved_are_told_once_for_each_cause(store, caplog):
    """Numbers in a message are no causes of their own; the rest is counted at the end."""

    def compute(batch):
        if len(batch) > 1:
            raise ValueError("odd") if batch[0] == 3 else RuntimeError(f"out of memory by {batch[0]}.5 GB")
        return [Value({"double": 2 * batch[0]})]

    assert run(store, compute, count=12, size=3).failures == 0
    assert [record.getMessage() for record in caplog.records] == [
        "double: a batch of 3 is halved and tried again: RuntimeError: out of memory by 0.5 GB",
        "double: a batch of 3 is halved and tried again: ValueError: odd",
        "double: 7 batches were halved: RuntimeError: out of memory by N GB",
    ]


def test_a_failure_is_retried_on_the_next_run(store):
    run(store, Computer(failing=[1]))
    still = Computer(failing=[1])
    assert run(store, still).failures == 1
    assert still.batches == [[0, 1, 2], [0], [1, 2], [1], [2]]
    mended = Computer()
    assert run(store, mended).failures == 0
    assert mended.batches == [[0, 1, 2]]
    assert doubles(store) == [0, 2, 4, 6, 8, 10]
    assert store.get("k1", "d").failure is None


def test_what_is_done_already_cannot_fail(store):
    store.append(Record("k1", "d", {"double": 2}))
    assert run(store, Computer(failing=[1])).failures == 0
    assert doubles(store) == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("error", [UserError, KeyboardInterrupt])
def test_what_is_no_failure_of_an_example_is_raised(store, error):
    computer = Computer(failing=[4], error=error)
    with pytest.raises(error):
        run(store, computer)
    assert computer.batches == [[0, 1, 2], [3, 4, 5]]  # not tried one by one
    assert doubles(store) == [0, 2, 4, None, None, None]


def test_more_failures_than_allowed_end_the_run(store):
    with pytest.raises(UserError, match=r"max_failures=1 .*k3 in stage double: ValueError: cannot do 3"):
        run(store, Computer(failing=[0, 3, 4]), max_failures=1)
    assert doubles(store)[:3] == [None, 2, 4]  # what is done is kept
    assert store.get("k3", "d").failure
    assert run(store, Computer(failing=[0]), max_failures=1).failures == 1


def test_the_budget_is_one_for_all_stages():
    budget = Budget(2)
    budget.spend("a", "generate", ValueError("x"))
    budget.spend("b", "extract", ValueError("y"))
    with pytest.raises(UserError, match="stage select") as raised:
        budget.spend("c", "select", ValueError("z"))
    assert isinstance(raised.value.__cause__, ValueError)


@pytest.mark.parametrize("size", [2, 3])
def test_shares_are_disjoint_and_complete_and_keep_batches_whole(tmp_path, size):
    seen = []
    stores = [Store(tmp_path, rank) for rank in range(size)]
    for store in stores:  # all have read the same before one begins, as in a run
        store.open({"identity": {}, "provenance": {}})
    for rank, store in enumerate(stores):
        computer = Computer()
        run(store, computer, world=World(rank, size), count=11)
        store.close()
        seen.append(computer.batches)
    flat = [batch for batches in seen for batch in batches]
    assert sorted(flat) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10]]
    assert all(seen)
    merged = Store(tmp_path)
    merged.read()
    assert doubles(merged, 11) == [2 * n for n in range(11)]


def test_a_run_resumes_with_another_number_of_processes(tmp_path):
    first = Store(tmp_path, 0)
    first.open({"identity": {}, "provenance": {}})
    run(first, Computer(), world=World(0, 2))
    first.close()
    alone = Store(tmp_path, 0)
    alone.read()
    computer = Computer()
    run(alone, computer)
    assert computer.batches == [[3, 4, 5]]


def test_nothing_to_do(store):
    computer = Computer()
    run_stage("double", list, computer, World(), Budget(0))
    assert computer.batches == []


def test_an_error_is_described_in_one_line():
    assert describe(ValueError("two\n  lines")) == "ValueError: two lines"
    assert len(describe(ValueError("x" * 9999))) == 500
