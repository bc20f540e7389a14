"""Rules by which letters are read: the meant one is test_grading.py's; here are those of the paper's scripts."""

from __future__ import annotations

import pytest

from pixfound.scoring.choice_grading import grade_letter

OPTIONS = ("Open", "Not open (yet)", "Yes.")


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("A", 0, True),
        ("(b)", 1, True),
        (" ((b)).,: ", 1, True),
        ("open", 0, True),
        ("OPEN.", 0, True),
        ("The answer is A", 0, True),
        ("The answer is: B", 1, False),  # the shorter cue is found first, and the colon stays
        ("Answer: B", 1, True),
        ("The answer is a. The answer is b", 1, True),  # the last one counts
        ("Answer: a. The answer is b", 1, True),
        ("The answer is answer: (b)", 1, True),
        ("A. Open", 0, False),
        ("not open (yet)", 1, False),  # the bracket at the end is taken off
        ("yes.", 2, False),  # and so is the full stop, which the option has
        ("c", 2, True),
        ("a</s>", 0, False),
        ("", 0, False),
        ("B", 0, False),
    ],
)
def test_exact(reply, answer, right):
    assert grade_letter("exact", reply, OPTIONS, answer)[0] is right


@pytest.mark.parametrize(
    ("reply", "answer", "right"),
    [
        ("A. Open", 0, True),
        ("Absolutely not", 0, True),
        ("(C) yes", 2, True),
        ("(A),", 0, True),
        ("The answer is: B", 1, False),
        ("<s>A", 0, False),
        ("", 0, False),
        ("open", 0, False),
    ],
)
def test_first_character(reply, answer, right):
    assert grade_letter("first_character", reply, OPTIONS, answer)[0] is right


def test_what_is_meant_may_be_unscored_but_the_others_know_only_right_and_wrong():
    assert grade_letter("meant", "I do not know", OPTIONS, 0)[0] is None
    assert grade_letter("meant", "A. Open", OPTIONS, 0) == (True, "letter")
    assert grade_letter("exact", "I do not know", OPTIONS, 0) == (False, "read as 'i do not know'")
    assert grade_letter("first_character", "I do not know", OPTIONS, 0) == (False, "read as 'i'")
