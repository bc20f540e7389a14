from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from pixfound.chat.replies import Replies
from pixfound.judges.asking import grade_by_asking, read_verdict
from pixfound.judges.mllm import MllmJudge
from tests.support.examples import drawn, make_example


class Says:
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
    "reply", ["yes", "Yes.", "YES!", " **Yes** \n", "`yes`", '"Yes."', "<answer>Yes</answer>", "Yes</s>", "(yes)...",
              "<think>no, or is it?</think>\nYes", "Yes<|im_end|>"],
)  # fmt: skip
def test_yes(reply: str) -> None:
    assert read_verdict(reply) is True


@pytest.mark.parametrize("reply", ["no", "No.", "NO", "**no**", "_No_", "\u201cNo\u201d", "<s>No</s>"])
def test_no(reply: str) -> None:
    assert read_verdict(reply) is False


@pytest.mark.parametrize(
    "reply", ["None of them", "Yes/No", "yes and no", "Yes, no", "nope", "yesterday", "", "...", "Not sure.", "Yes?"]
)
def test_anything_else_is_unscored(reply: str) -> None:
    correct, reason = grade_by_asking(Says(reply), EXAMPLE, "x")
    assert correct is None
    assert reason == f"the judge's reply could not be read: {reply!r}"


def test_hidden_reasoning_is_no_answer() -> None:
    assert read_verdict("<think>yes") is None, "cut off"
    assert read_verdict("yes?</think>No") is False, "opened by the template"


def test_a_long_reply_is_cut_in_the_reason() -> None:
    assert len(grade_by_asking(Says("word " * 500), EXAMPLE, "x")[1]) < 150


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
    assert judge.grade(EXAMPLE, "half \ud83d") == judge.grade(EXAMPLE, "half \ufffd")
