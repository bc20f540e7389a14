"""Answers, meta text and selections: what the original writes, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.io.predictions.naming import Owners
from pixfound.io.predictions.texts import read_answers, read_meta, read_selections
from tests.support.predictions import write_lines

OWNERS = Owners({str(n): ImageInfo(f"ADE_val_{n:08d}", (4, 6)) for n in range(1, 13)})
LEFT_OUT = {str(n): ImageInfo("", (4, 6), left_out=True) for n in (99, 100, 401, 500)}
PARTLY = Owners({**OWNERS.images, **LEFT_OUT})
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="|\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12
)


def test_answers_of_all_protocols(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "a.jsonl",
        [
            {"question_id": 1, "prompt": "p", "answer": "(a)", "response": "It is open.", "model_id": "m"},
            {"question_id": 2, "prompt": "p", "answer": "B", "gt_answer": "(b)", "text_options": ["x", "y"]},
            {"question_id": "3", "response": ""},
            {"question_id": 99, "response": "of an example that the run leaves out"},
        ],
    )
    assert read_answers(path, PARTLY, "k") == {"1": "It is open.", "2": "B", "3": ""}
    assert read_answers(path, PARTLY, "k", offset=1) == {"2": "It is open.", "3": "B", "4": ""}


def test_answers_of_other_harnesses(tmp_path: Path) -> None:
    """lmms-eval's documents with an example's id, and counted from 0; VLMEvalKit's rows have the truth as `answer`."""
    named = [{"doc_id": n, "doc": {"question_id": n + 5}, "filtered_resps": [f"({n})"]} for n in range(3)]
    path = write_lines(tmp_path / "named.jsonl", named)
    assert read_answers(path, OWNERS, "k") == {"5": "(0)", "6": "(1)", "7": "(2)"}
    named[1]["doc"] = {"question_id": "another"}  # so none is taken by it
    path = write_lines(tmp_path / "counted.jsonl", named)
    assert read_answers(path, OWNERS, "k", offset=1) == {"1": "(0)", "2": "(1)", "3": "(2)"}
    table = tmp_path / "a.tsv"
    table.write_text('"index"\t"A"\t"answer"\t"prediction"\n"3"\t"x\ty"\t"A"\t"B\nis it"\n"4"\t"x"\t"A"\t"A"\n')
    assert read_answers(table, OWNERS, "k") == {"3": "B\nis it", "4": "A"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: is no JSON"),
        ("[1]", "line 1: is no JSON object"),
        ('{"question_id": 1}', "line 1: has neither text `response` nor text `answer`"),
        ('{"response": "yes"}', "line 1: has no `question_id`"),
        ('{"question_id": 1.5, "response": "yes"}', "line 1: has no `question_id`"),
        (
            '{"question_id": 1, "response": "a"}\n\n{"question_id": 1, "response": "b"}',
            "line 3: example 1 stands already",
        ),
        (
            '{"question_id": 77, "response": "a"}',
            r"line 1: question_id \+ model.offset: '77' is no example of this benchm",
        ),
    ],
)
def test_bad_answers_are_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_answers(path, OWNERS, "model.answers.open")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.answers\.open=.*: cannot be read \(No such file"):
        read_answers(tmp_path / "no", OWNERS, "model.answers.open")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no text in UTF-8"):
        read_answers(tmp_path / "b", OWNERS, "k")


def test_both_forms_of_meta_text(tmp_path: Path) -> None:
    path = tmp_path / "meta.txt"
    path.write_text(
        "1.jpg - 0 - the cat| cat| 0.812345\n"
        "1.jpg - 1 - a well-lit room - or so| room| nan\n"
        "2.jpg - 0 - The dog| dog| -0.100000 | 4 | 11| So: The dog - it is | black.\n"
        "ADE_val_00000003.jpg - 0 - sky| sky| 1\n"
        "500.jpg - 0 - left| out| 0.1\n"
    )
    found = read_meta(path, PARTLY, "k")
    assert set(found) == {"1", "2", "3"}
    assert (found["1"][0].phrase, found["1"][0].head, found["1"][0].similarity) == ("the cat", "cat", 0.812345)
    assert (found["1"][1].phrase, found["1"][1].similarity) == ("a well-lit room - or so", None)
    assert (found["2"][0].span, found["2"][0].text) == ((4, 11), "So: The dog - it is | black.")
    assert found["2"][0].similarity == -0.1


@given(WORDS, WORDS, st.floats(-1, 1), st.integers(0, 500), st.integers(0, 50), WORDS)
def test_meta_lines_round_trip(tmp_path_factory, phrase, head, score, start, length, answer) -> None:
    path = tmp_path_factory.mktemp("meta") / "meta.txt"
    span = (start, start + length)
    path.write_text(f"7.jpg - 3 - {phrase}| {head}| {score:f} | {span[0]} | {span[1]}| {answer}\n", encoding="utf-8")
    line = read_meta(path, OWNERS, "k")["7"][3]
    assert (line.phrase, line.head, line.span) == (phrase, head, span)
    assert line.similarity == pytest.approx(score, abs=1e-6)
    assert line.text == answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg 0 the cat", "line 1: is not of the form"),
        ("1.jpg - 0 - a| a| 0.1\n1.jpg - 0 - b| b| 0.1", "line 2: 1 has a phrase number 0 already"),
        ("1.jpg - 0 - a| a| 0.1 | 9 | 3| text", "ends at character 3, before it starts at 9"),
        ("1.jpg - 0 - a| a| ..", "is no number"),
        ("1.jpg - 0 - a| a| 1\n77.jpg - 0 - a| a| 1", "line 2: '77' is no example of this benchmark"),
    ],
)
def test_bad_meta_text_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_text(text)
    with pytest.raises(UserError, match=message):
        read_meta(tmp_path / "m", OWNERS, "k")


def test_selections_count_from_zero(tmp_path: Path) -> None:
    rows = [
        {"question_id": 0, "selected file": "vis/1_000_002.png"},
        {"question_id": 1, "selected file": "NONE"},
        {"question_id": 400, "selected file": "401_000_000.png"},
    ]
    path = write_lines(tmp_path / "s.jsonl", rows)
    assert read_selections(path, PARTLY, "k") == {"1": "1_000_002.png", "2": "NONE"}
    for bad, message in (
        ({"question_id": 0}, "has no text `selected file`"),
        ({"question_id": 0, "selected file": ".."}, "no plain name"),
        ({"question_id": 77, "selected file": "NONE"}, r"question_id \+ offset: '78' is no example"),
    ):
        with pytest.raises(UserError, match=message):
            read_selections(write_lines(tmp_path / "t.jsonl", [bad]), OWNERS, "k")
