"""The automatic baseline of arXiv 2502.04192: a judge model sees the candidates and names the best one."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Judge, JudgeError, Load, Selector, SelectRequest
from pixfound.io.overlays import RED, draw_overlay
from pixfound.judges.asking import plain_reply, read_verdict, shortened, side_by_side, unreadable
from pixfound.types import Candidate, Choice, Example, Kind
from pixfound.types.arguments import NonNegative, Positive, Share
from pixfound.types.masks import ious

SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
PRESENCE = "Does this image have {expression}? Answer yes/no only."
CHOICE = (
    "Select the image that has {expression} best highlighted in red color than the others? "
    "Answer with a number from 1 to {count}. Mention the number only."
)
# Numbers that name no candidate: how many there are, and those that are denied.
_COUNT = re.compile(
    r"\b(?:of|among)\s+(?:(?:the|these|those|all)\s+)*\d+\b|(?<=\d)\s*/\s*\d+\b|\b\d+\s+(?:images?|pictures?|overlays?|masks?)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:\bnot|n't)\s+(?:(?:image|number|candidate|be)\s+)*\d+\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?<![\w.-])|(?<=\bimage))\d+(?![\w%]|\.\d)", re.IGNORECASE)
_NONE = re.compile(r"\b(?:none|neither|no (?:image|one|mask|candidate)|not any|nothing)\b", re.IGNORECASE)

_Level = Annotated[int, Interval(ge=0, le=255)]


class JudgeChoice(Selector):
    """Asks the judge first if the object is in the image, then for the overlay that shows it best.

    presence: True asks the first question. chunk: the most overlays in one question, whose winners meet in further
        rounds; None shows all at once. shuffle: True draws the order of the overlays for each example from seed, False
        keeps that of the candidates. numbered: True also writes the number into each overlay.
    none: the choice for a reply such as "none of them": `empty`, or `unscored`.
    opacity, colour (red, green, blue from 0 to 255): of the overlay. max_candidates: the number shown, the first of
        the order; None shows all. duplicates: a candidate whose IoU with a shown one is above this is left out; None
        shows it. system, presence_question, choice_question: the prompts, by default the paper's.

    A reply that names no candidate, or several, raises UnreadableReply and never counts as the first candidate. After
    this error, as after the JudgeError of a judge that is down, the next run tries the example again.
    """

    uses_judge = True

    def __init__(
        self,
        judge: Judge,
        presence: bool = True,
        chunk: Annotated[int, Ge(2)] | None = 12,
        shuffle: bool = True,
        seed: NonNegative = 0,
        numbered: bool = True,
        none: Literal["empty", "unscored"] = "empty",
        opacity: Share = 0.5,
        colour: tuple[_Level, _Level, _Level] = RED,
        max_candidates: Positive | None = None,
        duplicates: Share | None = None,
        system: str = SYSTEM,
        presence_question: str = PRESENCE,
        choice_question: str = CHOICE,
    ) -> None:
        if not judge.answers_questions:
            raise UserError(
                f"the judge {judge.name!r} cannot look at images, so it cannot choose a candidate: "
                "use judge=openai or judge=mllm, or an extraction without a judge (extraction=attend_segment)"
            )
        self.judge = judge
        self.colour = (colour[0], colour[1], colour[2])  # a config gives a list
        self.max_candidates, self.duplicates = max_candidates, duplicates
        self.presence, self.chunk, self.shuffle, self.seed = presence, chunk, shuffle, seed
        self.numbered, self.none, self.opacity = numbered, none, opacity
        self.system, self.presence_question, self.choice_question = system, presence_question, choice_question

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The judge's choice. `about` has the verdict on presence, and for each question the order and the pick."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        image = example.image.load()
        about: dict[str, Any] = {}
        if self.presence:
            question = self.presence_question.format(expression=example.expression)
            reply = self.judge.ask(self.system, question, [image])
            about["present"] = read_verdict(reply)
            if about["present"] is None:
                why = f"presence: the reply could not be read: {shortened(reply)}"
                raise unreadable(self.judge, self.system, question, [image], why)
            if not about["present"]:
                return Choice("empty", reason="the judge does not see the object", about=about)
        about["questions"] = []
        return self._tournament(example, image, candidates, about)

    def select(self, requests: Sequence[SelectRequest]) -> list[Choice | JudgeError]:
        """`select_one` for each request, in order, with the judge's concurrency; see `side_by_side`."""
        return side_by_side(lambda request: self.select_one(*request), requests, self.judge.concurrency)

    def judge_load(self, example: Example, candidates: Sequence[Candidate]) -> Load:
        """The requests of the presence question and of all rounds."""
        count = len(self._order(example, candidates))
        questions = images = int(self.presence and count > 0)
        while count > 1:
            size = self.chunk or count
            part_sizes = [len(part) for part in _chunks(range(count), size) if len(part) > 1]
            questions, images = questions + len(part_sizes), images + sum(part_sizes)
            count = math.ceil(count / size)
        length = len(self.system) + len(self.choice_question) + len(example.expression)
        return Load(questions, questions * length, images)

    def _tournament(
        self, example: Example, image: Image.Image, candidates: Sequence[Candidate], about: dict[str, Any]
    ) -> Choice:
        remaining = self._order(example, candidates)
        while len(remaining) > 1:
            winners: list[int] = []
            for part in _chunks(remaining, self.chunk or len(remaining)):
                picked: int | None = 0
                if len(part) > 1:
                    picked = self._ask(example, image, [candidates[i] for i in part])
                    about["questions"].append({"order": list(part), "picked": picked})
                if picked is not None:
                    winners.append(part[picked])
            remaining = winners
        if remaining:
            return Choice("candidate", remaining[0], f"the judge's choice of {len(candidates)}", about)
        if self.none == "unscored":
            return Choice("unscored", reason="the judge names none of the candidates", about=about)
        return Choice("empty", reason="the judge names none of the candidates", about=about)

    def _ask(self, example: Example, image: Image.Image, candidates: Sequence[Candidate]) -> int | None:
        """Index from 0 of the best of several overlays; None for none of them."""
        overlays = [
            draw_overlay(image, c.mask.decode(), number if self.numbered else None, self.colour, self.opacity)
            for number, c in enumerate(candidates, start=1)
        ]
        question = self.choice_question.format(expression=example.expression, count=len(overlays))
        place, why = read_choice(self.judge.ask(self.system, question, overlays), len(overlays))
        if why:
            raise unreadable(self.judge, self.system, question, overlays, why)
        return place

    def _order(self, example: Example, candidates: Sequence[Candidate]) -> list[int]:
        """Indices of the candidates to show, in the order of display."""
        order = list(range(len(candidates)))
        if self.shuffle:
            digest = hashlib.sha256(f"{self.seed}:{example.id}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
            order = [int(i) for i in rng.permutation(len(candidates))]
        if self.duplicates is not None:
            distinct: list[int] = []
            for i in order:
                if (
                    max(ious([candidates[j].mask for j in distinct], candidates[i].mask), default=0.0)
                    <= self.duplicates
                ):
                    distinct.append(i)
            order = distinct
        return order[: self.max_candidates]


def read_choice(reply: str, count: int) -> tuple[int | None, str]:
    """(index from 0, "") of the only number in a reply; (None, "") for "none of them"; else (None, the reason).

    >>> read_choice("Image 2.", 3), read_choice("None of them", 3), read_choice("4", 3)[0], read_choice("1 or 2", 3)[0]
    ((1, ''), (None, ''), None, None)
    """
    text = _DENIED.sub(" ", _COUNT.sub(" ", plain_reply(reply)))
    numbers = {int(number) if len(number) < 10 else sys.maxsize for number in _NUMBER.findall(text)}
    none = _NONE.search(text) is not None
    if none and not numbers:
        return None, ""
    if none or len(numbers) != 1:
        return None, f"the judge's reply names no candidate, or several: {shortened(reply)}"
    number = numbers.pop()
    if not 1 <= number <= count:
        return None, f"the judge's reply names a number beyond the {count} candidates: {shortened(reply)}"
    return number - 1, ""


def _chunks(indices: Sequence[int], size: int) -> list[Sequence[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]
