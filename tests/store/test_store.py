from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.io.atomic import make_folder, write_atomic
from pixfound.io.fingerprints import digest_of, fingerprint
from pixfound.store.store import DamagedArrays, Record, Store

ABOUT = {"identity": {"model": "m"}, "provenance": {"torch": "2.8"}}


def opened(folder, rank=0, **provenance):
    store = Store(folder, rank)
    store.open({"identity": {}, "provenance": provenance})
    return store


def test_what_is_appended_is_read_back(tmp_path):
    store = opened(tmp_path)
    records = [
        Record("a/open/v", "d1", {"text": 'naïve 🙂 \n\u2028 "quoted"', "n": [1, 2.5, None, True]}),
        Record("b/open/v", "d1", {}),
        Record("b/open/v", "d2", {"x": 1}),
        Record("c/open/v", "d1", None, "OSError: corrupt\nimage"),
    ]
    for record in records:
        store.append(record)
        assert store.get(record.key, record.digest) == record
    store.close()
    again = opened(tmp_path)
    for record in records:
        assert again.get(record.key, record.digest) == record
        assert again.done(record.key, record.digest) == (record.failure is None)
    assert again.get("a/open/v", "d2") is None
    assert not again.done("a/open/v", "d2")
    (journal,) = tmp_path.glob("*.jsonl")
    assert len(journal.read_bytes().splitlines()) == 4  # one line each, whatever the text holds


