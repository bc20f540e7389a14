"""Grading of open answers by a language model, with the prompts of arXiv 2502.04192; any client can be used."""

from __future__ import annotations

import hashlib
import queue
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from PIL import Image

from pixfound.interfaces import Grade, Judge, JudgeError
from pixfound.judges.answer_parsing import REASONING
from pixfound.prompts.builder import options_text
from pixfound.types import Example
from pixfound.types.option_letters import letter

T = TypeVar("T")
R = TypeVar("R")
AnswerForm = Literal["letter", "letter_and_text"]
Verdicts = Literal["meant", "literal"]
READING = 2  # version of the parsing: raise it with a change of results, so that stored grades are computed anew
SYSTEM = (
    "You are a helpful and precise assistant for checking the quality of the answer. Please answer in only yes or no."
)
QUESTION = (
    "Given the following question {prompt}, the correct answer is {answer}. Does the following answer correctly "
    "answers the question, answer:{response}? Respond with a Yes/No"
)
_TAGS = re.compile(rf"{REASONING}|<\|[^|<>]*\|>|</?\w+>", re.DOTALL)
_MARKUP = re.compile(r"""[*`"()\[\]{}$\u201c\u201d]|(?<!\w)['\u2018\u2019]|['\u2019](?!\w)""")
# A yes or no stands alone where its clause ends behind it, or where what is judged follows: not in "no error".
_ALONE = (
    r"(?=\s*\Z|\s?[,.;:!\n\u2013\u2014]|\s-\s|\s(?:and|or|but|it|its|it's|the|this|that|i|because|since)\b)(?!\.\s?\d)"
)
_SAYS = re.compile(rf"\b(?:(yes)\b|(no)\b{_ALONE})")
# Where one is the verdict: at the beginning, behind "the answer is" or "verdict:" at a clause's beginning, or as the
# last sentence.
_GIVEN = re.compile(
    rf"(?:\A|(?:\A|[.,;:!\n]\s?)(?:(?:so|thus|hence|therefore),?\s)?(?:the\s|my\s)?(?:final\s)?"
    rf"(?:(?:answer|verdict|judge?ment)\s?(?:is\b|:|=|-)|response\s?:)\s?:?\s?)(?:yes|no)\b{_ALONE}"
    rf"|[.!\n]\s?(?:yes|no)\W?\Z"
)
_BARE = re.compile(
    r"(?:(?:(?:the|this)\s)?(?:answer|response)\sis\s|(?:it|that)(?:\sis\s|'s\s))?(?:(not\s)?correct|(incorrect))"
)
_RIGHT = re.compile(
    r"(?:\b(?:is|are|was|be|looks|seems)|'s)\s(?:(?!not\b)\w+\s){0,2}(?:correct|right|accurate)\b(?!\s(?:answer|option|choice))"
    r"|(?<!not )(?<!n't )\bcorrectly\sanswers\b"
)
_WRONG = re.compile(
    r"\b(?:incorrect(?:ly)?|wrong(?:ly)?|inaccurate|mistaken|fails\sto)\b"
    r"|(?:\bnot|n't)\s(?:\w+\s){0,2}(?:correct(?:ly)?|right|accurate|match(?:es)?|answer(?:ed|s)?)\b"
)
_UNSURE = re.compile(
    r"\b(?:partial(?:ly)?|partly|somewhat|maybe|perhaps|unsure|unclear|ambiguous|depends|uncertain|cannot|can't"
    r"|not sure)\b|\?"
)
_EDGES = " \t\r\n.,;:!*_`~#\"'()[]{}\u2018\u2019\u201c\u201d"


class UnreadableReply(JudgeError):
    """A reply that contains no readable verdict or choice."""


