"""What a reply means, decided by reading it, not by how it is parsed. None: it means no option, or several."""

from __future__ import annotations

import pytest

from pixfound.judges.answer_parsing import pick_option

DOOR = ("Open", "Closed")
SIDES = ("left", "left side", "right side")
YES_NO = ("yes", "no")
COUNTS = ("1", "3", "0", "2", "4")
THINGS = ("chair", "books", "lamp", "bed")
NUMBERS = ("one", "two", "three", "four")
COLOURS = ("red", "blue", "red and blue")
SENTENCES = ("It's open", "It's closed")

LETTERS = [
    ("A", 0),
    ("B", 1),
    ("a", 0),
    ("b", 1),
    (" B\n", 1),
    ("(a)", 0),
    ("(B)", 1),
    ("a)", 0),
    ("[B]", 1),
    ("A.", 0),
    ("B.", 1),
    ("b:", 1),
    ("B. Closed", 1),
    ("B) Closed", 1),
    ("(b) Closed", 1),
    ("b: closed", 1),
    ("A - Open", 0),
    ("A (Open)", 0),
    ("A\nThe door is open.", 0),
    ("A\nThe handle is up.", 0),
    ("B\nThe handle is down.", 1),
    ("**B**", 1),
    ("**B.** Closed", 1),
    ("`A`", 0),
    ("Option B", 1),
    ("option (a)", 0),
    ("I would choose option A.", 0),
    ("I choose A.", 0),
    ("I choose B.", 1),
    ("A is correct.", 0),
    ("B is correct.", 1),
    ("The correct choice is A.", 0),
    ("The correct option is B.", 1),
    ("<answer>A</answer>", 0),
    ("<answer>B</answer>", 1),
]
CUES = [
    ("The answer is: B", 1),
    ("The answer is B.", 1),
    ("The answer is A.", 0),
    ("the answer is a", 0),
    ("Answer: (b)", 1),
    ("Answer: A", 0),
    ("Answer:\nB", 1),
    ("answer - B", 1),
    ("The correct answer is (a) Open.", 0),
    ("Final answer: **(B)**", 1),
    ('The answer is "A".', 0),
    ('The answer is "B".', 1),
    ("My answer would be B", 1),
    ("The answer is option B", 1),
    ("The answer is closed.", 1),
    ("Based on the image, the correct answer is:\n\nB. Closed", 1),
    ("The answer is A because the handle is up.", 0),
    ("The answer is B because the handle is down.", 1),
    ("The answer is (B), not (A).", 1),
    ("Answer: A. The answer follows from the handle.", 0),
    ("Answer: B. The answer follows from the handle.", 1),
]
REASONING = [
    ("The door touches its frame and is not open, so it must be shut. Answer: B", 1),
    ("A says open, B says closed. The handle is down. The final answer is B.", 1),
    ("First I thought the answer is B. But the answer is A.", 0),
    ("The answer is not A. The answer is B.", 1),
    ("It could be open or closed at first sight. There is a gap, so the answer is: open", 0),
    ("<think>It could be B.</think> A", 0),
    ("B is wrong, so the answer must be A", 0),
]
TEXTS = [
    ("Open", 0),
    ("closed.", 1),
    ("OPEN!", 0),
    ("The door is open.", 0),
    ("It is Closed", 1),
    ("Closed. The door is closed.", 1),
    ("A man is standing next to the open door.", 0),
    ("The door in the picture, which is brown, looks closed to me.", 1),
    ("I think it is open", 0),
]
ENDS = [
    ("B</s>", 1),
    ("<s> (a)</s>", 0),
    ("A<|im_end|>", 0),
    ("B<|eot_id|>", 1),
    ("B.<|im_end|>\n<|endoftext|>", 1),
    ("A<end_of_turn>", 0),
    ("The answer is B.</s>", 1),
]
NOTHING = [
    ("", None),
    (" \n", None),
    ("</s>", None),
    ("<|im_end|>", None),
    (".", None),
    ("A man is standing", None),
    ("A man is standing in front of it.", None),
    ("The picture shows a dog.", None),
    ("This is a photo of a house", None),
    ("Opening hours", None),
    ("The answer is", None),
    ("Answer:", None),
    ("I cannot tell from the image.", None),
    ("I'm sorry, I can't help with that.", None),
    ("I don't know the answer.", None),
    ("Neither.", None),
    ("None of the above", None),
    ("neither open nor closed", None),
    ("C", None),
    ("(d)", None),
    ("E. Ajar", None),
    ("Answer: C", None),
    ("I", None),
]
SEVERAL = [
    ("It could be open or closed.", None),
    ("Open and closed", None),
    ("A or B", None),
    ("A and B", None),
    ("Both A and B.", None),
    ("A, B", None),
    ("(A) or (B)", None),
    ("(a) Open (b) Closed", None),
    ("A. Open\nB. Closed", None),
    ("The answer is A or B.", None),
]


