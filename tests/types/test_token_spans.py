from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers import models as token_models

from pixfound.types.token_spans import token_spans, tokens_of
from tests.support.random_llava import byte_tokenizer

BYTES = byte_tokenizer()
SENTENCES = [
    "Le café est fermé.",
    "👩‍👩‍👧 and a 🐈",
    "猫が二匹いる。",
    "naïve \u2019quotes\u2019 — done",
    "  spaced  out ",
    "é",
    "🙂",
]
texts = st.one_of(
    st.sampled_from(SENTENCES),
    st.text(st.sampled_from("ab é猫🙂\u0301\n\t,."), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=20),
)


def decode(ids):
    return BYTES.decode(ids, skip_special_tokens=True)


def encode(text):
    return BYTES(text, add_special_tokens=False)["input_ids"]


def check_consistent(text, spans):
    """In order, and each character is stood for: every span starts where the one before ended, or is shared."""
    reached, last = 0, (0, 0)
    for start, end in spans:
        assert (start, end) == last or start == reached, spans
        assert start <= end <= len(text)
        reached, last = end, (start, end)
    assert reached == len(text)


@given(texts)
@settings(max_examples=150, deadline=None)
def test_byte_tokens_share_the_character_that_they_make_up(text):
    ids = encode(text)
    found, spans = token_spans(ids, decode)
    assert found == text.lstrip() == decode(ids).lstrip()
    check_consistent(found, spans)
    skipped = len(text) - len(found)
    expected = [max(0, i - skipped) for i, character in enumerate(text) for _ in character.encode()]
    assert [start for start, _ in spans] == expected  # one token a byte
    assert all(end - start == 1 for (start, end), place in zip(spans, expected, strict=True) if place)


@given(st.lists(st.tuples(texts, st.sampled_from(["<s>", "</s>", "<pad>"])), max_size=4))
@settings(max_examples=60, deadline=None)
def test_special_tokens_have_empty_spans(parts):
    ids, special = [], []
    for text, token in parts:
        ids += encode(text)
        special.append(len(ids))
        ids.append(BYTES.convert_tokens_to_ids(token))
    found, spans = token_spans(ids, decode)
    assert found == "".join(text for text, _ in parts).lstrip()
    check_consistent(found, spans)
    assert all(spans[i][0] == spans[i][1] for i in special)


@given(st.lists(st.integers(5, 260), max_size=12))
@settings(max_examples=80, deadline=None)
def test_bytes_that_are_no_text_keep_the_decoders_replacements(ids):
    found, spans = token_spans(ids, decode)
    assert found == decode(ids).lstrip()
    assert len(spans) == len(ids)
    check_consistent(found, spans)


def test_a_long_answer_takes_linear_work():
    ids = encode("a long story 🙂 " * 40)
    decoded = []
    token_spans(ids, lambda part: decoded.append(len(part)) or decode(part))
    assert sum(decoded) < 12 * len(ids)


def test_an_answer_cut_inside_a_character():
    ids = encode("a 🙂")[:-1]
    found, spans = token_spans(ids, decode)
    assert found == "a \ufffd"
    assert spans == ((0, 1), (1, 2), (2, 3), (2, 3), (2, 3))


def test_nothing_generated():
    assert token_spans([], decode) == ("", ())
    assert token_spans([BYTES.eos_token_id], decode) == ("", ((0, 0),))


def test_pieces_that_carry_their_space_and_lose_it_when_first():
    """SentencePiece: the decoder drops the space of a text's first piece, so decoding token by token loses them all."""
    words = ["</s>", "\u2581The", "\u2581black", "\u2581cat", "s", "\u2581sat", ".", "<0xC3>", "<0xA9>", "\u2581"]
    tokenizer = Tokenizer(token_models.BPE({word: i for i, word in enumerate(words)}, []))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["</s>"])
    ids = [1, 2, 3, 4, 5, 7, 8, 6, 0]
    assert tokenizer.decode([2]) == "black"
    text, spans = token_spans(ids, lambda part: tokenizer.decode(list(part), skip_special_tokens=True))
    assert text == "The black cats saté."
    pieces = ["The", " black", " cat", "s", " sat", "é", "é", ".", ""]
    assert [text[start:end] for start, end in spans] == pieces
    check_consistent(text, spans)


def test_leading_space_counts_for_no_token():
    text, spans = token_spans(encode(" \n Yes"), decode)
    assert text == "Yes"
    assert spans == ((0, 0), (0, 0), (0, 0), (0, 1), (1, 2), (2, 3))


@pytest.mark.parametrize(
    ("span", "tokens"),
    [
        ((0, 3), [0]),
        ((4, 7), [1]),  # the token of " cat" overlaps
        ((0, 7), [0, 1]),
        ((2, 4), [0, 1]),
        ((7, 8), [3, 4]),  # both bytes of one character
        ((8, 20), []),
        ((3, 3), []),
    ],
)
def test_tokens_of_a_span_are_those_that_overlap_it(span, tokens):
    assert tokens_of(span, ((0, 3), (3, 7), (7, 7), (7, 8), (7, 8), (8, 8))) == tokens