def grade_by_asking(
    judge: Judge, example: Example, response: str, answer_form: AnswerForm = "letter", verdicts: Verdicts = "meant"
) -> Grade:
    """The grade of a response to the example's open question, with the judge's reply.

    answer_form: the correct answer as the judge sees it: "(a)" as in the paper, or "(a) open"; without options it is
        the accepted answers.
    verdicts: parsing of the judge's reply. `meant`: by `read_verdict`, UnreadableReply where it is None. `literal`: a
        bare "yes" or "yes." is correct and all else wrong, as in the paper's scripts.
    """
    if example.answer is None:
        prompt, right = example.question, " or ".join(dict.fromkeys(example.answers))
    else:
        prompt, right = f"{example.question} {options_text(example.options)}", f"({letter(example.answer).lower()})"
        if answer_form == "letter_and_text":
            right += f" {example.right_answer}"
    question = QUESTION.format(prompt=prompt, answer=right, response=response)
    reply = judge.ask(SYSTEM, question)
    verdict = read_verdict(reply) if verdicts == "meant" else reply.lower() in ("yes", "yes.")
    if verdict is None:
        raise unreadable(judge, SYSTEM, question, (), f"the judge's reply could not be read: {shortened(reply)}")
    return Grade(verdict, f"the judge's reply: {shortened(reply)}")


def unreadable(judge: Judge, system: str, question: str, images: Sequence[Image.Image], reason: str) -> UnreadableReply:
    """The error for an unreadable reply. The reply is dropped from the cache, so that the next run asks again."""
    judge.forget(system, question, images)
    return UnreadableReply(reason)


def shortened(reply: str) -> str:
    """A reply in quotes, its first 80 characters."""
    return repr(reply if len(reply) <= 80 else f"{reply[:80]}...")


def asking_identity() -> Mapping[str, Any]:
    """JSON values for the fingerprint of a grade besides the judge itself: the prompts, and the parsing of replies."""
    return {"wording": hashlib.sha256(f"{SYSTEM}\0{QUESTION}".encode()).hexdigest()[:16], "reading": READING}


def side_by_side(work: Callable[[T], R], items: Sequence[T], concurrency: int) -> list[R | JudgeError]:
    """Run `work` on each item, `concurrency` at a time; returns results in order, a JudgeError where one was raised.

    An outage therefore costs each item only its own retries. Any other error stops the rest, and is raised once the
    running items are done; Ctrl-C is raised at once.
    """

    def result_of(item: T) -> R | JudgeError:
        try:
            return work(item)
        except JudgeError as error:
            return error

    if concurrency == 1 or len(items) < 2:
        return [result_of(item) for item in items]
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, R | JudgeError, Exception | None]] = queue.SimpleQueue()
    broken_off = threading.Event()
    results: dict[int, R | JudgeError] = {}
    for number in range(len(items)):
        todo.put(number)

    def worker() -> None:
        while not broken_off.is_set():
            try:
                number = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, result_of(items[number]), None))
            except Exception as error:
                done.put((number, JudgeError(), error))

    # Daemons, for Python waits at its end for the threads of a ThreadPoolExecutor, and they for their servers.
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(concurrency, len(items)))]
    for thread in threads:
        thread.start()
    try:
        while len(results) < len(items):
            number, outcome, error = done.get()
            if error is not None:
                broken_off.set()
                for thread in threads:  # what is under way is paid for
                    thread.join()
                raise error
            results[number] = outcome
    finally:
        broken_off.set()
    return [results[number] for number in range(len(items))]


def read_verdict(reply: str) -> bool | None:
    """True for yes, False for no; None for a reply with neither, with both, or with a contradiction.

    Accepted are a bare yes or no, one that begins the reply, follows "the answer is" or "verdict:", or is the last
    sentence, in any case and markup; and "correct" and "incorrect" alone. A reply with yes and no, with "yes" and
    "wrong", or with doubt, gives None.

    >>> read_verdict("**Yes.**"), read_verdict("The answer is no"), read_verdict("Yes, the answer is correct.")
    (True, False, True)
    >>> read_verdict("Yes/No"), read_verdict("Yes, but the answer is wrong."), read_verdict("There is no door.")
    (None, None, None)
    """
    text = _MARKUP.sub("", plain_reply(reply).lower())
    text = re.sub(r" ?\n[ \n]*", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()
    if bare := _BARE.fullmatch(text.rstrip(".!")):
        return bare[1] is None and bare[2] is None
    says = {match[1] is not None for match in _SAYS.finditer(text)}
    says |= {True} if _RIGHT.search(text) else set()
    says |= {False} if _WRONG.search(text) else set()
    if len(says) != 1 or _UNSURE.search(text) or not _GIVEN.search(text):
        return None
    return says.pop()


def plain_reply(reply: str) -> str:
    """A reply without hidden reasoning, tags, and punctuation or markup around it."""
    return _TAGS.sub(" ", reply).strip(_EDGES)