@pytest.mark.parametrize(("reply", "index"), LETTERS + CUES + REASONING + TEXTS + ENDS + NOTHING + SEVERAL, ids=repr)
def test_a_reply_about_a_door(reply, index):
    assert pick_option(reply, DOOR)[0] == index


@pytest.mark.parametrize(
    ("reply", "options", "index"),
    [
        ("left", SIDES, 0),
        ("The left.", SIDES, 0),
        ("left side", SIDES, 1),
        ("It is on the left side.", SIDES, 1),
        ("right", SIDES, None),  # no option says so
        ("the right side and the left side", SIDES, None),
        ("It is left-handed.", SIDES, None),
        ("C. right side", SIDES, 2),
        ("yes", YES_NO, 0),
        ("Yes.", YES_NO, 0),
        ("No", YES_NO, 1),
        ("Yes, there is a red circle.", YES_NO, 0),
        ("No, there is none.", YES_NO, 1),
        ("No, there is no green object.", YES_NO, 1),
        ("Yes, and there is no fence.", YES_NO, 0),
        ("I do not know.", YES_NO, None),
        ("Nothing to see here yesterday", YES_NO, None),
        ("Yes or no?", YES_NO, None),
        ("B", YES_NO, 1),
        ("two", NUMBERS, 1),
        ("There are two circles.", NUMBERS, 1),
        ("(d) four", NUMBERS, 3),
        ("C", NUMBERS, 2),
        ("E", NUMBERS, None),
        ("Answer: D.", NUMBERS, 3),
        ("A, B or C", NUMBERS, None),
        ("Fourteen", NUMBERS, None),
        ("red", COLOURS, 0),
        ("It is red and blue.", COLOURS, 2),
        ("Blue, I think.", COLOURS, 1),
        ("It is red; the other one is blue", COLOURS, None),
        ("A red ball", COLOURS, 0),
        ("It's open.", SENTENCES, 0),
        ("It\u2019s open.", SENTENCES, 0),
        ("It's closed", SENTENCES, 1),
        ("2", ("1", "2"), 1),
        ("There are 2 dogs.", ("1", "2"), 1),
        ("12", ("1", "2"), None),
    ],
)
def test_a_reply_to_other_options(reply, options, index):
    assert pick_option(reply, options)[0] == index


