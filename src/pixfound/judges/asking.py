"""Grading an open answer by asking a language model, in the wording of arXiv 2502.04192; any client can ask."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

from PIL import Image

from pixfound.errors import UserError
from pixfound.grading import REASONING
from pixfound.interfaces import Asker
from pixfound.prompts import letter, options_text
from pixfound.types import Example

T = TypeVar("T")
R = TypeVar("R")
AnswerForm = Literal["letter", "letter_and_text"]
Verdicts = Literal["meant", "literal"]
READING = 1  # raise it when a reply is read in another way: what was graded before is then graded anew
ANSWER_FORMS: tuple[AnswerForm, ...] = ("letter", "letter_and_text")
VERDICTS: tuple[Verdicts, ...] = ("meant", "literal")
SYSTEM = (
    "You are a helpful and precise assistant for checking the quality of the answer. Please answer in only yes or no."
)
QUESTION = (
    "Given the following question {prompt}, the correct answer is {answer}. Does the following answer correctly "
    "answers the question, answer:{response}? Respond with a Yes/No"
)
_TAGS = re.compile(rf"{REASONING}|<\|[^|<>]*\|>|</?\w+>", re.DOTALL)
_EDGES = " \t\r\n.,;:!*_`~#\"'()[]{}\u2018\u2019\u201c\u201d"


class JudgeError(RuntimeError):
    """No answer could be had from the judge this time; asking again later may help."""


def grade_by_asking(
    asker: Asker, example: Example, response: str, answer_form: AnswerForm = "letter", verdicts: Verdicts = "meant"
) -> tuple[bool | None, str]:
    """Whether a response answers the example's open question rightly, or None (unscored), and why.

    answer_form: what the judge is told to be right: "(a)" as in the paper, or "(a) open".
    verdicts: how the judge's reply is read; `meant`: by `read_verdict`; `literal`: a bare "yes" or "yes." is right and
        all else wrong, as in the paper's scripts.
    """
    right = f"({letter(example.answer).lower()})"
    if answer_form == "letter_and_text":
        right += f" {example.options[example.answer]}"
    prompt = f"{example.question} {options_text(example.options)}"
    reply = asker.ask(SYSTEM, QUESTION.format(prompt=prompt, answer=right, response=response))
    verdict = read_verdict(reply) if verdicts == "meant" else reply.lower() in ("yes", "yes.")
    shown = repr(reply if len(reply) <= 80 else f"{reply[:80]}...")
    if verdict is None:
        return None, f"the judge's reply could not be read: {shown}"
    return verdict, f"the judge's reply: {shown}"


def asking_identity() -> Mapping[str, Any]:
    """What a grade by asking depends on besides who is asked: the wording, and how a reply is read."""
    return {"wording": hashlib.sha256(f"{SYSTEM}\0{QUESTION}".encode()).hexdigest()[:16], "reading": READING}


def check_options(answer_form: str, verdicts: str) -> None:
    """UserError where either is none of the valid values."""
    for name, value, valid in (("answer_form", answer_form, ANSWER_FORMS), ("verdicts", verdicts, VERDICTS)):
        if value not in valid:
            raise UserError(f"judge.{name} must be {' or '.join(valid)}")


def side_by_side(work: Callable[[T], R], items: Sequence[T], concurrency: int) -> list[R | JudgeError]:
    """What `work` gives for each item, `concurrency` at a time, in order; a JudgeError stands for itself.

    So that one outage costs each item its own tries, and no more. Any other error ends all, and is raised.
    """

    def one(item: T) -> R | JudgeError:
        try:
            return work(item)
        except JudgeError as error:
            return error

    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(one, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def read_verdict(reply: str) -> bool | None:
    """True for yes, False for no, in any case, with punctuation or markup around; None for anything else.

    >>> read_verdict("**Yes.**"), read_verdict("no"), read_verdict("Yes/No")
    (True, False, None)
    """
    word = plain_reply(reply).lower()
    return {"yes": True, "no": False}.get(word)


def plain_reply(reply: str) -> str:
    """A reply without hidden reasoning, tags, and punctuation or markup around it."""
    return _TAGS.sub(" ", reply).strip(_EDGES)


def data_url(image: Image.Image) -> str:
    """A picture as a PNG data URL, its pixels unchanged; modes that chat models do not read become RGB."""
    stream = io.BytesIO()
    plain = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGB")
    plain.save(stream, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


class Replies:
    """Replies on disk, one file for each request's hash; files are never changed, and nobody sees half of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Mapping[str, Any] | None:
        """What was kept under a hash; None where there is nothing, or nothing readable."""
        try:
            data = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        good = isinstance(data, dict) and isinstance(data.get("reply"), str) and data["reply"].strip()
        return data if good else None

    def prepare(self) -> None:
        """Create the folder before anything is paid for, or say plainly that it cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the judge's replies cannot be kept in {self.folder} ({error.strerror}): set judge.cache_dir=DIR"
            ) from error

    def put(self, key: str, data: Mapping[str, Any]) -> None:
        """Keep a reply: written under a temporary name of this process and thread, then renamed."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(data))  # ASCII: half of a surrogate pair too
        os.replace(temporary, path)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def default_folder() -> Path:
    """Where replies are kept unless a config says otherwise: $XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pixfound" / "judge"
