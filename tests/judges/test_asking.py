from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from pixfound.interfaces import Judge
from pixfound.io.chat.replies import Replies
from pixfound.judges.asking import UnreadableReply, grade_by_asking, read_verdict
from pixfound.judges.mllm import MllmJudge
from tests.support.examples import drawn, make_example


class Says(Judge):
    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.asked: list[tuple[str, str]] = []

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        self.asked.append((system, question))
        return self.reply


EXAMPLE = make_example(drawn("#."), question="Is the door open?", options=("Open", "Closed"), answer=1)


def test_the_wording_is_the_papers() -> None:
    asker = Says("Yes")
    assert grade_by_asking(asker, EXAMPLE, "It is {closed}.") == (True, "the judge's reply: 'Yes'")
    assert asker.asked == [
        (
            "You are a helpful and precise assistant for checking the quality of the answer. "
            "Please answer in only yes or no.",
            "Given the following question Is the door open? (a) Open (b) Closed, the correct answer is (b). Does the "
            "following answer correctly answers the question, answer:It is {closed}.? Respond with a Yes/No",
        )
    ]


def test_the_right_options_text_can_be_told_too() -> None:
    asker = Says("No.")
    assert grade_by_asking(asker, EXAMPLE, "x", answer_form="letter_and_text")[0] is False
    assert "the correct answer is (b) Closed. Does" in asker.asked[0][1]


@pytest.mark.parametrize(
    "reply",
    [
        "yes", "Yes.", "YES!", " **Yes** \n", "`yes`", '"Yes."', "<answer>Yes</answer>", "Yes</s>", "(yes)...",
        "<think>no, or is it?</think>\nYes", "Yes<|im_end|>", "Yes, the answer is correct.", "Answer: Yes",
        "**Answer:** Yes", "The answer is yes.", "Yes - it matches (b).", "Yes it is correct", "Final answer: **Yes**",
        "Verdict: yes", "The response says closed, which fits.\n\nYes", "The answer names option (b). Yes.",
        "Yes, there is no difference between the two.", '{"answer": "yes"}', "Correct.", "The answer is correct.",
        "Yes\n\nThe answer correctly answers the question.", "Yes, that's right", "Yes: (b)", "So the answer is yes.",
        "My answer: yes", "Response: Yes", 'yes, the answer "closed" is right',
    ],
)  # fmt: skip
def test_yes(reply: str) -> None:
    assert read_verdict(reply) is True


@pytest.mark.parametrize(
    "reply",
    [
        "no", "No.", "NO", "**no**", "_No_", "\u201cNo\u201d", "<s>No</s>", "The answer is no", "Answer: No",
        "No, the answer is incorrect.", "No, the answer is not correct.", "No, the correct answer is (b).",
        "No it does not.", "No. The response says open, but the correct answer is closed.", "Incorrect.",
        "The answer is not correct.", "No, it isn't correct", "Therefore, the answer is no.",
        "The response is wrong. No.", "No\nThe answer is wrong.",
    ],
)  # fmt: skip
def test_no(reply: str) -> None:
    assert read_verdict(reply) is False


@pytest.mark.parametrize(
    "reply",
    [
        "None of them", "Yes/No", "yes and no", "Yes, no", "nope", "yesterday", "", "...", "Not sure.", "Yes?",
        "Yes, but the answer is wrong.", "No, the answer is correct.", "Yes, the answer is incorrect",
        "The correct answer is no.", "The student's answer is yes.", "There is no door.", "No. 2", "no one",
        "I would not say yes", "The answer 'yes' is wrong", "Yes... wait, no.", "Answer: Yes or No", "Answer: yes/no",
        "If the answer is yes, it is right", "Yes, partially.", "Maybe yes", "I cannot tell", "The answer is not yes",
        "No doubt, yes", "The answer is no different", "Yes, this is not the right answer", "Yes. It isn't right.",
        "No, that's right", "Is the answer: yes?", "The answer is yes. The answer is no.", "The answer is (a)",
        "Yes, the answer does not answer the question", "It is wrong to say yes", "The answer is neither yes nor no.",
        "The response is no, which is correct.",
    ],
)  # fmt: skip
def test_anything_else_and_what_contradicts_itself_is_never_guessed(reply: str) -> None:
    assert read_verdict(reply) is None
    with pytest.raises(UnreadableReply) as caught:
        grade_by_asking(Says(reply), EXAMPLE, "x")
    assert str(caught.value) == f"the judge's reply could not be read: {reply!r}"
    assert grade_by_asking(Says(reply), EXAMPLE, "x", verdicts="literal")[0] is False


def test_hidden_reasoning_is_no_answer() -> None:
    assert read_verdict("<think>yes") is None, "cut off"
    assert read_verdict("yes?</think>No") is False, "opened by the template"


def test_a_long_reply_is_cut_in_the_reason() -> None:
    assert len(grade_by_asking(Says("Yes, " * 500), EXAMPLE, "x")[1]) < 150
    with pytest.raises(UnreadableReply) as caught:
        grade_by_asking(Says("word " * 500), EXAMPLE, "x")
    assert len(str(caught.value)) < 150


def test_a_damaged_reply_on_disk_is_none(tmp_path) -> None:
    replies = Replies(tmp_path)
    replies.put("abc", {"reply": "Yes"})
    assert replies.get("abc") == {"reply": "Yes"}
    for text in ('{"reply": "Y', "[]", '{"reply": " "}', '{"reply": 1}'):
        (tmp_path / "ab" / "abc.json").write_text(text)
        assert replies.get("abc") is None


def test_a_judging_model_is_asked_about_what_no_tokenizer_takes(models: Path) -> None:
    options = {"path": str(models / "llava"), "dtype": "float32", "device": "cpu", "capture": "none"}
    judge = MllmJudge({"_target_": "pixfound.models.huggingface.HuggingFace", **options})
    assert judge.ask("s", "half \ud83d") == judge.ask("s", "half \ufffd")
