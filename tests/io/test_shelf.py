"""JSON values that lie in a temporary file."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.io.shelf import Numbers, Shelf
from tests.support.memory import memory

KEYS = st.text(st.characters(), max_size=5)  # halves of surrogate pairs, and NUL, too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=20), KEYS)
def test_it_is_a_mapping_of_lists(entries: list[tuple[str, Any]], other: str) -> None:
    shelf: Shelf[list[Any]] = Shelf(list)
    expected: dict[str, list[Any]] = {}
    for key, value in entries:
        shelf.add(key, value)
        expected.setdefault(key, []).append(value)
    assert shelf == expected
    assert list(shelf) == list(expected)
    assert list(shelf.sorted()) == sorted(expected)
    assert len(shelf) == len(expected)
    assert bool(shelf) == bool(expected)
    assert (other in shelf) == (other in expected)
    assert shelf.get(other) == expected.get(other)
    assert shelf.added(other) == expected.get(other, [])


def test_what_is_read_of_the_values_is_made_anew() -> None:
    shelf = Shelf(tuple)
    shelf.add("a", [1])
    assert shelf["a"] == ([1],)
    with pytest.raises(KeyError, match="'b'"):
        shelf["b"]


def test_no_key_is_anything_but_text() -> None:
    assert 1 not in Shelf(list)


def test_threads_share_it() -> None:
    shelf: Shelf[list[int]] = Shelf(list)

    def work(number: int) -> list[int]:
        shelf.add(str(number % 10), number)
        return shelf[str(number % 10)]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(500)))
    assert all(number in found for number, found in enumerate(seen))
    assert {key: sorted(shelf[key]) for key in shelf} == {str(i): list(range(i, 500, 10)) for i in range(10)}


def test_it_takes_no_memory_that_grows() -> None:
    with memory() as held:
        shelf: Shelf[list[str]] = Shelf(list)
        for number in range(5000):
            shelf.add(str(number), "a long text " * 20)
        assert held() < 100_000  # the values are 1.2 MB
    assert sum(len(values) for values in shelf.values()) == 5000


@given(st.lists(KEYS, max_size=20), KEYS)
def test_names_are_numbered_as_they_come(names: list[str], other: str) -> None:
    numbers = Numbers()
    expected: dict[str, int] = {}
    for name in names:
        assert numbers.number(name) == expected.setdefault(name, len(expected))
    assert numbers == expected
    assert list(numbers) == list(expected)
    assert (other in numbers) == (other in expected)


FULL = """
import resource
from pixfound.errors import UserError
from pixfound.io.shelf import Shelf
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
shelf = Shelf(list)
try:
    for number in range(50_000):
        shelf.add(str(number), "x" * 100)
except UserError as error:
    print(number > 1000, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to the size of a file can be set")
def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True the temporary file for what does not fit into memory cannot be written (")
    assert "TMPDIR" in done.stdout


def test_nothing_of_it_is_left_in_the_folder_of_temporary_files(tmp_path: Path) -> None:
    code = "\n".join(
        (
            "import os, json",
            "from pixfound.io.shelf import Shelf",
            "shelf = Shelf(list)",
            "shelf.add('a', 'small')",
            "files = [sum('etilqs' in os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')",
            "         if os.path.exists(f'/proc/self/fd/{n}') or os.path.lexists(f'/proc/self/fd/{n}'))]",
            "for n in range(20_000): shelf.add(str(n), 'x' * 100)",
            "there = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')",
            "         if os.path.lexists(f'/proc/self/fd/{n}')]",
            "print(json.dumps([files[0], [path for path in there if 'etilqs' in path]]))",
        )
    )
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("what files a process has open is not told here")
    environment = {"SQLITE_TMPDIR": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    before, after = json.loads(done.stdout)
    assert before == 0  # small things stay in memory
    assert [path.startswith(str(tmp_path)) for path in after] == [True]
    assert not list(tmp_path.iterdir())
