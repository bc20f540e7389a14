"""Text and JSON files, and the place of what is wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixfound.io.text_files import open_text, parse_json, read_json


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.json"


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
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(path)


def test_the_mark_before_utf_8_is_no_part_of_the_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert read_json(path) == [1, 2]
    path.write_bytes(b"\xef\xbb\xbf[1, \xff]")
    with pytest.raises(UnicodeError, match="byte 0xff in position 7"):
        read_json(path)


@pytest.mark.parametrize("before", [0, 1, 8191, 8192, 30_000])
def test_a_byte_that_is_no_text_is_told_by_its_place(before: int, path: Path) -> None:
    data = b"a" * before + b"\xc3\xa9\xff" + b"b" * 20_000
    path.write_bytes(data)
    with pytest.raises(UnicodeDecodeError) as whole:
        data.decode()
    for size in (1000, -1):
        with pytest.raises(UnicodeError) as found, open_text(path) as stream:
            stream.read(10)
            for _ in iter(lambda: stream.read(size), ""):  # noqa: B023
                pass
        assert str(found.value) == str(whole.value)


def test_what_is_nested_too_deeply_is_no_json(path: Path) -> None:
    deep = "[" * 100_000
    with pytest.raises(ValueError, match="Nested too deeply"):
        parse_json(deep)
    path.write_text(f'{{"images": [{{"id": {deep}')
    with pytest.raises(ValueError, match="Nested too deeply: line 1 column"):
        read_json(path)
