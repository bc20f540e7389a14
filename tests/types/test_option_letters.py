from __future__ import annotations

import pytest

from pixfound.types.option_letters import MOST_OPTIONS, index_of, letter


@pytest.mark.parametrize("index", range(MOST_OPTIONS))
@pytest.mark.parametrize("form", ["{}", "({})", "{}.", " {} "])
def test_every_letter_is_read_back(index: int, form: str) -> None:
    for text in (letter(index), letter(index).lower()):
        assert index_of(form.format(text), MOST_OPTIONS) == index
        assert index_of(form.format(text), index) is None, "one more than there are options"


@pytest.mark.parametrize("text", ["", "()", "ab", "xyz", "1", "é", "yes", "a b"])
def test_what_is_no_letter_names_no_option(text: str) -> None:
    assert index_of(text, MOST_OPTIONS) is None