@pytest.mark.parametrize(
    ("reply", "options", "index"),
    [
        ("$\\boxed{B}$", DOOR, 1),
        ("\\boxed{A}", DOOR, 0),
        ("The final answer is \\boxed{\\text{B}}.", DOOR, 1),
        ('{"answer": "B"}', DOOR, 1),
        ('```json\n{"answer": "A"}\n```', DOOR, 0),
        ('{"answer": "closed", "confidence": 0.9}', DOOR, 1),
        ("\uff22", DOOR, 1),
        ("\uff08B\uff09", DOOR, 1),
        ("\u7b54\u6848\uff1aB", DOOR, 1),
        ("Answer\uff1aA", DOOR, 0),
        ("It's A, not B.", DOOR, 0),
        ("Not A but B.", DOOR, 1),
        ("B, since it is not open", DOOR, 1),
        ("The answer is not B but A.", DOOR, 0),
        ("Option B is correct, because option A would need a gap.", DOOR, 1),
        ("Answer: B\n\nExplanation: Option A is wrong because there is no gap.", DOOR, 1),
        ("B. Closed\n\nThe door is not open.", DOOR, 1),
        ("# Answer\nB", DOOR, 1),
        ("> B", DOOR, 1),
        ("- B", DOOR, 1),
        ("*B*", DOOR, 1),
        ("_A_", DOOR, 0),
        ('"B"', DOOR, 1),
        ("'a'", DOOR, 0),
        ("ASSISTANT: B", DOOR, 1),
        ("B<|endoftext|>Human: next", DOOR, 1),
        ("A. Open B. Closed\nAnswer: B", DOOR, 1),
        ("The answer is: (b) Closed, as the handle is down.", DOOR, 1),
        ("Sure! The correct option is (A).", DOOR, 0),
        ("So the answer is A: the door is open.", DOOR, 0),
        ("As an AI, I cannot see the image. ", DOOR, None),
        ("I think that the answer could be A, but it may be B.", DOOR, None),
        ("(C) 0", COUNTS, 2),
        ("The answer is (D) 2", COUNTS, 3),
        ("3", COUNTS, 1),
        ("There are 4 in the image.", COUNTS, 4),
        ("There are three", COUNTS, None),
        ("E", COUNTS, 4),
        ("(B)", THINGS, 1),
        ("The lamp is closer to the camera.", THINGS, 2),
        ("lamp (annotated by the red box)", THINGS, 2),
        ("books", THINGS, 1),
        ("The bed.", THINGS, 3),
        ("the chair is further than the lamp", THINGS, None),
        ("Yes, A.", YES_NO, 0),
        ("No - the answer is B", YES_NO, 1),
        ("Yes", YES_NO, 0),
        ("A: Yes", YES_NO, 0),
        ("B: No", YES_NO, 1),
        ("The animal is facing left.", ("Left", "Right"), 0),
        ("Right!", ("Left", "Right"), 1),
        ("right or left", ("Left", "Right"), None),
        ("Correct answer: b", DOOR, 1),
        ("ANSWER: B", DOOR, 1),
        ("answer:b", DOOR, 1),
        ("Ans: B", DOOR, 1),
        ("Ans. A", DOOR, 0),
        ("The door is closed, so B", DOOR, 1),
        ("It is B", DOOR, 1),
        ("B)", DOOR, 1),
        ("((b))", DOOR, 1),
        ("[[B]]", DOOR, 1),
        ("B [SEG].", DOOR, 1),
        ("Sure, it is [SEG].", DOOR, None),
        ("<p> The door </p> [SEG] is closed.", DOOR, 1),
        ("A</s></s>", DOOR, 0),
        ("B\x00", DOOR, 1),
        ("\ufeffB", DOOR, 1),
        ("<think>B would need a gap", DOOR, None),  # cut off before it answers
        ("the gap speaks for A.</think>B", DOOR, 1),  # the template opened the tag
        ("A is not correct; B is.", DOOR, 1),
        ("The answer isn't A, it's B", DOOR, 1),
        ('{"answer":"B","reason":"A is not possible"}', DOOR, 1),
        ('{"reason": "A gap is missing", "answer": "B"}', DOOR, 1),
        ("B because option A does not fit", DOOR, 1),
        ("Answer: B. A is not right since the gap is missing.", DOOR, 1),
        ("A is not right.", DOOR, None),
        ("\u9009B", DOOR, 1),
        ("\u7b54\u6848\u662fB\u3002", DOOR, 1),
        ("\u3010B\u3011", DOOR, 1),
        ("A & B", DOOR, None),
        ("A/B", DOOR, None),
        ("\\boxed{\\textbf{A}}", DOOR, 0),
        ("Exhibit A shows a dog", DOOR, None),
        ("F", ("one", "two", "three", "four", "five", "six"), 5),
        ("(f) six", ("one", "two", "three", "four", "five", "six"), 5),
        ("The lamp is below the table.", ("above", "below"), 1),
        ("B: 1", ("2", "1"), 1),
    ],
)
def test_what_models_write(reply, options, index):
    """Markup, JSON, other alphabets, chat remains, explanations after the answer, and CV-Bench's longer lists."""
    assert pick_option(reply, options)[0] == index


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("The door is not open.", 0),
        ("The door isn't closed.", 1),
        ("It is definitely not B.", 1),
        ("Not open", 0),
    ],
)
def test_what_a_reply_denies_is_not_what_it_means(reply, named):
    """Unscored, or the other one of two: never the option that is denied."""
    assert pick_option(reply, DOOR)[0] != named


def test_the_order_of_options_does_not_matter_to_their_text():
    assert pick_option("left side", ("left side", "left"))[0] == 0
    assert pick_option("left side", ("left", "left side"))[0] == 1


@pytest.mark.parametrize("index", range(2))
@pytest.mark.parametrize(
    "wording", ["{}", "({})", "{}.", "Answer: {}", "{} is right.", "It is {}.", "I say {}!", "'{}'"]
)
def test_no_letter_is_read_less_often_than_another(wording, index):
    """A reader that misses one letter more often than the other is biased."""
    assert pick_option(wording.format("AB"[index]), ("cat", "dog"))[0] == index


def test_it_says_how_it_was_read_or_why_not():
    assert pick_option("B", DOOR) == (1, "letter")
    assert pick_option("closed", DOOR) == (1, "option text")
    assert pick_option("", DOOR) == (None, "the reply is empty")
    assert pick_option("A cat", DOOR)[1] == "the reply names no option, or several"
