"""Which line counts, and where it stands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.store import journal
from pixfound.store.journal import Line, Place, Places

NAMES = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(6)]
NAMES += [NAMES[0][:8] + NAMES[1][8:], bytes(16), bytes(15) + b"\1", b"\xff" * 16]  # halves alike, and the ends
lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(NAMES),
        st.none(),
        st.builds(
            Place,
            st.integers(0, 9),
            st.integers(0, 2**40),
            st.integers(1, 2**31),
            st.booleans(),
            st.integers(0, 3) | st.just(2**32 - 1),
        ),
    ),
    max_size=40,
)


def latest(lines: list[Line]) -> dict[bytes, Place]:
    """The plain rule: in the order of turns, the last result, or else the last failure."""
    found: dict[bytes, Place] = {}
    for line in sorted(lines, key=lambda line: line.place.turn):
        if not line.place.failed or line.name not in found or found[line.name].failed:
            found[line.name] = line.place
    return found


@given(lines, lines)
def test_the_latest_result_counts_or_else_the_latest_failure(read: list[Line], written: list[Line]) -> None:
    places = Places(iter(read))
    for line in written:
        places.add(line)
    expected = latest([*read, *written])
    assert {name: places.get(name) for name in NAMES} == {name: expected.get(name) for name in NAMES}
    assert [places.done(name) for name in NAMES] == [n in expected and not expected[n].failed for n in NAMES]


BODY = {
    "key": "a/open/v",
    "digest": "d",
    "value": {"text": 'naïve "x"\n\ud800', "n": [1, 0.5]},
    "failure": None,
    "turn": 7,
}


def test_a_line_is_one_line_of_json_and_is_read_back() -> None:
    line = journal.written(BODY)
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    found = journal.parse(line)
    assert found is not None and found | BODY == found == json.loads(line)
    assert journal.parse(line[:-1]) == found, "only the end of the line is missing"


def test_a_line_with_any_byte_changed_removed_or_doubled_is_none() -> None:
    line = journal.written(BODY)[:-1]
    for at in range(len(line)):
        for other in (bytes([line[at] ^ 1]), bytes([line[at] ^ 0x20]), b"", line[at : at + 1] * 2):
            changed = line[:at] + other + line[at + 1 :]
            assert journal.parse(changed + b"\n") is None, (at, other)


def test_lines_that_were_whole_and_are_not_any_more_are_told_and_torn_ones_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line = journal.written(BODY)
    path = tmp_path / "journal-0003.jsonl"
    path.write_bytes(line + line[:-30] + b"\n" + line + b"\0\0\0\n" + line[:9])
    assert [found.place.offset for found in journal.lines_of(path)] == [0, 2 * len(line) - 29]
    assert not caplog.text
    path.write_bytes(line + line.replace(b"naive", b"naife").replace(b"0.5", b"0.6") + line)
    assert [found.place.offset for found in journal.lines_of(path)] == [0, 2 * len(line)]
    assert f"{path}: 1 lines are damaged and count as never written" in caplog.text