def test_a_value_that_json_cannot_hold_writes_nothing(tmp_path):
    store = opened(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        store.append(Record("a", "d", {"x": float("nan")}))
    store.append(Record("b", "d", {}))
    assert [json.loads(line)["key"] for line in journal_lines(tmp_path)] == ["b"]


def journal_lines(folder, rank=0):
    return (folder / f"journal-{rank:04d}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("cut", [1, 2, 10, 25])
def test_a_torn_last_line_is_ignored_and_the_next_stands_alone(tmp_path, cut):
    store = opened(tmp_path)
    store.append(Record("a", "d", {"text": "whole"}))
    store.append(Record("b", "d", {"text": "torn 🙂"}))
    store.close()
    journal = tmp_path / "journal-0000.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])  # 1: only the line's end is missing
    resumed = opened(tmp_path)
    assert resumed.done("a", "d")
    assert resumed.done("b", "d") == (cut == 1)
    resumed.append(Record("c", "d", {"text": "after"}))
    last = opened(tmp_path)
    assert last.get("c", "d").value == {"text": "after"}
    assert last.done("a", "d")


@pytest.mark.parametrize(
    "line", [b"\x00\x00\x00", b"5", b"[]", b'"text"', b"null", b"{}", b'{"key":"a"}', b"\xff\xfe", b"", b'{"key":[],']
)
def test_a_line_that_is_no_record_is_ignored(tmp_path, line):
    store = opened(tmp_path)
    store.append(Record("a", "d", {"x": 1}))
    store.close()
    with (tmp_path / "journal-0000.jsonl").open("ab") as stream:
        stream.write(line + b"\n" + sealed(line))
    assert opened(tmp_path).get("a", "d").value == {"x": 1}


def sealed(line):
    """A line that says something else, with the right checksum."""
    return line[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(line[:-1])


@pytest.mark.parametrize(
    "change",
    [
        *({name: "left out"} for name in ("key", "digest", "value", "failure", "turn")),
        {"key": 5},
        {"digest": ["d"]},
        {"value": [1]},
        {"value": None},
        {"value": "text"},
        {"failure": "but it has a value"},
        {"failure": False},
        {"turn": "7"},
        {"turn": 1.5},
        {"turn": -1},
        {"turn": 2**32},
        {"array_bytes": 9},
        {"array_bytes": 9, "array_crc": "9"},
    ],
    ids=str,
)
def test_a_line_that_lacks_a_field_or_has_one_of_another_type_is_ignored(tmp_path, change):
    opened(tmp_path).append(Record("a", "d", {"x": 1}))
    good = {"key": "a", "digest": "d", "value": {"x": 2}, "failure": None, "turn": 5}
    odd = {name: value for name, value in (good | change).items() if value != "left out"}
    journal = tmp_path / "journal-0000.jsonl"
    start = journal.read_bytes()
    for body, value in ((good, 2), (odd, 1)):
        journal.write_bytes(start + sealed(json.dumps(body).encode()))
        assert opened(tmp_path).get("a", "d").value == {"x": value}


def test_a_later_line_wins_but_a_failure_never_over_a_result(tmp_path):
    store = opened(tmp_path)
    failed, first, second = (
        Record("a", "d", None, "out of memory"),
        Record("a", "d", {"n": 1}),
        Record("a", "d", {"n": 2}),
    )
    for record, kept in ((failed, failed), (first, first), (failed, first), (second, second)):
        store.append(record)
        assert store.get("a", "d") == kept
        assert opened(tmp_path).get("a", "d") == kept
    other = Record("b", "d", None, "again")
    store.append(Record("b", "d", None, "once"))
    store.append(other)
    assert opened(tmp_path).get("b", "d") == other


def test_arrays_are_read_back(tmp_path):
    store = opened(tmp_path)
    rng = np.random.default_rng(0)
    arrays = {"attention": rng.random((3, 5)).astype(np.float32), "penultimate": np.zeros(5, np.float16)}
    one, two = Record("a/../b:*", "d", {}), Record("a/../b:*", "e", {})
    store.append(one, arrays)
    store.append(two, {"attention": np.ones((1, 2))})
    again = opened(tmp_path).arrays(one)
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array)
        assert again[name].dtype == array.dtype
    assert store.arrays(two)["attention"].shape == (1, 2)
    assert not list(tmp_path.rglob("*.tmp"))


def test_arrays_are_written_before_the_line_that_names_them(tmp_path, monkeypatch):
    store = opened(tmp_path)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pixfound.store.store.write_all", killed)
    with pytest.raises(KeyboardInterrupt):
        store.append(Record("a", "d", {}), {"x": np.ones(2)})
    assert len(list((tmp_path / "arrays").glob("*.npz"))) == 1
    assert not opened(tmp_path).done("a", "d")


def test_no_line_without_its_arrays(tmp_path, monkeypatch):
    store = opened(tmp_path)

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(UserError, match="disk full"):
        store.append(Record("a", "d", {}), {"x": np.ones(2)})
    assert not store.done("a", "d")
    assert not opened(tmp_path).done("a", "d")


def test_journals_of_all_ranks_are_merged(tmp_path):
    stores = [opened(tmp_path, rank) for rank in range(2)]
    for rank, store in enumerate(stores):
        store.append(Record(f"only {rank}", "d", {"rank": rank}))
        assert store.get(f"only {1 - rank}", "d") is None
    stores[0].append(Record("both", "d", None, "failed here"))
    stores[1].append(Record("both", "d", {"rank": 1}))
    for store in (*stores, opened(tmp_path, 7)):
        store.read()
        assert [store.get(key, "d").value["rank"] for key in ("only 0", "only 1", "both")] == [0, 1, 1]
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["journal-0000.jsonl", "journal-0001.jsonl"]


@pytest.mark.parametrize("clock", ["forth", "back"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_results_the_one_whose_writer_had_read_the_other_wins_whatever_the_clock_says(tmp_path, order, clock):
    for turn, rank in enumerate(order):
        opened(tmp_path, rank).append(Record("a", "d", {"rank": rank}))
        time = 1000 + (turn if clock == "forth" else -turn)
        os.utime(tmp_path / f"journal-{rank:04d}.jsonl", (time, time))
    assert opened(tmp_path).get("a", "d").value == {"rank": order[-1]}


def test_half_of_a_surrogate_pair_is_read_back_and_stands_in_the_file_as_its_number(tmp_path):
    record = Record("a\ud800/open/v", "d", {"text": "\udfff no \ud83d character \\ud800 🙂"}, None)
    store = opened(tmp_path)
    store.append(record, {"x": np.arange(3)})
    again = opened(tmp_path).get(record.key, "d")
    assert again == record
    assert opened(tmp_path).arrays(again)["x"].tolist() == [0, 1, 2]
    (line,) = journal_lines(tmp_path)
    assert b"\\udfff no \\ud83d character" in line
    write_atomic(tmp_path / "x.json", json.dumps(record.value, ensure_ascii=False))
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == record.value


def write_many(folder, name, count):
    store = Store(folder)  # the same rank: the same journal
    store.open(ABOUT)
    for i in range(count):
        text = name * (1 + 997 * (i % 60))  # up to 60 kB, more than any buffer
        store.append(Record(f"{name}{i}", "d", {"text": text}), {"x": np.full(3, i)} if i % 10 == 0 else None)
    store.close()


def test_two_processes_on_one_journal_lose_nothing(tmp_path):
    spawn, count = multiprocessing.get_context("spawn"), 300
    writers = [spawn.Process(target=write_many, args=(tmp_path, name, count)) for name in "pq"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    store = Store(tmp_path)
    assert store.open(ABOUT) == []
    for name in "pq":
        for i in range(count):
            record = store.get(f"{name}{i}", "d")
            assert record.value == {"text": name * (1 + 997 * (i % 60))}
            assert i % 10 or store.arrays(record)["x"].tolist() == [i] * 3
    # One that opens the journal while the other writes takes the line for torn, and ends it once more.
    assert len([line for line in journal_lines(tmp_path) if line.strip()]) == 2 * count


def test_a_change_of_provenance_is_returned_and_the_beginning_is_kept(tmp_path):
    assert Store(tmp_path).open(ABOUT) == []
    assert Store(tmp_path).open(ABOUT) == []
    changed = {"identity": {}, "provenance": {"torch": "2.9", "device": "cuda"}}
    assert Store(tmp_path).open(changed) == ["device: None -> cuda", "torch: 2.8 -> 2.9"]
    assert json.loads((tmp_path / "stage.json").read_text()) == ABOUT


def test_a_damaged_description_does_not_stop_a_run(tmp_path):
    opened(tmp_path).append(Record("a", "d", {}))
    (tmp_path / "stage.json").write_text('{"identity": ')
    store = Store(tmp_path)
    assert store.open(ABOUT) == []
    assert store.done("a", "d")


def test_a_folder_that_cannot_be_written_says_what_to_type(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for call in (lambda: make_folder(tmp_path / "file" / "out"), lambda: Store(tmp_path / "file").open(ABOUT)):
        with pytest.raises(UserError, match="outputs_dir="):
            call()


def test_making_a_folder_leaves_nothing_behind(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_write_atomic_replaces(tmp_path):
    for text in ("one", "two é"):
        write_atomic(tmp_path / "f.json", text)
        assert (tmp_path / "f.json").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


def test_fingerprints_are_stable_and_ignore_the_order_of_keys(monkeypatch):
    monkeypatch.setattr("pixfound.io.fingerprints.FORMAT", 1)
    one = fingerprint(stage="generate", model={"a": 1, "b": [1, {"c": None, "d": 2.5}]})
    assert one == fingerprint(model={"b": [1, {"d": 2.5, "c": None}], "a": 1}, stage="generate")
    assert one == "d16d16f7f7e99b1a"  # another one would make every store on users' disks start anew
    assert len(one) == 16
    others = [
        fingerprint(stage="extract", model={"a": 1, "b": [1, {"c": None, "d": 2.5}]}),
        fingerprint(stage="generate", model={"a": 2, "b": [1, {"c": None, "d": 2.5}]}),
        fingerprint(stage="generate", model={"a": "1", "b": [1, {"c": None, "d": 2.5}]}),
        fingerprint(stage="generate", model={"a": 1, "b": [{"c": None, "d": 2.5}, 1]}),
    ]
    assert len({one, *others}) == 5
    monkeypatch.setattr("pixfound.io.fingerprints.FORMAT", 2)
    assert one != fingerprint(stage="generate", model={"a": 1, "b": [1, {"c": None, "d": 2.5}]})


def test_digests_keep_their_arguments_apart():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert len({digest_of("ab", "c"), digest_of("a", "bc"), digest_of("abc"), digest_of(["ab", "c"])}) == 4
    assert len(digest_of("a")) == 24


def test_a_disk_that_is_full_is_a_plain_error_and_what_is_done_stays(tmp_path):
    """A limit on the size of files stands for a full disk: the line that does not fit is torn, and read over."""
    script = """
import resource, signal, sys
from pathlib import Path
from pixfound.errors import UserError
from pixfound.store.store import DamagedArrays, Record, Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))
store = Store(Path(sys.argv[1]))
store.open({"identity": {}, "provenance": {}})
try:
    for n in range(99):
        store.append(Record(f"k{n}", "d", {"x": "y" * 20}))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot be written to (File too large): make room on the disk" in done.stdout
    store = opened(tmp_path)
    kept = [n for n in range(99) if store.done(f"k{n}", "d")]
    assert kept == list(range(len(kept)))
    assert 2 <= len(kept) < 10
    store.append(Record("next", "d", {"x": 1}))
    store.close()
    assert opened(tmp_path).done("next", "d")
    assert len([n for n in range(99) if opened(tmp_path).done(f"k{n}", "d")]) == len(kept)


def test_memory_holds_where_lines_stand_and_not_what_they_say(tmp_path):
    store, long = opened(tmp_path), "x" * 100_000
    for number in range(200):
        store.append(Record(f"k{number}", "d", {"text": f"{number} {long}"}))
    tracemalloc.start()
    again = opened(tmp_path)
    assert all(again.get(f"k{number}", "d").value["text"].startswith(f"{number} x") for number in (199, 0, 7, 150))
    assert all(store.get(f"k{number}", "d") == again.get(f"k{number}", "d") for number in range(200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * len(long) / 3
    assert store.done("k7", "d") and again.get("k7", "other") is None


def test_a_journal_that_another_program_changes_meanwhile_is_a_plain_error(tmp_path):
    store = opened(tmp_path)
    for number in range(3):
        store.append(Record(f"k{number}", "d", {}))
    journal = tmp_path / "journal-0000.jsonl"
    journal.write_bytes(journal.read_bytes()[5:])
    with pytest.raises(UserError, match=r"journal-0000\.jsonl: was changed by another program: run the same command"):
        store.get("k1", "d")


@pytest.mark.parametrize("left", [0, 1, 300, -1])
def test_arrays_cut_short_are_found_before_they_are_used_and_named(tmp_path, left, caplog):
    store = opened(tmp_path)
    good, cut = Record("good", "d", {}), Record("cut/open/v", "d", {})
    store.append(good, {"x": np.arange(100.0)})
    before = set(tmp_path.glob("arrays/*"))
    store.append(cut, {"x": np.arange(100.0)})
    store.close()
    (path,) = set(tmp_path.glob("arrays/*")) - before
    path.write_bytes(path.read_bytes()[:left])
    again = opened(tmp_path)
    assert again.done("good", "d")
    assert not again.done("cut/open/v", "d")
    assert "the arrays of cut/open/v are not whole" in caplog.text
    again.append(cut, {"x": np.arange(100.0)})
    caplog.clear()
    mended = opened(tmp_path)
    assert mended.done("cut/open/v", "d")
    assert mended.arrays(cut)["x"].tolist() == list(range(100))
    assert not caplog.text


class Marker:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_arrays_that_hold_code_are_refused(tmp_path):
    store, record = opened(tmp_path), Record("a", "d", {})
    store.append(record, {"x": np.ones(2)})
    evil = np.array([Marker(tmp_path / "ran")], dtype=object)
    np.savez(next(tmp_path.glob("arrays/*")), x=evil)
    with pytest.raises(DamagedArrays):
        store.arrays(record)
    assert not (tmp_path / "ran").exists()


def test_a_report_that_finds_no_room_is_a_plain_error(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match=r"taken: cannot be written .*: make room on the disk"):
        write_atomic(tmp_path / "taken", "text")


@pytest.mark.parametrize("what", ["folder", "dangling", "pipe"])
def test_something_else_in_the_place_of_a_journal_is_named(what, tmp_path):
    stray = tmp_path / "journal-0003.jsonl"
    if what == "folder":
        stray.mkdir()
    elif what == "dangling":
        stray.symlink_to("nowhere")
    else:
        os.mkfifo(stray)
    with pytest.raises(UserError, match=r"/journal-0003\.jsonl: cannot be read \(it is no file\)"):
        Store(tmp_path).read()
