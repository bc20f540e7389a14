"""Text files that are read piece by piece, against the standard library's reading of them as a whole."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.io import streams
from pixfound.io.streams import NoList, json_list, json_lists, open_text, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab\\"é', max_size=3), inner, max_size=3),
    max_leaves=8,
)
PIECES = st.integers(1, 40)
LAYOUTS = st.sampled_from([None, 0, 3, "\t"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams") / "some.json"


def in_pieces(path: Path, text: str, piece: int) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    streams._PIECE = piece
    return path


@pytest.fixture(autouse=True)
def _whole_pieces() -> Any:
    size = streams._PIECE
    yield
    streams._PIECE = size


def same(a: Any, b: Any) -> bool:
    return json.dumps(a) == json.dumps(b)  # NaN is not equal to itself


@given(st.lists(VALUES, max_size=5), PIECES, LAYOUTS, st.booleans())
def test_a_list_has_the_same_entries(path: Path, values: list[Any], piece: int, layout: Any, ascii: bool) -> None:
    text = f" \n{json.dumps(values, indent=layout, ensure_ascii=ascii)}\r\n "
    assert same(list(json_list(in_pieces(path, text, piece))), values)


@given(st.dictionaries(st.sampled_from(["images", "annotations", "info", "x"]), VALUES, max_size=4), PIECES, LAYOUTS)
def test_lists_in_an_object_have_the_same_entries(path: Path, data: dict[str, Any], piece: int, layout: Any) -> None:
    names = ("images", "annotations")
    in_pieces(path, json.dumps(data, indent=layout), piece)
    wrong = next((n for n in data if n in names and not isinstance(data[n], list)), None)
    if wrong is None and "images" not in data:
        wrong = "images"
    if wrong is not None:
        with pytest.raises(NoList, match=wrong):
            list(json_lists(path, *names))
    else:
        expected = [(name, entry) for name in data if name in names for entry in data[name]]
        assert same(list(json_lists(path, *names)), expected)


WHOLE = json.dumps([{"id": 1, "a": [1.5, "é\\n", None]}, "x", -12, True, {"b": {}}], indent=1, ensure_ascii=False)


@given(st.integers(0, len(WHOLE)), st.sampled_from(["", "?", ",", "]", "}", '"', "\n", "\\", "1", "t", "\x01"]), PIECES)
def test_what_is_no_json_is_told_as_by_the_standard_library(path: Path, at: int, put: str, piece: int) -> None:
    """Cut off, or with a character in place of another one: at the same line and column."""
    text = WHOLE[:at] + (put + WHOLE[at + 1 :] if put else "")
    try:
        expected: Any = json.loads(text)
    except ValueError as error:
        expected = str(error)
    try:
        found: Any = list(json_list(in_pieces(path, text, piece)))
    except NoList:
        found = "no list"
    except ValueError as error:
        found = str(error)
    if isinstance(expected, list):
        assert same(found, expected)
    elif isinstance(expected, str) and found != "no list":
        assert found == expected
    else:
        assert found == "no list"
        assert text.lstrip()[:1] != "["


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"Expecting value: line 1 column 1 \(char 0\)"),
        ("[1, 2", r"Expecting ',' delimiter: line 1 column 6 \(char 5\)"),
        ("[1]\n\n x", r"Extra data: line 3 column 2 \(char 6\)"),
        ('[\n"a', r"Unterminated string starting at: line 2 column 1 \(char 2\)"),
        ("nothing", "Expecting value: line 1 column 1"),
    ],
)
def test_places_in_what_is_no_json(text: str, message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(json_list(in_pieces(path, text, 1)))


def test_a_mistake_is_told_before_the_rest_is_read(path: Path) -> None:
    """A bad entry is not taken for one that goes on: entries are few, and the file is long."""
    path.write_text('[{"a": 1}, {"b" 2}, ' + '{"c": 3}, ' * 500_000 + "0]")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"Expecting ':' delimiter: line 1 column 17 \(char 16\)"):
            list(json_list(path))
        assert tracemalloc.get_traced_memory()[1] < 1_500_000  # of 5 MB
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_an_entry(path: Path) -> None:
    path.write_text(json.dumps({"x": ["skipped"] * 100_000, "images": [{"id": i} for i in range(100_000)]}))
    tracemalloc.start()
    try:
        assert sum(entry["id"] for _, entry in json_lists(path, "images")) == sum(range(100_000))
        assert tracemalloc.get_traced_memory()[1] < 1_500_000  # of 2.8 MB, and of 40 MB of Python objects
    finally:
        tracemalloc.stop()


def test_the_mark_before_utf_8_is_no_part_of_the_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert list(json_list(path)) == [1, 2]
    path.write_bytes(b"\xef\xbb\xbf[1, \xff]")
    with pytest.raises(UnicodeError, match="byte 0xff in position 7"):
        list(json_list(path))


@pytest.mark.parametrize("before", [0, 1, 8191, 8192, 30_000])
def test_a_byte_that_is_no_text_is_told_by_its_place(before: int, path: Path) -> None:
    data = b"a" * before + b"\xc3\xa9\xff" + b"b" * 20_000
    path.write_bytes(data)
    with pytest.raises(UnicodeDecodeError) as whole:
        data.decode()
    with pytest.raises(UnicodeError) as found, open_text(path) as stream:
        stream.read(10)
        for _ in iter(lambda: stream.read(1000), ""):
            pass
    assert str(found.value) == str(whole.value)


def test_what_is_nested_too_deeply_is_no_json(tmp_path: Path) -> None:
    deep = "[" * 100_000
    with pytest.raises(ValueError, match="Nested too deeply"):
        parse_json(deep)
    (tmp_path / "a.json").write_text(f'{{"images": [{{"id": {deep}')
    with pytest.raises(ValueError, match="Nested too deeply: line 1 column"):
        list(json_lists(tmp_path / "a.json", "images"))
