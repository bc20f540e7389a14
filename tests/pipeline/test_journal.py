"""Which line counts, and where it stands."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pixfound.pipeline import journal
from pixfound.pipeline.journal import Line, Place, Places

NAMES = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(6)]
NAMES += [NAMES[0][:8] + NAMES[1][8:], bytes(16), bytes(15) + b"\1", b"\xff" * 16]  # halves alike, and the ends
lines = st.lists(
    st.builds(
        Line,
        st.sampled_from(NAMES),
        st.integers(0, 3) | st.just(2**32 - 1),
        st.none(),
        st.builds(Place, st.integers(0, 9), st.integers(0, 2**40), st.integers(1, 2**31), st.booleans()),
    ),
    max_size=40,
)


def latest(lines: list[Line]) -> dict[bytes, Place]:
    """The plain rule: in the order of turns, the last result, or else the last failure."""
    found: dict[bytes, Place] = {}
    for line in sorted(lines, key=lambda line: line.turn):
        if not line.place.failed or line.name not in found or found[line.name].failed:
            found[line.name] = line.place
    return found


@given(lines, lines, st.none() | st.sampled_from(NAMES))
def test_the_latest_result_counts_or_else_the_latest_failure(
    read: list[Line], written: list[Line], dropped: bytes | None
) -> None:
    places = Places(iter(read))
    for line in written:
        places.add(line)
    expected = latest([*read, *written])
    if dropped is not None:
        places.drop(dropped)
        expected.pop(dropped, None)
    assert {name: places.get(name) for name in NAMES} == {name: expected.get(name) for name in NAMES}
    assert [places.done(name) for name in NAMES] == [n in expected and not expected[n].failed for n in NAMES]


def test_a_line_whose_turn_is_no_number_of_lines_is_none() -> None:
    line = '{"key":"a","digest":"d","value":{},"failure":null,"turn":%s}'
    for turn, known in {"0": True, "4294967295": True, "-1": False, "4294967296": False, "1e999": False}.items():
        assert (journal.parse((line % turn).encode()) is not None) == known, turn
